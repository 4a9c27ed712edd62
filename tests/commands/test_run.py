"""`run`: the command gets its values, and is itself in all other respects."""

import json
import signal
import stat
import subprocess
import sys

import pytest

from tests.commands.laptop import CANARY, make, run
from tests.dotenv_text import dotenv_text

SVC = ("-f", "svc.yaml", "--env", "dev")
SHOW = (sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))")


@pytest.fixture
def project(tmp_path):
    """A folder with a service and stores of a laptop."""
    make(tmp_path)
    return tmp_path


def test_the_command_has_the_values_and_the_environment_of_before(project):
    """Values of the service are added; nothing of them is said by us."""
    done = run(project, "run", *SVC, "--", *SHOW, env={"MINE": "1", "LOG_LEVEL": "warn"})

    seen = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == "warning: files are not written without --files DIR: tls.key\n"
    assert {name: seen[name] for name in ("DATABASE_URL", "PASSWORD", "API_KEY")} == {
        "DATABASE_URL": "postgres://app:c4n4ry%20p%2Fw%27%24x@db/shop",
        "PASSWORD": CANARY,
        "API_KEY": "k-1",
    }
    assert (seen["LOG_LEVEL"], seen["MINE"]) == ("debug", "1")


def test_preserve_env_keeps_what_is_set(project):
    """Who sets a variable by hand means it."""
    done = run(project, "run", *SVC, "--preserve-env", "--", *SHOW, env={"LOG_LEVEL": "warn"})

    assert json.loads(done.stdout)["LOG_LEVEL"] == "warn"


def test_only_fetches_what_is_named(project):
    """A store that nothing named needs is not asked: its file may be broken."""
    (project / ".secret-injector/dev/secret/shop/db.env").write_text("no dotenv")

    done = run(project, "run", *SVC, "--only", "API_KEY,LOG_LEVEL", "--", *SHOW)

    seen = json.loads(done.stdout)
    assert (seen["API_KEY"], "PASSWORD" in seen) == ("k-1", False)


def test_files_are_written_for_their_owner_alone(project):
    """Content as stored, mode 0600, in a folder of 0700."""
    done = run(project, "run", *SVC, "--files", "out", "--", "true")

    key = project / "out/tls.key"
    assert (done.returncode, done.stderr, key.read_text()) == (0, "", "a\nb")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((project / "out").stat().st_mode) == 0o700
    assert [path.name for path in (project / "out").iterdir()] == ["tls.key"]


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -TERM $$"), -signal.SIGTERM),
        (("no-such-command",), 127),
        (("/etc/passwd",), 126),
    ],
)
def test_the_exit_status_is_the_commands_own(project, argv, status):
    """Statuses and signals pass; 126 and 127 are a shell's."""
    assert run(project, "run", *SVC, "--", *argv).returncode == status


def test_the_command_takes_our_place_and_our_signals(project):
    """It has our process id; a broken pipe ends it as it would without us."""
    process = subprocess.Popen(
        [sys.executable, "-m", "injector", "run", *SVC, "--", "sh", "-c", "echo $$; exec yes"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        pid = int(process.stdout.readline())
        process.stdout.close()
        status = process.wait(timeout=20)

    assert (pid, status) == (process.pid, -signal.SIGPIPE)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("-f", "missing.yaml", "--", "true"), "SI-201 missing.yaml: no such file or directory"),
        ((*SVC, "--service", "chekout", "--", "true"), 'hint: did you mean "checkout"?'),
        ((*SVC, "--only", "API_KAY", "--", "true"), 'hint: did you mean "API_KEY"?'),
        (("-f", "svc.yaml", "--env", "prod", "--", "true"), "no EnvironmentSecrets"),
        ((*SVC, "--stores", "svc.yaml", "--", "true"), "only ClusterSecretStore objects"),
        (SVC, "SI-201"),
    ],
)
def test_a_failure_of_ours_is_125_and_says_why(project, argv, line):
    """The command does not start."""
    done = run(project, "run", *argv)

    assert (done.returncode, done.stdout) == (125, "")
    assert line in done.stderr


def test_a_store_that_only_pods_can_enter_asks_for_a_definition(project):
    """Nothing on a laptop has a pod's token."""
    (project / ".secret-injector/stores.yaml").unlink()

    done = run(project, "run", *SVC, "--", "true")

    assert done.returncode == 125
    assert "store vault: this store is entered by what a pod has mounted" in done.stderr


def test_a_reference_lost_in_a_comment_keeps_the_command_from_starting(project):
    """Else it would start with the word before the comment for its token."""
    with (project / "svc.yaml").open("a") as file:
        file.write(
            "---\nkind: ServiceSecrets\nmetadata: {name: other}\n"
            "spec:\n  env:\n    AUTH: Bearer #{vault:secret/shop#token}\n"
        )

    done = run(project, "run", *SVC, "--service", "svc", "--", *SHOW)

    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "SI-147 spec.env.AUTH (svc.yaml:30): an unquoted # begins a comment here, and the"
        " reference in it is lost\n"
        "       hint: an unquoted # begins a comment in YAML; write"
        ' NAME: "#{store:path#field}", in quotes\n'
    )


def test_a_missing_value_keeps_the_command_from_starting(project):
    """The line names store, path, variable and the keys that are there; no value."""
    (project / ".secret-injector/dev/secret/shop/db.env").write_text(
        dotenv_text({"pasword": CANARY})
    )

    done = run(project, "run", *SVC, "--", "sh", "-c", "echo started")

    assert (done.returncode, done.stdout) == (125, "")
    assert "vault secret/shop/db#password for DATABASE_URL" in done.stderr
    assert "c4n4ry" not in done.stderr


def test_a_store_that_is_away_is_told_as_a_workstation_needs_it(project):
    """No pod is there that would retry; the address is named, and what became of the command."""
    (project / ".secret-injector/stores.yaml").write_text(
        "kind: ClusterSecretStore\nmetadata: {name: vault}\n"
        "spec: {retry: {attempts: 1}, vault: {address: 'https://127.0.0.1:1',"
        " auth: {token: {token: {file: token}}}}}\n---\n"
        "kind: ClusterSecretStore\nmetadata: {name: k8s}\nspec: {dotenv: {folder: dev}}\n"
    )
    (project / ".secret-injector/token").write_text("hvs.x")

    done = run(project, "run", *SVC, "--only", "PASSWORD", "--", "echo", "started")

    assert (done.returncode, done.stdout) == (125, "")
    assert "127.0.0.1:1 refuses the connection" in done.stderr, done.stderr
    assert (
        "hint: the command was not started; check address, network policies and the store's health"
        in done.stderr
    )


def test_keys_of_a_secret_become_variables_here_as_well(project):
    """Those that may not are told; --only takes the one of its name."""
    text = "from: [{from: 'vault:secret/mail', keys: ['*']}]"
    service = project / "svc.yaml"
    service.write_text(service.read_text().replace("  files:\n", f"  {text}\n  files:\n", 1))
    mail = project / ".secret-injector/dev/secret/mail.env"
    values = {"USER_NAME": "shop", "PASSWORD": f"{CANARY}-2", "LD_PRELOAD": "/evil"}
    mail.write_text(dotenv_text(values))

    every = run(project, "run", *SVC, "--", *SHOW)
    one = run(project, "run", *SVC, "--only", "USER_NAME", "--", *SHOW)
    none = run(project, "run", *SVC, "--only", "USER_NAMES", "--", *SHOW)

    seen, alone = json.loads(every.stdout), json.loads(one.stdout)
    assert (seen["USER_NAME"], seen["PASSWORD"], "LD_PRELOAD" in seen) == ("shop", CANARY, False)
    assert every.stderr == (
        "warning: SI-118 key LD_PRELOAD is left out: that decides which code a process runs\n"
        "warning: files are not written without --files DIR: tls.key\n"
    )
    assert (alone["USER_NAME"], "PASSWORD" in alone, one.stderr) == ("shop", False, "")
    assert none.returncode == 125
    assert 'SI-201 --only: nothing is called "USER_NAMES"' in none.stderr


def test_env_says_which_secret_a_key_comes_from(project):
    """`env` shows names and origins; a key that a pattern took has those of its entry."""
    service = project / "svc.yaml"
    text = "from: [{from: 'vault:secret/mail', keys: ['*'], prefix: MAIL_}]"
    service.write_text(service.read_text().replace("  files:\n", f"  {text}\n  files:\n", 1))
    (project / ".secret-injector/dev/secret/mail.env").write_text("USER=shop\n")

    done = run(project, "env", *SVC)

    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if "MAIL_USER" in line] != []
