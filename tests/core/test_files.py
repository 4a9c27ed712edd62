"""Where files may lie, who can read them, and what is refused before a pod is made."""

import dataclasses

import pytest

from tests import asking
from webhook.core import decide, mount_paths, ownership
from webhook.core.catalog import Catalog
from webhook.core.pod import Container

REFUSED = [
    "/etc",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca.pem",
    "/etc/ssl/certs/java/cacerts",
    "/etc/ssl/cert.pem",
    "/etc/ld.so.conf",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf.d/x",
    "/etc/ld.so.cache",
    "/etc/ld-musl-x86_64.path",
    "/etc/pki",
    "/etc/pki/ca-trust/extracted",
    "/proc",
    "/proc/1/environ",
    "/sys",
    "/sys/fs",
    "/dev",
    "/dev/shm",
    "/dev/shm/x",
    "/run",
    "/var",
    "/var/run",
    "/run/secrets",
    "/var/run/secrets",
    "/run/secrets/kubernetes.io",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/var/run/secrets/eks.amazonaws.com",
    "/run/secrets/eks.amazonaws.com/serviceaccount/token",
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
    "/var/run/secrets/azure/tokens",
    "/run/secret-injector",
    "/var/run/secret-injector/env",
    "/bin",
    "/lib",
    "/lib64",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/var/lib",
]

ALLOWED = [
    "/etc/myapp",
    "/etc/myapp/tls.key",
    "/etc/ssl/private/app.key",
    "/etc/pki/tls/private/app.key",
    "/etc/passwd-x",
    "/etc/ld.so",
    "/etc/hosts.allow",
    "/var/run/secrets/shop",
    "/run/secrets/shop/key",
    "/run/secrets/azure-x",
    "/run/secrets/kubernetes.io-x",
    "/srv/keys",
    "/app/foo",
    "/var/lib/shop/.pgpass",
    "/srv/app/.ssh/authorized_keys",
    "/usr/share/elasticsearch/config/certs/http.p12",
    "/usr/lib/shop/key",
    "/var/lib/postgresql/server.key",
    "/procfs",
    "/system",
    "/device",
    "/run/secret-injectors",
]


@pytest.mark.parametrize("path", REFUSED)
def test_nothing_is_placed_where_the_system_or_an_identity_keeps_its_own(path):
    """As the folder of files and as a single file; `/var/run` is `/run`."""
    as_folder = asking.outcome(asking.pod({"files": "a: x", "files_path": path}))
    as_folder_of_one = asking.outcome(asking.pod({"files": "a: x", "files_path.app": path}))
    as_file = asking.outcome(asking.pod({"files": f"{path}: x"}))

    assert asking.codes(as_folder) == asking.codes(as_folder_of_one) == ["SI-103"]
    assert asking.codes(as_file) == ["SI-104"]


@pytest.mark.parametrize("path", ALLOWED)
def test_files_are_placed_anywhere_else(path):
    """Slashes at the end of a folder make no difference."""
    folders = []
    for text in (path, path + "/", path + "//"):
        pod = asking.pod({"files": "a: x", "files_path": text})
        decided = asking.outcome(pod)
        assert decided.kind == "inject", decided.problems
        [mount] = asking.patched(pod, decided)["spec"]["containers"][0]["volumeMounts"]
        folders.append((mount["mountPath"], mount["subPath"], mount["readOnly"]))
    pod = asking.pod({"files": f"k: {{value: x, path: {path}}}"})
    [file] = asking.patched(pod, asking.outcome(pod))["spec"]["containers"][0]["volumeMounts"]

    assert folders == [(path, "app/files", True)] * 3
    assert file == {
        "name": "secret-injector",
        "mountPath": path,
        "subPath": f"app/placed{path}",
        "readOnly": True,
    }


@pytest.mark.parametrize("folder", ["/home", "/opt", "/root", "/srv", "/tmp", "/var/tmp"])
def test_a_folder_of_every_image_may_be_hidden_but_is_no_place_for_a_file(folder):
    """A single file cannot be mounted where the image has a folder."""
    assert mount_paths.refusal(folder, is_folder=True) == ""
    assert mount_paths.refusal(folder, is_folder=False) == f'"{folder}" is a folder of the image'


@pytest.mark.parametrize("path", ["/a/../b", "/a//b", "/./a", "/a/", "//a", "/a b", "/a:b", "/é"])
def test_the_path_of_a_file_is_written_in_one_way(path):
    """What is not canonical is refused, not tidied up."""
    decided = asking.outcome(asking.pod({"files": f'k: {{value: x, path: "{path}"}}'}))

    assert asking.codes(decided) == ["SI-104"]


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("required: false", "deny"),
        ('required: false, default: ""', "inject"),
        ("required: true", "inject"),
        ('matches: "a+"', "inject"),
        ("default: x", "inject"),
    ],
)
def test_a_file_that_is_mounted_by_itself_is_always_there(rule, kind):
    """A mount cannot be left out: without a value there would be a folder in its place."""
    pod = asking.pod({"files": f"/srv/a: {{value: '#{{k8s:app#a}}', {rule}}}"})

    assert asking.outcome(pod).kind == kind


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ("a: x\n/srv/keys/b: x", "/srv/keys"),
        ("a: x\n/srv/keys: x", "/srv/keys"),
        ("a: x\n/srv/keys: x", "/srv/keys/below"),
        ("/run/shop/a: x\n/var/run/shop/a: x", "/srv/keys"),
        ("/run/shop/a: x\n/var/run/shop/a/b: x", "/srv/keys"),
        ("/var/run/shop/a: x\n/run/shop/a/b: x", "/srv/keys"),
    ],
)
def test_no_two_mounts_of_ours_are_in_each_others_way(files, folder):
    """A file in the folder, the folder in a file's place, one path in two spellings."""
    decided = asking.outcome(asking.pod({"files": files, "files_path": folder}))

    assert asking.codes(decided) == ["SI-105"]


def test_one_container_has_its_own_folder_and_the_others_the_shared_one():
    """`files-path.<container>` before `files-path` before the default."""
    pod = asking.pod({"files": "a: x", "files_path": "/srv/all", "files_path.app": "/srv/app/"})
    pod["spec"]["containers"].append({"name": "aux", "image": "aux"})

    after = asking.patched(pod, asking.outcome(pod))

    folders = [c["volumeMounts"][0]["mountPath"] for c in after["spec"]["containers"]]
    assert folders == ["/srv/app", "/srv/all"]


def _in_volume(volume, **mount):
    pod = asking.pod(
        {"files": "/data/key: x"}, volumeMounts=[{"name": "v", "mountPath": "/data", **mount}]
    )
    pod["spec"]["volumes"] = [{"name": "v", **volume}]
    return asking.outcome(pod).kind


@pytest.mark.parametrize(
    ("volume", "mount", "kind"),
    [
        ({"emptyDir": {}}, {}, "inject"),
        ({"emptyDir": {}}, {"subPath": "a"}, "inject"),
        ({"emptyDir": {}}, {"readOnly": True}, "deny"),
        ({"persistentVolumeClaim": {"claimName": "a"}}, {}, "inject"),
        ({"persistentVolumeClaim": {"claimName": "a", "readOnly": True}}, {}, "deny"),
        ({"csi": {"driver": "a", "readOnly": True}}, {}, "deny"),
        ({"hostPath": {"path": "/data"}}, {}, "inject"),
        ({"configMap": {"name": "a"}}, {}, "deny"),
        ({"secret": {"secretName": "a"}}, {}, "deny"),
        ({"projected": {"sources": []}}, {}, "deny"),
        ({"downwardAPI": {"items": []}}, {}, "deny"),
        ({"image": {"reference": "a"}}, {}, "deny"),
    ],
)
def test_a_file_lies_in_a_volume_in_which_it_can_be_made(volume, mount, kind):
    """The runtime makes an empty file there to mount ours on, unless the volume is only read."""
    assert _in_volume(volume, **mount) == kind


def test_many_files_and_many_mounts_are_compared_in_one_pass():
    """The work grows with their number, not with its square."""
    files = "".join(f"/srv/f{at}: x\n" for at in range(500))
    mounts = [{"name": "v", "mountPath": "/m" * 200 + f"/{at}"} for at in range(20_000)]
    decided = asking.outcome(asking.pod({"files": files}, volumeMounts=mounts))

    assert decided.kind == "inject", decided.problems


def _root(**context):
    return Container(
        pointer="/spec/containers/0",
        raw={"name": "app", "securityContext": {"runAsUser": 0, **context}},
        is_init=False,
    ).reads_any_file({"spec": {}})


@pytest.mark.parametrize(
    ("capabilities", "reads"),
    [
        ({}, True),
        ({"drop": ["NET_RAW"]}, True),
        ({"drop": ["ALL"]}, False),
        ({"drop": ["all"]}, False),
        ({"drop": ["DAC_OVERRIDE"]}, False),
        ({"drop": ["CAP_DAC_OVERRIDE"]}, False),
        ({"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}, True),
        ({"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}, True),
        ({"drop": ["ALL"], "add": ["CHOWN", "ALL"]}, False),
        ({"drop": ["DAC_OVERRIDE"], "add": ["ALL"]}, True),
        ({"drop": ["DAC_OVERRIDE", "DAC_READ_SEARCH"], "add": ["ALL"]}, False),
    ],
)
def test_root_reads_any_file_as_long_as_it_has_the_capability(capabilities, reads):
    """The runtime's default set has CAP_DAC_OVERRIDE; containerd drops after it adds."""
    assert _root(capabilities=capabilities) is reads


def test_a_sibling_of_fewer_rights_is_not_given_the_same_decision():
    """Decided in one snapshot: what root may read depends on its capabilities."""
    catalog = Catalog.of(())
    kinds = []
    for capabilities in ({}, {"drop": ["ALL"]}):
        context = {"runAsUser": 0, "capabilities": capabilities}
        pod = asking.pod({"files": "a: {value: x, mode: '0400'}"}, securityContext=context)
        kinds.append(asking.outcome(pod, catalog=catalog).kind)

    assert kinds == ["inject", "deny"]


def test_nobody_but_root_reads_any_file():
    """A privileged root does in any case; a user of the image is not known."""
    assert _root(privileged=True, capabilities={"drop": ["ALL"]}) is True
    assert _root(runAsUser=1000) is False
    assert _root(runAsUser=None) is False


@pytest.mark.parametrize(
    ("setting", "said", "user", "codes"),
    [
        ("auto", "999", 999, []),
        ("auto", "2147483647", 2147483647, []),
        ("auto", "0", None, ["SI-103"]),
        ("auto", "2147483648", None, ["SI-103"]),
        ("auto", "root", None, ["SI-103"]),
        (None, "999", None, ["SI-103"]),
        (999, "999", 999, []),
        (1000, "999", None, ["SI-103"]),
    ],
)
def test_run_as_is_a_user_that_the_platform_allows(setting, said, user, codes):
    """The fetcher runs as that user, so the files are its own and no group is added."""
    injection = dataclasses.replace(asking.INJECTION, run_as_user=setting)
    pod = asking.pod({"files": "a: {value: x, mode: '0400'}", "run_as": said})
    decided = decide.decide(asking.request(pod), Catalog.of(()), injection)

    assert asking.codes(decided) == codes
    if user is not None:
        spec = asking.patched(pod, decided)["spec"]
        assert spec["initContainers"][0]["securityContext"]["runAsUser"] == user
        assert "securityContext" not in spec


def test_no_policy_sets_an_absolute_path_or_an_override():
    """Whoever edits its defaults must not place code in a pod; a folder is no file."""
    for default in (
        {"files": "a: {value: x, path: /srv/a}"},
        {"files": "/srv/a: x"},
        {"env": "A: {value: x, override: true}"},
    ):
        decided = asking.outcome(asking.pod({"env": "B: x"}), asking.policy(defaults=default))
        assert asking.codes(decided) == ["SI-121"], default
    guard = asking.policy(defaults={"files": "a: x", "files-path": "/srv/files"})
    pod = asking.pod({"env": "B: x"})
    after = asking.patched(pod, asking.outcome(pod, guard))
    paths = [m["mountPath"] for m in after["spec"]["containers"][0]["volumeMounts"]]
    assert paths == ["/run/secret-injector", "/srv/files"]


@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef", "fieldRef"])
def test_an_override_takes_the_entry_of_a_chart_away(kind):
    """The launcher's value is the only one of that name; the other entries stay as they are."""
    other = {"name": "OTHER", "value": "1"}
    entry = {"name": "A", "valueFrom": {kind: {"name": "chart", "key": "k"}}}
    pod = asking.pod({"env": "A: {value: x, override: true}"}, env=[entry, other])

    after = asking.patched(pod, asking.outcome(pod))

    assert after["spec"]["containers"][0]["env"] == [other]


def test_an_override_is_for_one_container_where_it_is_written_for_one():
    """The same name in another container stays what the chart made it."""
    entry = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "chart", "key": "k"}}}
    pod = asking.pod({"env.app": "A: {value: x, override: true}"}, env=[entry])
    pod["spec"]["containers"].append({"name": "aux", "image": "aux", "env": [entry]})

    after = asking.patched(pod, asking.outcome(pod))

    assert [c.get("env") for c in after["spec"]["containers"]] == [[], [entry]]


def test_what_overrides_is_the_key_that_references_mean():
    """A sibling that refers to the name gets the annotation's value, and no clash is left."""
    entry = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "chart", "key": "k"}}}
    env = "A: {value: x, override: true}\nB: 'say #{A}'"
    decided = asking.outcome(asking.pod({"env": env}, env=[entry]))

    assert decided.kind == "inject", decided.problems


def _told(files, image="app", **context):
    pod = asking.pod({"files": files}, image=image, securityContext=context)
    made = decide.make("shop", pod, Catalog.of(()), asking.INJECTION)[0]
    return [problem.what for problem in ownership.findings(pod, made.plan)]


@pytest.mark.parametrize("row", ownership.PARTICULARS, ids=lambda row: row.program)
def test_every_program_that_looks_at_owner_or_mode_is_named(row):
    """Each pattern of its files is found where the owner is another, and not where all is well."""
    image = row.images[0].replace("*", "") + ":1" if row.images else "app"
    for pattern in row.files:
        name = pattern.replace("*", "x")
        [what] = _told(f"{name}: x", image)
        assert what.startswith(f"{row.program} asks for a file {row.demand}: ")
        assert _told(f"{name}: x", image, runAsUser=1000) == []
        assert _told(f"{name}: {{value: x, mode: '0400'}}", image, runAsUser=65532) == []


def test_a_key_is_nobodys_business_in_the_image_of_another_program():
    """A pattern such as *.key counts with the image alone."""
    assert _told("tls.key: x", "docker.io/library/nginx:1") == []
    [what] = _told("tls.key: x", "ghcr.io/cloudnative-pg/postgresql:17@sha256:" + "0" * 64)
    asked = "asks for a file owned by its user, closed to group and others"
    assert what == f"PostgreSQL (TLS key) {asked}: its owner is 65532, its mode is 0440"


def test_a_reference_in_an_annotation_that_a_variable_copies_is_told_at_admission():
    """It can be seen there; what a ConfigMap or a Secret holds cannot."""
    env = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{of}']"}}}
        for name, of in (("A", "x/note"), ("B", "x/plain"), ("C", "x/gone"))
    ]
    env.append({"name": "D", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}})
    pod = asking.pod({"files": "a: x"}, env=env)
    pod["metadata"]["annotations"] |= {"x/note": "a #{k8s:app#key}", "x/plain": "#{name}"}

    [warning] = asking.outcome(pod).warnings
    what = '"#{k8s:…}" comes from annotation x/note, as text, and is not evaluated'
    assert warning.endswith(f"SI-125 env A of container app: {what}")
