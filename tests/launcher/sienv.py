"""The env file format, written a second time: a writer, a reader, and files that break each rule.

The reader is one regular expression per rule, so that it shares no idea with the C code it judges.
"""

import re

MAX_FILE_BYTES = 8 * 1024 * 1024

CANARY = b"canary-5up3r-s3cret"
"""A value that no output may hold."""

HEADER = re.compile(rb"SIENV1 (0|[1-9][0-9]*) (0|[1-9][0-9]*)\n")
ENTRY = re.compile(rb"([ -<>-~]+)=[^\0]*\0")


def encode(entries):
    """Return the env file with these `NAME=value` entries, whatever they are."""
    body = b"".join(entry + b"\0" for entry in entries)
    return b"SIENV1 %d %d\n" % (len(entries), len(body)) + body


def decode(content):
    """Return the entries of an env file, or None when it is malformed."""
    header = HEADER.match(content)
    if header is None or len(content) > MAX_FILE_BYTES:
        return None
    body = content[header.end() :]
    entries = list(ENTRY.finditer(body))
    names = [entry[1] for entry in entries]
    well_formed = (
        b"".join(entry[0] for entry in entries) == body
        and [len(entries), len(body)] == [int(number) for number in header.groups()]
        and len(set(names)) == len(names)
    )
    return [entry[0][:-1] for entry in entries] if well_formed else None


def merge(inherited, entries):
    """Return the environment the command must see, by the rules of the launcher, one by one."""
    planned = {entry.partition(b"=")[0]: entry for entry in entries}
    merged, seen = [], set()
    for variable in inherited:
        name, equals, _ = variable.partition(b"=")
        if not equals or name not in planned:
            merged.append(variable)
        elif name not in seen:
            merged.append(planned[name])
            seen.add(name)
    return merged + [entry for name, entry in planned.items() if name not in seen]


_WHOLE = encode([b"A=" + CANARY, b"B=2"])

MAGIC = "it does not begin with SIENV1"
FORM = "its header is not SIENV1, count and length"
SIZE = "its size is not the length in its header"
FEWER = "it has fewer entries than its header says"
MORE = "it has more bytes than its entries"
ENTRY_FORM = "an entry is not a valid name, = and a value"
TWICE = "two entries have the same name"
LARGE = "it is larger than 8 MiB"

MALFORMED = {
    "an empty file": (b"", MAGIC),
    "one byte": (b"S", MAGIC),
    "the magic word alone": (b"SIENV1", MAGIC),
    "a later version": (_WHOLE.replace(b"SIENV1", b"SIENV2"), MAGIC),
    "a magic word in lower case": (_WHOLE.lower(), MAGIC),
    "a byte order mark": (b"\xef\xbb\xbf" + _WHOLE, MAGIC),
    "a leading line end": (b"\n" + _WHOLE, MAGIC),
    "a dotenv file": (b"A=" + CANARY + b"\n", MAGIC),
    "two spaces": (b"SIENV1  0 0\n", FORM),
    "a tab": (b"SIENV1 0\t0\n", FORM),
    "no count": (b"SIENV1 \n", FORM),
    "no length": (b"SIENV1 0 \n", FORM),
    "no line end": (b"SIENV1 0 0", FORM),
    "a carriage return": (b"SIENV1 0 0\r\n", FORM),
    "a third number": (b"SIENV1 0 0 0\n", FORM),
    "a count with a leading zero": (b"SIENV1 01 4\nA=b\0", FORM),
    "a length with a leading zero": (b"SIENV1 1 04\nA=b\0", FORM),
    "a double zero": (b"SIENV1 00 0\n", FORM),
    "a negative count": (b"SIENV1 -1 4\nA=b\0", FORM),
    "a signed count": (b"SIENV1 +1 4\nA=b\0", FORM),
    "a hexadecimal length": (b"SIENV1 1 0x4\nA=b\0", FORM),
    "a count above 64 bits": (b"SIENV1 18446744073709551617 4\nA=b\0", FORM),
    "a length above 64 bits": (b"SIENV1 1 18446744073709551620\nA=b\0", FORM),
    "a count above 8 MiB": (b"SIENV1 8388609 4\nA=b\0", FORM),
    "a hundred thousand digits": (b"SIENV1 " + b"9" * 100_000, FORM),
    "a cut header": (b"SIENV1 1 4", FORM),
    "nothing after the header": (b"SIENV1 1 4\n", SIZE),
    "a cut entry": (_WHOLE[:-1], SIZE),
    "a trailing byte": (_WHOLE + b"\0", SIZE),
    "a trailing entry": (_WHOLE + b"C=3\0", SIZE),
    "a trailing line end": (_WHOLE + b"\n", SIZE),
    "a length that is too small": (b"SIENV1 1 3\nA=b\0", SIZE),
    "a count that is too large": (b"SIENV1 2 8\nA=bcdef\0", FEWER),
    "a count that no length could hold": (b"SIENV1 8388608 4\nA=b\0", FEWER),
    "a value without its NUL": (b"SIENV1 1 4\nA=bc", FEWER),
    "a count that is too small": (b"SIENV1 1 8\nA=b\0B=c\0", MORE),
    "a count of zero with an entry": (b"SIENV1 0 4\nA=b\0", MORE),
    "an empty entry": (encode([b"A=1", b"", b"B=2"]), ENTRY_FORM),
    "only NULs": (b"SIENV1 1 4\n\0\0\0\0", ENTRY_FORM),
    "an empty name": (encode([b"=" + CANARY]), ENTRY_FORM),
    "an entry without =": (encode([b"A", b"BC=1"]), ENTRY_FORM),
    "a name with a line end": (encode([b"A\n=x"]), ENTRY_FORM),
    "a name with a tab": (encode([b"A\tB=x"]), ENTRY_FORM),
    "a name with the last control character": (encode([b"A\x7f=x"]), ENTRY_FORM),
    "a name with the character before the blank": (encode([b"\x1fA=x"]), ENTRY_FORM),
    "a name outside ASCII": (encode(["É=x".encode()]), ENTRY_FORM),
    "a bad second entry": (encode([b"A=" + CANARY, b"\n2=x"]), ENTRY_FORM),
    "a name twice": (encode([b"A=1", b"B=2", b"A=" + CANARY]), TWICE),
    "an entry twice": (encode([b"A=1", b"A=1"]), TWICE),
    "a byte more than 8 MiB": (encode([b"A=" + b"x" * (MAX_FILE_BYTES - 19)]), LARGE),
}
"""What is wrong: (the content, the reason that the launcher must give)."""
