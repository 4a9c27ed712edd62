"""`env` and `export`: masked until somebody asks, and exact in every form."""

import base64
import io
import json
import os
import pty
import stat
import subprocess
import sys

import dotenv
import pytest

from tests.commands.laptop import CANARY, make, run

SVC = ("-f", "svc.yaml", "--env", "dev")
VALUES = {
    "API_KEY": "k-1",
    "DATABASE_URL": "postgres://app:c4n4ry%20p%2Fw%27%24x@db/shop",
    "LOG_LEVEL": "debug",
    "PASSWORD": CANARY,
}


@pytest.fixture
def project(tmp_path):
    """A folder with a service and stores of a laptop."""
    make(tmp_path)
    return tmp_path


@pytest.mark.parametrize("output", ["table", "json"])
def test_env_masks_values(project, output):
    """Names and origins are shown, on lines of at most 100 columns."""
    done = run(project, "env", *SVC, "-o", output)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in (*VALUES, "tls.key", "ServiceSecrets shop/checkout"))
    assert "c4n4ry" not in done.stdout
    assert "k-1" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_env_reveals_when_asked(project):
    """A line for each; control characters cannot reach the terminal."""
    done = run(project, "env", *SVC, "--reveal")

    assert done.stdout.splitlines() == [
        *(f"{name}={value}" for name, value in VALUES.items()),
        "tls.key=a\\nb",
    ]


def test_exported_dotenv_and_json_hold_the_values_exactly(project):
    """Read by their own parsers."""
    form = ("-o", "dotenv", "--for", "python", "--for", "node")
    as_dotenv = run(project, "export", *SVC, *form)
    as_json = run(project, "export", *SVC, "-o", "json")

    read = dotenv.dotenv_values(stream=io.StringIO(as_dotenv.stdout))
    assert read == json.loads(as_json.stdout) == VALUES


def test_a_shell_reads_the_exported_form_back(project):
    """Nothing in a value is executed."""
    done = run(project, "export", *SVC, "-o", "shell")

    script = done.stdout + '\nprintf %s "$PASSWORD"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout == CANARY


def test_the_exported_secret_has_every_variable_and_file(project):
    """As the API server wants it."""
    done = run(project, "export", *SVC, "-o", "k8s")

    document = json.loads(done.stdout)
    data = {name: base64.b64decode(text).decode() for name, text in document.pop("data").items()}
    assert data == {**VALUES, "tls.key": "a\nb"}
    assert document == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "type": "Opaque",
    }


def test_build_secrets_are_files_and_flags_without_values(project):
    """Standard output holds names and paths."""
    done = run(project, "export", *SVC, "-o", "docker-build", "--files", "build")

    names = [*VALUES, "tls.key"]
    assert done.stdout.splitlines() == [f"--secret=id={name},src=build/{name}" for name in names]
    assert (project / "build/PASSWORD").read_text() == CANARY
    assert {stat.S_IMODE(path.stat().st_mode) for path in (project / "build").iterdir()} == {0o600}


def test_a_value_that_dotenv_readers_take_differently_is_refused_with_them(project):
    """A quote and a dollar sign: docker takes quotes as they are, and a shell would fill in."""
    done = run(project, "export", *SVC, "-o", "dotenv")

    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == (
        "SI-602 for PASSWORD: no form of it is read as the value by shell, docker\n"
        "       hint: name those that read it with --for, such as --for shell --for python; or use"
        " -o shell, json or k8s\n"
    )


def test_readers_belong_to_dotenv(project):
    """Other forms have one reader."""
    done = run(project, "export", *SVC, "-o", "json", "--for", "node")

    assert (done.returncode, done.stdout) == (2, "")


def test_a_terminal_gets_no_values_unless_asked(project):
    """What a terminal shows, it keeps."""
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb"), os.fdopen(follower, "wb") as terminal:
        done = subprocess.run(
            [sys.executable, "-m", "injector", "export", *SVC, "-o", "dotenv"],
            cwd=project,
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr.startswith("SI-201 standard output is a terminal")


def test_a_value_that_is_no_text_is_refused_by_name(project):
    """Forms that carry bytes are named in the hint."""
    (project / "bytes.yaml").write_text(
        "apiVersion: secret-injector.io/v1alpha1\nkind: ServiceSecrets\n"
        "metadata: {name: odd}\nspec: {env: {RAW: '#{vault:raw#b | base64decode}'}}\n"
    )
    (project / ".secret-injector/dev/raw.env").write_text("b=/w==\n")

    done = run(project, "export", "-f", "bytes.yaml", "-o", "dotenv")

    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == (
        "SI-602 for RAW: the value is not UTF-8\n"
        "       hint: -o k8s and -o docker-build carry any bytes\n"
    )


NAMED = """\
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: named, namespace: shop}
spec: {env: {spring.datasource.url: x, a-b: y, "c/d e": z}}
"""


@pytest.mark.parametrize(
    ("form", "refused"),
    [
        (("-o", "json"), []),
        (("-o", "shell"), ["spring.datasource.url", "a-b", "c/d e"]),
        (("-o", "dotenv"), ["spring.datasource.url", "a-b", "c/d e"]),
        (("-o", "dotenv", "--for", "docker", "--for", "python", "--for", "node"), ["c/d e"]),
        (("-o", "k8s"), ["c/d e"]),
        (("-o", "docker-build", "--files", "out"), ["c/d e"]),
    ],
)
def test_a_name_that_a_tool_would_not_take_is_refused_with_it(project, form, refused):
    """Kubernetes takes more names than a shell, a Secret or a file system does."""
    (project / "named.yaml").write_text(NAMED)

    done = run(project, "export", "-f", "named.yaml", *form)

    lines = [line for line in done.stderr.splitlines() if line.startswith("SI-")]
    assert len(lines) == len(refused)
    assert all(f"for {name}:" in " ".join(lines) for name in refused)
    assert (done.returncode == 0) == (not refused)
    assert not (project / "out").exists()
