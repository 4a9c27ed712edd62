"""What an upgrade will deny is found before it, and `lint --fix` writes the imports anew."""

import json

import pytest
import yaml

from webhook.commands import fixes, offline, upgrade
from webhook.commands import lint as linting

EXPORTER = """\
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: telemetry, namespace: evil}
spec:
  env: {API_KEY: x, URL: y, LD_PRELOAD: z, HIDDEN: h}
  exports:
    - {to: {namespaces: [shop]}, keys: [API_KEY, URL, LD_PRELOAD]}
"""

BLOCK = """\
# A comment that stays.\r
apiVersion: secret-injector.io/v1alpha1\r
kind: ServiceSecrets\r
metadata: {name: app, namespace: shop}\r
spec:\r
  env:\r
    __import_svc: $telemetry.evil   # why\r
    "É": "ünïcode"\r
    B:   '#{$telemetry.evil/URL}'\r
"""
LISTED = """\
kind: ServiceSecrets
metadata: {name: app, namespace: shop}
spec:
  env:
    __import_svc:
    - $base
    - "$telemetry.evil"     # quoted
    - from: $telemetry.evil
      keys:
        -   "API_*"   # a pattern
        - URL
    - {from: $telemetry.evil, keys: ['*', API_KEY]}
---
kind: ServiceSecrets
metadata: {name: base, namespace: shop}
spec: {env: {A: x}}
"""
POD = """\
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  template:
    metadata:
      annotations:
        secret-injector.io/env: |
          # inner
          __import_svc: $telemetry.evil

          A: "#{$telemetry.evil/URL}"
    spec: {containers: [{name: app, command: [app]}]}
"""
QUOTED = POD.replace(
    """|
          # inner
          __import_svc: $telemetry.evil

          A: "#{$telemetry.evil/URL}"
""",
    r'"__import_svc: [$telemetry.evil]\nA: \"#{$telemetry.evil/URL}\""' + "\n",
)
VOLCANO = """\
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: app, namespace: shop}
spec:
  tasks:
    - template:
        metadata:
          annotations:
            secret-injector.io/env: |
              __import_svc: $telemetry.evil
        spec: {containers: [{name: app, command: [app]}]}
"""
JSON = json.dumps(
    {
        "kind": "List",
        "items": [
            {
                "kind": "ServiceSecrets",
                "metadata": {"name": "app", "namespace": "shop"},
                "spec": {"env": {"__import_svc": ["$telemetry.evil"], "B": "x"}},
            }
        ],
    },
    indent=1,
)
LINE = "{from: $telemetry.evil, keys: [API_KEY, URL]}"
IMPORTED = f"__import_svc: {LINE}"
JSON_LINE = '{"from": "$telemetry.evil", "keys": ["API_KEY", "URL"]}'

FILES = {
    "block.yaml": (BLOCK, BLOCK.replace("__import_svc: $telemetry.evil", f"__import_svc: {LINE}")),
    "list.yaml": (
        LISTED,
        LISTED.replace('"$telemetry.evil"', JSON_LINE)
        .replace('"API_*"', '"API_KEY"')
        .replace("['*', API_KEY]", "[URL, API_KEY]"),
    ),
    "pod.yaml": (POD, POD.replace("__import_svc: $telemetry.evil", f"__import_svc: {LINE}")),
    "quoted.yaml": (QUOTED, QUOTED.replace("[$telemetry.evil]", f"[{LINE}]")),
    "volcano.yaml": (VOLCANO, VOLCANO.replace("__import_svc: $telemetry.evil", IMPORTED)),
    "all.json": (JSON, JSON.replace('"$telemetry.evil"', JSON_LINE)),
}


@pytest.fixture
def lint(tmp_path, capsys):
    """Return a function that lints texts in files and returns status, output and folder."""

    def run(*argv, **texts):
        for name, text in texts.items():
            (tmp_path / name).write_bytes(text.encode())
        status = linting.main(["-f", str(tmp_path), *argv])
        return status, capsys.readouterr().out.replace(f"{tmp_path}/", "")

    return run


@pytest.mark.parametrize("name", FILES)
def test_fix_names_the_keys_and_leaves_every_other_byte(name, lint, tmp_path):
    """Comments, line ends, quotes, order and other texts that look alike stay as they were."""
    before, after = FILES[name]

    status, out = lint(**{"exporter.yaml": EXPORTER, name: before})
    assert (status, "SI-131" in out) == (3, True)
    status, out = lint("--fix")

    assert (tmp_path / name).read_bytes().decode() == after
    assert (tmp_path / "exporter.yaml").read_text() == EXPORTER
    assert "SI-131" not in out
    list(yaml.safe_load_all(after))


@pytest.mark.parametrize("name", FILES)
def test_fixing_twice_changes_nothing_more(name, lint, tmp_path):
    """What is written is what is accepted."""
    lint("--fix", **{"exporter.yaml": EXPORTER, name: FILES[name][0]})
    once = (tmp_path / name).read_bytes()
    lint("--fix")

    assert (tmp_path / name).read_bytes() == once


def test_what_cannot_be_rewritten_in_place_stays_a_finding(lint, tmp_path):
    """An exporter that nobody knows, a folded text and an anchor are left to people."""
    texts = {
        "unknown.yaml": BLOCK.replace("telemetry", "nobody"),
        "folded.yaml": POD.replace("env: |", "env: >"),
        "anchor.yaml": LISTED.replace('"$telemetry.evil"', "&x $telemetry.evil"),
    }

    status, out = lint("--fix", **{"exporter.yaml": EXPORTER}, **texts)

    assert status == 3
    assert (tmp_path / "unknown.yaml").read_bytes().decode() == texts["unknown.yaml"]
    assert (tmp_path / "folded.yaml").read_text() == texts["folded.yaml"]
    assert "&x $telemetry.evil" in (tmp_path / "anchor.yaml").read_text()
    assert "SI-131" in out
    assert "SI-116" in out


def test_lint_lists_what_an_upgrade_will_deny(lint):
    """Each at the file and line where it can be mended."""
    app = """\
kind: ServiceSecrets
metadata: {name: app, namespace: shop}
spec:
  env:
    __import_svc:
    - {from: $other.evil, keys: [SECRET, NODE_OPTIONS]}
    JAVA_OPTS: -Xmx1g
    A: "#{$other.evil/SECRET}"
"""
    other = """\
kind: ServiceSecrets
metadata: {name: other, namespace: evil}
spec:
  env: {SECRET: "#{k8s:db#x}", NODE_OPTIONS: "--require x"}
  exports: [{to: {namespaces: ["*"]}, keys: ["*"]}]
"""

    status, out = lint(**{"app.yaml": app, "other.yaml": other, "import.yaml": BLOCK})

    assert status == 3
    found = {line.split(": error: ")[0]: line for line in out.splitlines() if ": error: " in line}
    assert "SI-118" in found["app.yaml:7"]
    assert "app.yaml:5" in found
    assert "SI-116" in out
    assert {"SI-118", "SI-130"} <= {word for word in out.split() if word.startswith("SI-")}


def test_lint_warns_of_endpoints_and_of_nothing_ordinary(lint):
    """A warning at the key's line, and status 0."""
    text = """\
kind: ServiceSecrets
metadata: {name: app, namespace: shop}
spec:
  env:
    DATABASE_URL: x
    Http_Proxy: proxy:3128
    PGPASSWORD: "#{k8s:db#x}"
"""

    status, out = lint(**{"app.yaml": text})

    what = '"Http_Proxy" decides whom a process talks to or believes, in every pod that takes it'
    assert status == 0
    assert f"app.yaml:6: warning: SI-118 spec.env.Http_Proxy: {what}\n" in out
    assert out.count("SI-118") == 1


def test_policy_test_lists_what_an_upgrade_will_deny(tmp_path):
    """By service and workload, beneath the cases."""
    (tmp_path / "a.yaml").write_text(EXPORTER + "---\n" + BLOCK.replace("\r", "") + "---\n" + POD)
    world = offline.world([str(tmp_path)], namespace="default", kubernetes_version="1.35")

    found = upgrade.denied(world)

    assert {name: sorted({p.code.id for p in each}) for name, each in found.items()} == {
        "ServiceSecrets evil/telemetry": ["SI-118"],
        "ServiceSecrets shop/app": ["SI-131"],
        "Deployment shop/app": ["SI-131"],
    }


def test_nothing_is_written_where_nothing_is_wrong(tmp_path):
    """A file without such an import is not touched."""
    (tmp_path / "a.yaml").write_text(EXPORTER)
    world = offline.world([str(tmp_path)], namespace="default", kubernetes_version="1.35")
    before = (tmp_path / "a.yaml").stat()

    assert fixes.fix(world) == []
    assert (tmp_path / "a.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_a_grant_that_is_not_handed_on_is_found_at_who_takes_the_key(lint):
    """The exporter's own pods may use the key: only with its taker is it wrong."""
    middle = """\
kind: ServiceSecrets
metadata: {name: telemetry, namespace: evil}
spec:
  env: {URL: "#{$db.data/KEY}"}
  exports: [{to: {namespaces: [shop]}, keys: ["*"]}]
---
kind: ServiceSecrets
metadata: {name: db, namespace: data}
spec:
  env: {KEY: x}
  exports: [{to: {namespaces: [evil]}, keys: ["*"]}]
"""
    pod = """\
kind: Pod
metadata:
  name: app
  namespace: shop
  annotations: {secret-injector.io/env: "A: '#{$telemetry.evil/URL}'"}
spec: {containers: [{name: app, command: [app]}]}
"""

    status, out = lint(**{"middle.yaml": middle, "pod.yaml": pod})

    what = "nothing called $db.data/KEY is offered here"
    assert status == 3
    assert [line for line in out.splitlines() if ": error: " in line] == [
        f"pod.yaml:1: error: SI-116 spec.env.URL for URL (ServiceSecrets evil/telemetry): {what}"
    ]
