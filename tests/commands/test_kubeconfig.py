"""Which cluster and namespace a person means: what kubectl would take, or clear words."""

import json
import subprocess
import sys

import pytest

from tests.commands.desk import CANARY, config
from tests.commands.laptop import run

UNUSABLE = '{}, context "here": its cluster or its user cannot be used'
KUBECONFIGS = [
    ("", "{}: not a kubeconfig"),
    ("{", "{}: not YAML"),
    ({"contexts": []}, "{}: there is no current context"),
    ({"current-context": "here"}, '{}: there is no context "here"'),
    (
        {"current-context": "here", "contexts": [{"name": "here", "context": {"cluster": "c"}}]},
        '{}: the context "here" names no cluster with a server',
    ),
    (
        config(1, server="http://api.example.org"),
        '{}: the server of the context "here" is not reached by https',
    ),
    (
        config(1, scheme="https", **{"certificate-authority-data": "c4n4ry"}),
        UNUSABLE,
    ),
    (
        config(1, user={"tokenFile": "/no/token"}),
        UNUSABLE + ": /no/token: no such file or directory",
    ),
    (
        {**config(1), "users": [{"name": "u", "token": CANARY}]},
        UNUSABLE,
    ),
]


@pytest.mark.parametrize(("content", "line"), KUBECONFIGS)
def test_a_kubeconfig_that_cannot_be_used_is_refused_without_a_word_of_it(desk, content, line):
    """A library would quote the entry, and with it a token."""
    path = desk.kubeconfig(content, "broken")

    done = desk.secret("list", "--kubeconfig", path)

    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[0] == f"SI-201 {line.format(path)}"


def test_no_kubeconfig_at_all_is_a_mistake_in_the_call(desk, monkeypatch):
    """Wherever it was looked for."""
    monkeypatch.setenv("KUBECONFIG", "a:b")

    done = desk.secret("list")

    assert done.status == 2
    assert done.err.splitlines() == [
        "SI-201 a:b: there is no kubeconfig",
        "       hint: --kubeconfig FILE names one, KUBECONFIG does so for kubectl too",
    ]


def test_who_acts_as_somebody_else_is_not_taken_for_themselves(desk):
    """They would write with more rights than kubectl has for them."""
    desk.kubeconfig(config(desk.cluster.api.port, user={"token": CANARY, "as": "developer"}))

    done = desk.secret("list")

    what = 'the user of the context "here" acts as somebody else (as)'
    line = f"SI-112 {desk.folder}/.kube/config: {what}"
    assert (done.status, done.err.splitlines()[0]) == (2, line)
    assert desk.cluster.api.seen == []


def test_the_namespace_is_the_one_named_or_the_contexts_or_default(desk):
    """As kubectl chooses."""
    port = desk.cluster.api.port
    for namespace in ("default", "billing", "shop"):
        desk.put(f"of-{namespace}", {"a": "1"}, namespace=namespace)

    named = desk.secret("list", "-n", "billing")
    of_context = desk.secret("list")
    desk.kubeconfig(config(port, namespace=None))
    of_nobody = desk.secret("list")

    assert [named.out, of_context.out, of_nobody.out] == [
        "of-billing\n",
        "of-shop\n",
        "of-default\n",
    ]


def test_of_several_files_the_first_current_context_counts(desk, monkeypatch):
    """As for kubectl; a file that is not there is passed over."""
    desk.put("payment", {"a": "1"})
    port = desk.cluster.api.port
    elsewhere = json.loads(json.dumps(config(1)).replace('"here"', '"there"'))
    elsewhere = json.loads(json.dumps(elsewhere).replace('"c"', '"d"').replace('"u"', '"v"'))
    first = desk.kubeconfig(config(port), "first")
    second = desk.kubeconfig(elsewhere, "second")
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{first}:{second}")

    current = desk.secret("list")
    named = desk.secret("list", "--context", "there")
    unknown = desk.secret("list", "--context", "ther")

    assert (current.status, current.out) == (0, "payment\n")
    assert (named.status, named.err.splitlines()[0]) == (
        7,
        "SI-503 k8s shop/: 127.0.0.1:1 cannot be reached",
    )
    assert unknown.err.splitlines()[1] == '       hint: did you mean "there"?'


def test_a_credential_plugin_is_asked_and_its_token_sent(desk):
    """It runs as kubectl runs it; the token goes to the server alone."""
    plugin(desk, f"print('{json.dumps(credential())}')")
    done = desk.secret("list")

    assert (done.status, done.err) == (0, "")
    sent = [headers.get("Authorization") for headers in desk.cluster.api.headers]
    assert sent == ["Bearer c4n4ry-token"]


@pytest.mark.parametrize(
    "code", ["sys.exit('c4n4ry')", "print('c4n4ry')", "print('{}')", "print('[]')"]
)
def test_a_credential_plugin_that_fails_is_named_without_what_it_prints(desk, code):
    """Its output may hold a token."""
    plugin(desk, code)

    done = desk.secret("list")

    assert done.status == 5
    assert done.err == (
        f'SI-401 {desk.folder}/.kube/config, context "here":'
        " the credential plugin gives no credential\n"
        "       hint: kubectl auth whoami shows what the plugin says\n"
    )


def test_a_process_of_its_own_logs_nothing_of_what_a_plugin_prints(desk):
    """The library logs it as an error, and Python shows an error that nobody handles."""
    plugin(desk, "sys.exit('c4n4ry')")

    ended = run(desk.folder, "secret", "list", "--store", "k8s")

    assert (ended.returncode, ended.stdout) == (5, "")
    assert "c4n4ry" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 2


def test_only_a_store_of_a_cluster_loads_the_client_of_kubernetes(desk):
    """It takes a second to load, and nobody else needs it."""
    code = (
        "import sys; from injector import cli; status = cli.run(sys.argv[1:]);"
        "print('kubernetes_asyncio' in sys.modules, 'aiohttp' in sys.modules, file=sys.stderr)"
    )
    local = {"file": {"file": "secrets.age"}, "identity": {"file": "identity.txt"}}
    desk.stores(("local", {"local": local}))

    ends = [
        subprocess.run(
            [sys.executable, "-c", code, "secret", "list", "--store", store],
            cwd=desk.folder,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for store in ("local", "k8s")
    ]

    assert ends == ["False False\n", "True True\n"]


def plugin(desk, code):
    """Write a kubeconfig whose user is known by a program of this code."""
    command = {"command": sys.executable, "args": ["-c", f"import sys; {code}"]}
    run = {"apiVersion": "client.authentication.k8s.io/v1", **command}
    desk.kubeconfig(config(desk.cluster.api.port, user={"exec": run}))


def credential():
    """Return what a plugin prints."""
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "c4n4ry-token"},
    }
