"""Row F: our container starts through our static launcher, whatever others put into its env.

The real launcher runs `fetch` in a root of its own, where a program that shows what it was given
stands in the interpreter's place.
"""

import ast
import os
from pathlib import Path

import pytest

import injector
from injector.core import plan as plans
from tests import asking
from tests.launcher.conftest import call, launcher, start
from webhook.core import our_container

__all__ = ["launcher", "start"]  # fixtures

SHOW = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char *argv[]) {
    char where[4096];
    for (int i = 0; i < argc; i++) { fputs(argv[i], stdout); putchar(0); }
    putchar(0);
    fputs(getcwd(where, sizeof where), stdout); putchar(0);
    for (char **entry = environ; *entry; entry++) { fputs(*entry, stdout); putchar(0); }
    return 0;
}
"""
ARGV = ["/usr/bin/python", "-I", "-S", "-X", "lazy_imports=all", "/app/start.py", "fetch"]
FIXED = ["PATH=/usr/bin", "HOME=/nonexistent"]
OURS = ["SECRET_INJECTOR_PLAN=eJw-_0", "SECRET_INJECTOR_LOG_LEVEL=info", "POD_NAME=api-7d4f.x"]
TOKEN = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"
IDENTITY = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials",
    f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={TOKEN}",
]
STEERING = [
    *("LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/evil", "GLIBC_TUNABLES=x", "GCONV_PATH=/evil"),
    *("PYTHONPATH=/evil", "PYTHONHOME=/evil", "PYTHONSTARTUP=/evil", "PYTHON_LAZY_IMPORTS=none"),
    *("SSL_CERT_FILE=/evil", "SSL_CERT_DIR=/evil", "OPENSSL_CONF=/evil", "OPENSSL_MODULES=/evil"),
    *("HTTPS_PROXY=http://evil", "https_proxy=http://evil", "ALL_PROXY=x", "NO_PROXY=x"),
    *("VAULT_ADDR=http://evil", "VAULT_TOKEN=x", "VAULT_CACERT=/evil", "AWS_ENDPOINT_URL=x"),
    *("AWS_PROFILE=x", "AWS_CONFIG_FILE=/evil", "AWS_ROLE_ARN=x", "AZURE_AUTHORITY_HOST=x"),
    *("KUBERNETES_SERVICE_HOST=evil", "HOSTALIASES=/evil", "RES_OPTIONS=x", "LOCALDOMAIN=evil"),
    *("SECRET_INJECTOR_SOURCES_DIR=/evil", "SECRET_INJECTOR_VOLUME_DIR=/evil"),
    *("SECRET_INJECTOR_SECRETS_DIR=/evil", "SECRET_INJECTOR_LAUNCHER=/evil"),
    *("SECRET_INJECTOR_TERMINATION_LOG=/evil", "SECRET_INJECTOR_ENV_DIR=/evil"),
    *("SECRET_INJECTOR_PLAN2=x", "XSECRET_INJECTOR_PLAN=x", "secret_injector_plan=x"),
    *("PATH=/evil", "HOME=/evil", "TZ=/evil", "LANG=evil", "TMPDIR=/evil", "=x", "x", ""),
]


@pytest.fixture(scope="session")
def image(launcher, tmp_path_factory):
    """A root folder with the launcher, and a program that shows argv, folder and environment."""
    root = tmp_path_factory.mktemp("image")
    source = root / "show.c"
    source.write_text(SHOW)
    for name in ("usr/bin", "usr/lib/secret-injector", "work"):
        (root / name).mkdir(parents=True)
    call(["musl-gcc", "-static", "-o", root / "usr/bin/python", source])
    (root / "usr/lib/secret-injector/launcher").write_bytes(launcher.read_bytes())
    (root / "usr/lib/secret-injector/launcher").chmod(0o755)
    return root


@pytest.fixture
def fetch(start, image):
    """Return a function that runs the launcher's `fetch` there; gives the shown and the told."""

    def fetch(entries):
        def enter():
            if os.geteuid() != 0:
                os.unshare(os.CLONE_NEWUSER)
            os.chroot(image)
            os.chdir("/work")

        result = start(
            "fetch",
            program=our_container.COMMAND[0],
            before_exec=enter,
            environment=[entry.encode() for entry in entries],
        )
        argv, _, rest = result.stdout.partition(b"\0\0")
        folder, *environ = rest.decode().split("\0")[:-1]
        assert argv.decode().split("\0") == ARGV
        assert folder == "/"
        assert result.status == 0
        return environ, result.stderr.decode()

    return fetch


def test_only_the_table_of_variables_reaches_the_fetcher(fetch):
    """Of all that others set nothing arrives, and ours and a cloud's identity do."""
    seen, told = fetch([*STEERING, *IDENTITY, *OURS, *STEERING])

    assert seen == [*FIXED, *OURS, *IDENTITY]
    assert told == ""


def test_each_variable_that_the_fetcher_reads_is_in_the_table(fetch):
    """What the pod's program looks for in its environment is passed on, or is a person's own."""
    read = set()
    for path in Path(injector.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(n)), *_]
                ):
                    if ast.unparse(node.func.value) in {"os.environ", "environ"}:
                        read.add(n)
                case ast.Subscript(
                    value=ast.Attribute(attr="environ"), slice=ast.Constant(value=n)
                ):
                    read.add(n)

    kubeconfig = {"KUBECONFIG"}
    made = {entry.partition("=")[0] for entry in (*OURS, *IDENTITY)}
    assert read - kubeconfig <= made == set(our_container.PASSED)


BAD = {
    "SECRET_INJECTOR_PLAN": ["", "$(X)", "a b", "a\n", "eJw=", "x" * (plans.MAX_ENCODED + 1)],
    "SECRET_INJECTOR_LOG_LEVEL": ["", "INFO", "info\n", "x" * 17],
    "POD_NAME": ["", "a\nb", "A", "a/b", "x" * 254, "\x1b[2J", '","level":"error'],
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": [
        *("", "https://evil.example/", "http://evil.example/", "http://169.254.170.2.evil/"),
        *("http://169.254.170.23@evil/", "http://169.254.170.23:80@evil/", "file:///etc/passwd"),
        *("http://169.254.169.254/", "http://169.254.170.230/", "http://169.254.170.23:/x"),
        *("http://169.254.170.23:123456/", "http://169.254.170.23/?a", "http://169.254.170.23/#"),
        *("http://127.0.0.1.evil/", "http://localhost/", "http://[::1]evil/", "HTTP://127.0.0.1/"),
        *("http://169.254.170.23\\@evil/", "http://169.254.170.23/\r\nX: y", " http://127.0.0.1/"),
        "http://127.0.0.1/" + "x" * 256,
    ],
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": [
        *("", "/etc/passwd", "eks-pod-identity-token", TOKEN.rpartition("/")[0] + "/"),
        "/var/run/secrets/kubernetes.io/serviceaccount/tokens/vault",
        "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/../../kubernetes.io/x",
        "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/./x",
        "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount//x",
        *(f"{TOKEN}/..", f"{TOKEN}/", f"{TOKEN}\n", f"{TOKEN} ", f"{TOKEN}/" + "x" * 512),
    ],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BAD.items() for v in vs])
def test_a_value_of_another_form_is_left_out_with_a_line_that_does_not_quote_it(fetch, name, value):
    """The line has a code, the name and the form; the rest is passed on."""
    rest = [entry for entry in (*OURS, *IDENTITY) if not entry.startswith(f"{name}=")]

    seen, told = fetch([f"{name}={value}", *rest])

    assert seen == [*FIXED, *rest]
    first, hint, end = told.split("\n")
    assert first.startswith(
        f'SI-615 launcher: variable not passed to the fetcher "{name}": it is not'
    )
    assert hint.startswith("hint: ")
    assert end == ""
    assert not value or value not in told or value in name


@pytest.mark.parametrize(
    "value",
    [
        *("http://169.254.170.2/v2/credentials/0f-1_e.x", "http://169.254.170.23/v1/credentials"),
        *("http://[fd00:ec2::23]/v1/credentials", "http://127.0.0.1:8080/a", "http://[::1]"),
    ],
)
def test_every_documented_agent_is_passed_on(fetch, value):
    """ECS, EKS on both address families, and loopback."""
    entry = f"AWS_CONTAINER_CREDENTIALS_FULL_URI={value}"

    assert fetch([entry]) == ([*FIXED, entry], "")


def test_a_name_that_is_set_twice_is_left_out(fetch):
    """Programs differ on which of two counts, so neither does."""
    seen, told = fetch([OURS[0], "SECRET_INJECTOR_PLAN=eJx", *OURS[1:]])

    assert seen == [*FIXED, *OURS[1:]]
    assert told.startswith(
        'SI-615 launcher: variable not passed to the fetcher "SECRET_INJECTOR_PLAN"'
    )


def test_the_largest_plan_is_passed_on(fetch):
    """The launcher's limit is the plan's own."""
    entry = "SECRET_INJECTOR_PLAN=" + "x" * plans.MAX_ENCODED

    assert fetch([entry]) == ([*FIXED, entry], "")


@pytest.mark.parametrize("extra", [["x"], ["--", "/bin/true"], ["fetch"]])
def test_fetch_takes_no_arguments(start, image, extra):
    """Whoever adds to the arguments gets no fetcher."""
    result = start("fetch", *extra)

    assert result.status == 125
    assert result.stdout == b""


def test_the_patch_starts_our_container_through_the_launcher():
    """Command and arguments are both written, so that the image's own do not count."""
    pod = asking.pod({"env": 'A: "#{vault:secret/a#x}"'})
    after = asking.patched(pod, asking.outcome(pod, asking.vault()))
    (ours,) = (c for c in after["spec"]["initContainers"] if c["name"] == "secret-injector")

    assert ours["command"] == ["/usr/lib/secret-injector/launcher"]
    assert ours["args"] == ["fetch"]
    assert [entry["name"] for entry in ours["env"]] == list(our_container.PASSED[:3])


@pytest.mark.parametrize(
    ("path", "is_ours"),
    [
        *(("/", True), ("", True), ("/app", True), ("/app/", True), ("//app", True), ("/.", True)),
        *(("/x/../app", True), ("/usr/lib", True), ("/etc/ld.so.preload", True), ("/var", True)),
        *(("/secret-injector", True), ("/var/run/secrets", True), ("/dev/shm", True)),
        *(
            (our_container.SOURCES_PATH, True),
            (our_container.SOURCES_PATH + "/tokens", True),
            ("app", True),
        ),
        *(("/application", False), ("/run", False), ("/opt/x", False), ("/var/lib", False)),
        *(("/var/run/secrets/eks.amazonaws.com/serviceaccount", False), ("/tmp", False)),
        *(("/var/run/secrets/kubernetes.io/other", False), ("/var/runaway", False)),
    ],
)
def test_a_mount_is_over_ours_at_above_and_below_our_paths(path, is_ours):
    """Identities of clouds are mounted beside our tokens, which is fine."""
    assert our_container.is_over_ours(path) is is_ours
