"""Literals that look like secrets: from the entries of an object to a finding for each.

What stands in a ServiceSecrets, an EnvironmentSecrets or an annotation is no secret: whoever may
look at objects reads it (the role `view` does), and so does whoever gets a plan. Two signs are
looked for: the form of a known kind of token, wherever it stands; and text without words under a
name like PASSWORD or API_KEY. `lint` asks; a finding never quotes the text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from injector.core import errors, grammar
from injector.core.errors import Problem
from injector.core.grammar import GrammarError

_HINT = "store it and write a reference to it: whoever may see the object reads it here"
_MAX_TEXT = 65_536

# Lengths are bounded, or a text of many beginnings would be read once for each.
_TOKENS = tuple(
    (what, re.compile(rf"(?<![A-Za-z0-9]){pattern}"))
    for what, pattern in (
        ("a private key", r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY"),
        ("a PGP private key", r"-----BEGIN PGP PRIVATE KEY BLOCK"),
        ("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{50}"),
        ("an AWS access key", r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
        ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36}"),
        ("a GitHub token", r"github_pat_[A-Za-z0-9_]{22}"),
        ("a GitLab token", r"gl(?:pat|dt|ptt|rt)-[A-Za-z0-9_-]{20}"),
        ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{10}"),
        ("a Slack token", r"xapp-[0-9]-[A-Za-z0-9-]{10}"),
        ("a Slack webhook", r"hooks\.slack\.com/services/T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/"),
        (
            "a JSON Web Token",
            r"eyJ[A-Za-z0-9_-]{8,512}\.eyJ[A-Za-z0-9_-]{8,1024}\.[A-Za-z0-9_-]{16}",
        ),
        ("a Vault token", r"hv[bsr]\.[A-Za-z0-9_-]{20}"),
        ("a Vault token", r"s\.[A-Za-z0-9]{24}(?![A-Za-z0-9.])"),
        ("a Google API key", r"AIza[0-9A-Za-z_-]{35}"),
        ("a Google OAuth secret", r"GOCSPX-[A-Za-z0-9_-]{20}"),
        ("a Stripe key", r"[rs]k_(?:live|test)_[0-9A-Za-z]{16}"),
        ("a Stripe webhook secret", r"whsec_[0-9A-Za-z+/=]{24}"),
        ("an API key", r"sk-(?:[a-z]{2,8}(?:[0-9]{2})?-)?[A-Za-z0-9_-]{32}"),
        ("a SendGrid key", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16}"),
        ("an npm token", r"npm_[A-Za-z0-9]{36}"),
        ("a PyPI token", r"pypi-AgE[A-Za-z0-9_-]{32}"),
        ("a DigitalOcean token", r"do[opr]_v1_[0-9a-f]{32}"),
        ("a Docker Hub token", r"dckr_pat_[A-Za-z0-9_-]{20}"),
        ("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{40}"),
        ("an Azure shared access key", r"SharedAccessKey=[A-Za-z0-9+/]{20}"),
    )
)
_URL_PASSWORD = re.compile(r"://[^/\s:@?#]{0,128}:([^/\s:@?#]{1,128})@")
_NAME = re.compile(r"(?:^|_)(PASSWORD|PASSWD|PASSPHRASE|PWD|PASS|PW)(?:_|$)")
_KEY_NAME = re.compile(
    r"(?:^|_)(?:SECRET|TOKEN|APIKEY|CREDENTIALS?"
    r"|(?:API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION|MASTER|LICENSE|AUTH|SESSION)_?KEY)(?:_|$)"
)
# What such names name beside: where it is, what it is called, how it is used.
_ABOUT = re.compile(
    r"_(?:URL|URI|HOST|PORT|FILE|PATH|DIR|NAME|USER|ID|TTL|TYPE|LENGTH|SIZE|ALGORITHM|ALG|ISSUER"
    r"|AUDIENCE|HEADER|VERSION|ENABLED|REQUIRED|POLICY|SCOPES?|EXPIRY|TIMEOUT|PREFIX|FORMAT"
    r"|REGION|PROVIDER|STORE|BACKEND|RETRIES|INTERVAL|DAYS|HOURS|MINUTES|SECONDS|S|MS)$"
)
_PLACEHOLDER = re.compile(
    r"^(?:<.*>|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|x{3,}|\*{3,}|\.{3,}|(?i:change[-_ ]?me\w*"
    r"|example\w*|placeholder\w*|dummy\w*|redacted|todo|none|null|true|false))$"
)
_SEPARATED = re.compile(r"[A-Za-z0-9+/=]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_KEY_CHARACTERS = 16
_KEY_BITS = 3.0
"""Shannon entropy of a character from which a run is taken for random: 16 hex digits have 3.2."""
_PASSWORD_CHARACTERS = 6


def findings(entries: object, *, place: str, is_raw: bool = False) -> Iterator[Problem]:
    """Yield a problem for each entry of a mapping `NAME: text` or `NAME: {value, default}`.

    `place` is of the mapping, as messages name it; with `is_raw` all problems are at that place.
    """
    if not isinstance(entries, Mapping):
        return
    for name, entry in entries.items():
        texts = entry.values() if isinstance(entry, Mapping) else (entry,)
        likeness = next(filter(None, (_likeness(str(name), text) for text in texts)), "")
        if likeness:
            yield Problem(
                code=errors.LITERAL,
                what=f"the text looks like {likeness}",
                source=place if is_raw else f"{place}.{name}",
                target=str(name)[:128] if is_raw else "",
                hint=_HINT,
            )


def _likeness(name: str, text: object) -> str:
    """Return what a value looks like, or nothing."""
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return ""
    literals = tuple(_literals(text))
    for literal in literals:
        for what, pattern in _TOKENS:
            if pattern.search(literal):
                return what
    # An expression stands for what a password may be made of: `postgres://u:#{...}@host`.
    if any(_is_chosen(found) for found in _URL_PASSWORD.findall("\0".join(literals))):
        return "a password in an address"
    is_plain = literals == (text,) and "#{" not in text
    return _likeness_by_name(name, text) if is_plain else ""


def _likeness_by_name(name: str, text: str) -> str:
    upper = name.replace("-", "_").replace(".", "_").upper()
    if _ABOUT.search(upper) or any(c.isspace() for c in text.strip()) or _is_placeholder(text):
        return ""
    if _NAME.search(upper) and _is_chosen(text) and not text.startswith(("/", "http")):
        return "a password"
    return "a key or token" if _KEY_NAME.search(upper) and _is_random(text) else ""


def _literals(text: str) -> Iterable[str]:
    """Return the texts between the expressions of a value, and the texts in their filters."""
    try:
        parts = grammar.parse(text)
    except GrammarError:
        return (text,)  # `lint` says so elsewhere
    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(part)
        else:
            found += [argument for each in part.filters for argument in each.args]
    return found


def _is_placeholder(text: str) -> bool:
    return bool(_PLACEHOLDER.match(text[:256]))


def _is_chosen(text: str) -> bool:
    """Say whether somebody chose the text as a password: it mixes at least two kinds of letters."""
    kinds = (str.isdigit, str.isupper, str.islower, lambda c: not c.isalnum())
    mixed = sum(any(kind(c) for c in text) for kind in kinds)
    is_plain = "\0" in text or _is_placeholder(text)
    return len(text) >= _PASSWORD_CHARACTERS and mixed > 1 and not is_plain


def _is_random(text: str) -> bool:
    """Say whether a run of the text has no words in it: digits among letters, few repetitions."""
    if _UUID.fullmatch(text):
        return True
    for run in _SEPARATED.findall(text):
        has_both = any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
        if len(run) >= _KEY_CHARACTERS and has_both and _bits(run) >= _KEY_BITS:
            return True
    return False


def _bits(run: str) -> float:
    """Return the Shannon entropy of a character of the run."""
    counts = Counter(run).values()
    return -sum(n / len(run) * math.log2(n / len(run)) for n in counts)
