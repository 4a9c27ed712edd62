"""Row G: whatever names and values hold, those who read an export get them, and run nothing.

Ten thousand of them, from a fixed seed, through the real readers. A reader that is not there is
installed, or the test fails with the name of the package.
"""

import base64
import http.server
import json
import os
import random
import re
import shutil
import socketserver
import subprocess
import threading

import dotenv
import pytest
import yaml

from injector.commands import export
from injector.commands.laptop import Values
from injector.core import dotenv_export
from injector.core.errors import DeliveryFailed
from tests.launcher.conftest import ROOT, call

COUNT = 10_000
SEED = 20_261_126
PIECES = [
    *(
        "`touch ran`",
        "$(touch ran)",
        "${A}",
        "$A",
        "$$",
        "$'x'",
        "${IFS}",
        "$((1+1))",
        "\\",
        "\\\\",
    ),
    *("'", '"', "''", '""', "`", "\n", "\r", "\r\n", "\t", " ", "  ", "#", " #x", "=", ";", "&"),
    *("; touch ran", "\ntouch ran\n", "'; touch ran; '", '"; touch ran; "', "|touch ran", "~", "!"),
    *("\\n", "\\r", "\\t", "\\'", '\\"', "\\$", "\\`", "\\u0041", "%s", "{a,b}", "*", "?", "[a]"),
    *("ä", "\u2028", "\u00a0", "\ufeff", "\x7f", "\x01", "\x1b[2J", "\x85", "\U0001f511", "日本"),
    *("export ", "EOF", "a", "B", "0", "-", "--", ".", "/", ":", "@", "+", ",", "%", "^", "<", ">"),
    *("PASSWORD", "true", "null", "12", "0x1f", "- a", "{}", "[]", "&a", "*a", "!!str", "---"),
]
NAMES = [
    *(
        "A B",
        "A=B",
        "A\nB",
        "$(touch ran)",
        "`touch ran`",
        "A;touch ran",
        "",
        "1A",
        "ä",
        "A-B",
        "#A",
    ),
    *(
        "A'",
        'A"',
        "A\0",
        "export A",
        "UID",
        "BASH_ENV",
        "PROMPT_COMMAND",
        "PS4",
        "OPTIND",
        "RANDOM",
    ),
    *("NODE_OPTIONS", "_", "PPID", "SHELLOPTS", "LINENO", "a.b", "A[0]", "A[$(touch ran)]", "A+"),
]


def hostile(count=COUNT):
    """Return names and values, each name once; one in ten names is hostile as well."""
    chance = random.Random(SEED)
    found = {}
    for number in range(count):
        value = "".join(chance.choice(PIECES) for _ in range(chance.randrange(9)))
        if chance.random() < 0.3:
            alphabet = "".join(map(chr, range(1, 127))) + "äß€"
            value = "".join(chance.choice(alphabet) for _ in range(chance.randrange(24)))
        if chance.random() < 0.02:
            value += "\0"
        name = f"V{number}"
        if chance.random() < 0.1:
            name = chance.choice(NAMES) + ("" if chance.random() < 0.2 else name)
        found[name] = value
    return found


def package(program, name):
    """Return the path of a program; install its Debian package first where it is not there."""
    if shutil.which(program) is None:
        call([ROOT / "tools/need-package", name])
    return shutil.which(program)


def accepted(write):
    """Return what is carried: what the export refuses is named by it, and left out."""
    found = hostile()
    _, problems = write(found)
    refused = {problem.target for problem in problems}
    carried = {name: value for name, value in found.items() if name not in refused}
    text, problems = write(carried)
    assert problems == []
    return carried, text


def read_by_shell(shell, folder, file, names):
    """Return what a shell has after it read the file."""
    show = "".join(f'printf "%s\\0" "${name}"\n' for name in names)
    (folder / "script").write_text(f". ./{file}\n{show}")
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [shell, "script"],
        cwd=folder,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == b""
    return dict(zip(names, done.stdout.decode().split("\0")[:-1], strict=True))


def bash(folder, file, names):
    """What bash has after `. FILE`."""
    return read_by_shell(package("bash", "bash"), folder, file, names)


def dash(folder, file, names):
    """What dash has after `. FILE`."""
    return read_by_shell(package("dash", "dash"), folder, file, names)


def python(folder, file, names):
    """What python-dotenv reads."""
    found = dotenv.dotenv_values(folder / file)
    assert list(found) == names
    return found


def node(folder, file, names):
    """What node has with --env-file."""
    program = package("node", "nodejs")
    (folder / "script.js").write_text(
        f"process.stdout.write(JSON.stringify({json.dumps(names)}.map(n => process.env[n])))"
    )
    command = [program, f"--env-file={file}", "script.js"]
    env = {"PATH": os.environ["PATH"]}
    said = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=60, check=True)
    return dict(zip(names, json.loads(said.stdout), strict=True))


class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """As much of a Docker daemon as `docker create` asks before it sends what it has read."""

    daemon_threads = True
    variables: list

    class RequestHandlerClass(http.server.BaseHTTPRequestHandler):
        """Answers a ping, and keeps what a container is to be created with."""

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            self.send_response(200)
            self.send_header("Api-Version", "1.43")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self):
            length = self.headers.get("content-length")
            data = self.rfile.read(int(length)) if length else self._chunks()
            self.server.variables = json.loads(data)["Env"]
            answer = b'{"Id":"0","Warnings":[]}'
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _chunks(self):
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def address_string(self):
            return "client"

    def __init__(self, path):
        super().__init__(str(path), self.RequestHandlerClass)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


def docker(folder, file, names):
    """What docker sends to its daemon."""
    program = package("docker", "docker-cli")
    daemon = Daemon(folder / "s")
    try:
        command = [program, "create", "--env-file", file, "image"]
        env = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{folder}/s", "HOME": str(folder)}
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        found = dict(entry.split("=", 1) for entry in daemon.variables)
    finally:
        daemon.shutdown()
        daemon.server_close()
    assert list(found) == names
    return found


READERS = {"shell": [bash, dash], "python": [python], "node": [node], "docker": [docker]}


@pytest.mark.parametrize(
    "wanted",
    [
        dotenv_export.READERS,
        *(("shell",), ("python",), ("node",), ("docker",)),
        *(("shell", "python"), ("shell", "node"), ("python", "node"), ("shell", "python", "node")),
    ],
    ids="+".join,
)
def test_dotenv_is_read_as_it_is_meant_or_refused_and_never_run(tmp_path_factory, wanted):
    """By each of the readers that it is written for; of all in one, a fair part is carried."""
    folder = tmp_path_factory.mktemp("d")
    carried, text = accepted(lambda found: dotenv_export.dotenv(found, wanted))
    (folder / "values.env").write_bytes(text.encode())
    before = {path.name for path in folder.iterdir()}

    for reader in (each for name in wanted for each in READERS[name]):
        found = reader(folder, "values.env", list(carried))
        wrong = {
            name: (value, found[name]) for name, value in carried.items() if found[name] != value
        }
        assert wrong == {}, reader.__name__

    assert {path.name for path in folder.iterdir()} - before <= {"script", "script.js", "s"}
    assert len(carried) > COUNT / (20 if "docker" in wanted and len(wanted) > 1 else 5)


def test_a_command_is_refused_where_docker_reads_the_file_too():
    """It takes quotes for part of the value; without them a shell would run it."""
    values = {"A": "`touch ran`", "B": "$(touch ran)"}

    problems = dotenv_export.dotenv(values, dotenv_export.READERS)[1]

    assert [(p.target, p.what) for p in problems] == [
        (name, "no form of it is read as the value by docker") for name in values
    ]


@pytest.mark.parametrize("shell", [bash, dash])
def test_the_shell_form_is_read_as_it_is_meant_or_refused_and_never_run(tmp_path, shell):
    """By `.` as well as by eval, which reads the same."""
    carried, text = accepted(export.shell_lines)
    (tmp_path / "values.sh").write_bytes(text.encode())

    found = shell(tmp_path, "values.sh", list(carried))

    assert found == carried
    assert {path.name for path in tmp_path.iterdir()} == {"values.sh", "script"}
    assert len(carried) > COUNT * 0.8


def test_json_holds_every_value():
    """Read by two readers; nothing is refused."""
    found = hostile()

    text = export.json_text(found)

    assert json.loads(text) == found
    program = package("node", "nodejs")
    script = "process.stdin.setEncoding('utf8');let s='';process.stdin.on('data',d=>s+=d)"
    script += ".on('end',()=>process.stdout.write(JSON.stringify(Object.entries(JSON.parse(s)))))"
    said = subprocess.run(
        [program, "-e", script], input=text.encode(), capture_output=True, check=True
    )
    assert dict(json.loads(said.stdout)) == found


def test_a_secret_holds_every_value_whose_name_is_a_key():
    """Read as JSON and as YAML, as kubectl does."""
    found = hostile()
    env = tuple((name, value.encode()) for name, value in found.items())
    with pytest.raises(DeliveryFailed) as refused:
        export.secret_text(Values(name="a", namespace="b", env=env, files=(), origins=()))
    bad = {problem.target for problem in refused.value.problems}
    assert bad == {name for name in found if not re.fullmatch(r"[-._a-zA-Z0-9]+", name)}
    good = tuple(entry for entry in env if entry[0] not in bad)

    text = export.secret_text(Values(name="a", namespace="b", env=good, files=(), origins=()))

    for read in (json.loads, yaml.safe_load):
        data = read(text)["data"]
        assert {name: base64.b64decode(value) for name, value in data.items()} == dict(good)


def test_two_values_of_one_key_are_refused():
    """A file and a variable, or two files, would be one key of the Secret."""
    values = Values(
        name="a",
        namespace="b",
        env=(("a.b", b"1"),),
        files=(("a/b", b"2", None), ("c/d", b"3", None), ("c.d", b"4", None)),
        origins=(),
    )

    with pytest.raises(DeliveryFailed) as refused:
        export.secret_text(values)

    assert [(p.code.id, p.target) for p in refused.value.problems] == [
        ("SI-105", "a.b"),
        ("SI-105", "c.d"),
    ]


@pytest.mark.parametrize("name", ["UID", "BASH_ENV", "ENV", "PROMPT_COMMAND", "PS4", "OPTIND", "_"])
def test_a_variable_of_the_shells_own_is_refused_for_a_shell(name):
    """It is read-only, a number, or a command that the shell runs at its prompt."""
    assert [p.code.id for p in dotenv_export.dotenv({name: "a"}, ["shell"])[1]] == ["SI-104"]
    assert [p.code.id for p in export.shell_lines({name: "a"})[1]] == ["SI-104"]
    assert dotenv_export.dotenv({name: "a"}, ["docker"])[1] == []


def test_a_line_longer_than_docker_takes_is_refused():
    """64 KiB, the end of the line included."""
    longest = {"A": "x" * (64 * 1024 - 4)}

    assert dotenv_export.dotenv(longest, ["docker"])[1] == []
    problems = dotenv_export.dotenv({"A": longest["A"] + "x"}, dotenv_export.READERS)[1]
    assert [p.code.id for p in problems] == ["SI-602"]


def test_the_reader_of_docker_is_the_real_one(tmp_path):
    """What the fake daemon got is what docker read: quotes stay, and the longest line passes."""
    (tmp_path / "values.env").write_text(f"A='x'\nB={'x' * (64 * 1024 - 4)}\n")

    assert docker(tmp_path, "values.env", ["A", "B"]) == {"A": "'x'", "B": "x" * (64 * 1024 - 4)}
