# ruff: noqa: E501 - one row of the table is one line
"""The guard inside the API server: which pods it lets pass when no webhook has a say.

It is installed under another annotation prefix, for one namespace, so that no release is asked. The
pods are those that our webhook makes, each with one thing changed that somebody may change later.
"""

import itertools
import json
import string

import pytest
import yaml

from tests import tampering
from tests.chart.manifests import CHART
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until
from tests.tampering import BEFORE, NAMESPACE, NEXT, OWN, app, ours, unmount, volume

PREFIX = "trial.example.org/"
ASKS = {f"{PREFIX}service": "shop"}
DIGEST = OWN.partition("@")[2]
NO_CONTAINER = (
    "the pod names values to inject, and no container of the injector is in it: the webhook was"
    " not asked, its work was undone, or the names stand for nothing;"
    f' {PREFIX}inject: "false" opts out'
)
VALUES = {
    "injected": {
        "image": {
            "registry": "registry.example",
            "repository": "secret-injector",
            "digest": DIGEST,
        }
    },
    "guard": {
        "images": ["mirror.example/injector:1", "prefix.example/*"],
        "previousImages": [BEFORE],
    },
}


def disguised(text):
    """Return the chart's objects, or a pod's, under the trial's prefix."""
    text = text.replace("secret-injector.io/", PREFIX)
    return text.replace("secret-injector[.]io/", PREFIX.replace(".", "[.]"))


def rendered(helm, template, *, namespace=NAMESPACE):
    """Return the objects of a template of the chart, in force for one namespace."""
    label = {"kubernetes.io/metadata.name": namespace}
    values = {**VALUES, "webhook": {"namespaceSelector": {"matchLabels": label}}}
    text = helm(
        *("template", "trial", CHART, "--namespace", "trial-system", "--values", "-"),
        *("--show-only", f"templates/{template}.yaml"),
        stdin=json.dumps(values),
    )
    return list(yaml.safe_load_all(disguised(text)))


def injected():
    """Return a pod as our webhook makes it, which the API server takes."""
    pod = json.loads(disguised(json.dumps(tampering.injected())))
    return {**pod, "apiVersion": "v1", "kind": "Pod"}


def bare(annotations, **container):
    """Return a pod that our webhook has not seen."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app", **container}]},
    }


@pytest.fixture(scope="module")
def verdict(cluster, helm, apart):
    """Return a function from a pod to the guard's objection, or None."""
    objects = rendered(helm, "guard")
    cluster.apply(objects)

    def judged(pod):
        try:
            cluster.create(pod, NAMESPACE, dry_run=True)
        except ApiError as error:
            return said(error)
        return None

    until(lambda: judged(bare(ASKS)), what="the guard is in force", timeout_s=60)
    yield judged
    for item in reversed(objects):
        cluster.delete(item["kind"], item["metadata"]["name"])


def said(error):
    """Return the guard's words of a denial; the whole message of any other one."""
    by, _, words = error.message.partition(" denied request: ")
    return words if "ValidatingAdmissionPolicy 'trial-secret-injector-" in by else error.message


@pytest.mark.parametrize(
    "annotations",
    [{}, {f"{PREFIX}inject": "false"}, {f"{PREFIX}inject": "false", **ASKS}, {"other/env": "x"}],
)
def test_pods_that_do_not_ask_pass(verdict, annotations):
    """Without an annotation of ours, or opted out, nothing is asked of a pod."""
    assert verdict(bare(annotations)) is None


def test_injected_pod_passes(verdict):
    """What the webhook makes is what the guard expects: launcher, native variables, files, Secret."""
    assert verdict(injected()) is None


@pytest.mark.parametrize("name", ["service", "env", "env.app", "files", "files.app"])
def test_pod_that_names_values_needs_our_container(verdict, name):
    """A pod that escaped the webhook is refused, whichever annotation names its values."""
    assert verdict(bare({f"{PREFIX}{name}": "x"})) == NO_CONTAINER


def test_reference_in_a_container_counts(verdict):
    """A reference in a variable is a value where the pod says so; settings alone are none."""
    asks = {f"{PREFIX}inject": "true", f"{PREFIX}env-mode": "auto"}
    env = [{"name": "A", "value": "#{k8s:a#b}"}]

    assert verdict(bare(asks)) is None
    assert verdict(bare(asks, env=env)) == NO_CONTAINER


@pytest.mark.parametrize(
    ("settings", "names", "verdict_"),
    [
        ({"env-mode": "auto"}, ["A"], None),
        ({"inject": "true", "containers": "other"}, ["A"], None),
        ({"inject": "true", "containers": "other, app"}, ["A"], NO_CONTAINER),
        ({"inject": "true", "inline": ""}, ["A"], None),
        ({"inject": "true", "inline": "B,DB_*"}, ["A", "XDB_"], None),
        ({"inject": "true", "inline": "B, DB_*"}, ["A", "DB_URL"], NO_CONTAINER),
        ({"inject": "true", "inline": "A.B"}, ["AxB"], None),
        ({"inject": "true", "inline": "A.B"}, ["A.B"], NO_CONTAINER),
    ],
)
def test_text_in_env_counts_only_where_the_webhook_would_evaluate_it(
    verdict, settings, names, verdict_
):
    """A commit message is no value to inject: not without the pod's word, not beside `inline`."""
    asks = {PREFIX + name: text for name, text in settings.items()}
    pod = bare(asks, env=[{"name": name, "value": "#{k8s:a#b}"} for name in names])
    pod["spec"]["containers"].append({"name": "other", "image": "x"})

    assert verdict(pod) == verdict_


def test_a_copy_of_our_annotations_in_env_is_no_value(verdict):
    """Argo's ARGO_TEMPLATE quotes the pod's annotations, references included."""
    env = [{"name": "A", "value": PREFIX + "env: #{k8s:a#b}"}]

    assert verdict(bare({f"{PREFIX}inject": "true"}, env=env)) is None


def _mounted(pod, container, **changes):
    """Add a mount to a container, and the volume if there is none of that name."""
    container.setdefault("volumeMounts", []).append({"mountPath": "/x", **changes})
    if changes["name"] not in [v["name"] for v in pod["spec"]["volumes"]]:
        pod["spec"]["volumes"].append({"name": changes["name"], "emptyDir": {}})


def _ours(**changes):
    return lambda pod: ours(pod).update(changes)


def _context(**changes):
    return lambda pod: ours(pod)["securityContext"].update(changes)


def _over(path, **more):
    return lambda pod: _mounted(pod, ours(pod), name="evil", mountPath=path, **more)


def kind(name, **source):
    """Return a change that makes a volume one of another kind."""

    def change(pod):
        found = volume(pod, name)
        for key in [key for key in found if key != "name"]:
            del found[key]
        found.update(source)

    return change


def _other_mount(**changes):
    return lambda pod: _mounted(pod, app(pod), **changes)


def _file_mount(**changes):
    def change(pod):
        [mount] = [m for m in app(pod)["volumeMounts"] if m["mountPath"].startswith("/run/secrets")]
        mount.update(changes)

    return change


def _single(**changes):
    mount = {
        "name": "secret-injector",
        "mountPath": "/etc/app/key",
        "subPath": "app/placed/etc/app/key",
        "readOnly": True,
    }
    return lambda pod: _mounted(pod, app(pod), **{**mount, **changes})


def _only_single(pod):
    for name in ("app", "aux"):
        unmount(pod, app(pod, name), FILES)
    _single(mountPath="/srv/key", subPath="app/placed/srv/key")(pod)


def _device(pod):
    claim = {"claimName": "disk"}
    pod["spec"]["volumes"].append({"name": "disk", "persistentVolumeClaim": claim})
    ours(pod)["volumeDevices"] = [{"name": "disk", "devicePath": "/app"}]


def _source(**source):
    def change(pod):
        volume(pod, "secret-injector-sources")["projected"]["sources"].append(source)

    return change


def _audience(audience):
    def change(pod):
        tampering.tokens(pod)[0]["audience"] = audience

    return change


def _borrowed(pod):
    key = {"volumeName": "secret-injector-env", "path": "aux/A", "key": "A"}
    app(pod).setdefault("env", []).append({"name": "A", "valueFrom": {"fileKeyRef": key}})


def _borrowed_by_number(pod):
    key = {"volumeName": "secret-injector-env", "path": "aux/+0", "key": "VALUE"}
    app(pod).setdefault("env", []).append({"name": "a/b", "valueFrom": {"fileKeyRef": key}})


def _launch_file(pod):
    key = {"volumeName": "secret-injector", "path": "app/launch/env", "key": "A"}
    app(pod, "aux")["env"].append({"name": "Z", "valueFrom": {"fileKeyRef": key}})


def _unlaunched(pod):
    app(pod)["command"] = app(pod)["command"][3:]


def _plan(*entries):
    def change(pod):
        kept = [e for e in ours(pod)["env"] if e["name"] != tampering.PLAN]
        ours(pod)["env"] = [*kept, *({"name": tampering.PLAN, **entry} for entry in entries)]

    return change


def _sources_twice(pod):
    ours(pod)["env"] += [{"name": "SECRET_INJECTOR_SOURCES", "value": text} for text in "ab"]


def _hostile_init(pod):
    pod["spec"]["initContainers"].append(
        {
            "name": "thief",
            "image": "thief",
            "volumeMounts": [{"name": "secret-injector", "mountPath": "/x"}],
        }
    )


def _own_files(pod):
    pod["metadata"]["annotations"][f"{PREFIX}files.app"] = "a: b"
    unmount(pod, app(pod), FILES)


def _without_variables(pod):
    _unlaunched(pod)
    unmount(pod, app(pod), "/run/secret-injector")
    app(pod, "aux")["env"] = [{"name": "A", "value": "x"}]


def _without_anything(pod):
    pod["metadata"]["annotations"] = ASKS
    _without_variables(pod)
    for name in ("app", "aux"):
        unmount(pod, app(pod, name), FILES)


def _stripped(pod):
    pod["metadata"]["annotations"] = {}
    pod["spec"]["initContainers"][0]["image"] = "evil"


OURS = "container secret-injector, "
IMAGE = " is not one of this release or of the release before"
RIGHTS = ": it has rights that the injector does not ask for"
OVER = ": it is over its code or its own folders, or not as the injector makes it"
MISSING = OURS + "volumeMounts: one of the injector's is missing"
KIND = ": it is not of the kind that the injector makes"
SOURCES = (
    OURS + "volume secret-injector-sources: it holds something else than short tokens for a"
    " store's audience and single keys of Secrets and ConfigMaps"
)
FOREIGN = ": it is beyond its own read-only folders of the injector"
LAUNCH = "command: the launcher and its mount at /run/secret-injector do not go together"
NOT_SET = ": the injector does not set it"
PLAN = OURS + "env SECRET_INJECTOR_PLAN: it is not there exactly once with a value"
VOLUME, SOURCE_VOLUME = "/secret-injector/volume", "/var/run/secrets/kubernetes.io/serviceaccount"
FILES = "/run/secrets/injector"

REFUSED = {
    # The image.
    "another image": (_ours(image="evil.example/i@" + DIGEST), OURS + "image: evil.example/i@" + DIGEST + IMAGE),
    "an image of like name": (_ours(image="registry.example/secret-injector-evil:1"), OURS + "image: registry.example/secret-injector-evil:1" + IMAGE),
    "an older image of the repository": (_ours(image=NEXT), OURS + f"image: {NEXT}{IMAGE}"),
    "a tag of the repository": (_ours(image="registry.example/secret-injector:0.0.1"), OURS + "image: registry.example/secret-injector:0.0.1" + IMAGE),
    "another tag of a listed image": (_ours(image="mirror.example/injector:1.0"), OURS + "image: mirror.example/injector:1.0" + IMAGE),
    "a prefix without a digest of ours": (_ours(image="prefix.example/secret-injector:1"), OURS + "image: prefix.example/secret-injector:1" + IMAGE),
    "a prefix with another digest": (_ours(image="prefix.example/i@" + NEXT.partition("@")[2]), OURS + "image: prefix.example/i@" + NEXT.partition("@")[2] + IMAGE),
    # What it runs.
    "no command": (lambda pod: ours(pod).pop("command"), OURS + "command: it is not the injector's"),
    "another command": (_ours(command=["python3", "-c", "pass"]), OURS + "command: it is not the injector's"),
    "more of a command": (_ours(command=["/usr/lib/secret-injector/launcher", "x"]), OURS + "command: it is not the injector's"),
    "no args": (lambda pod: ours(pod).pop("args"), OURS + "args: they are not the injector's"),
    "other args": (_ours(args=["demo"]), OURS + "args: they are not the injector's"),
    "more args": (_ours(args=["fetch", "--x"]), OURS + "args: they are not the injector's"),
    "no plan": (_plan(), PLAN),
    "two plans": (_plan({"value": "x"}, {"value": "y"}), PLAN),
    "a plan from elsewhere": (_plan({"valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}), PLAN),
    "sources twice": (_sources_twice, OURS + "env SECRET_INJECTOR_SOURCES: it is there twice"),
    "tokens of another under the other name of /var/run": (_over("/run/secrets/kubernetes.io/serviceaccount/tokens"), OURS + "volumeMounts /run/secrets/kubernetes.io/serviceaccount/tokens" + OVER),
    "a sidecar": (_ours(restartPolicy="Always"), OURS + "restartPolicy" + NOT_SET),
    "a device": (_device, OURS + "volumeDevices" + NOT_SET),
    "a report into our volume": (_ours(terminationMessagePath=VOLUME + "/x"), OURS + "terminationMessagePath" + NOT_SET),
    "an open input": (_ours(stdin=True), OURS + "stdin" + NOT_SET),
    # Its rights.
    "no security context": (lambda pod: ours(pod).pop("securityContext"), OURS + "securityContext.(absent)" + RIGHTS),
    "escalation": (_context(allowPrivilegeEscalation=True), OURS + "securityContext.allowPrivilegeEscalation" + RIGHTS),
    "privileged": (_context(allowPrivilegeEscalation=True, privileged=True), OURS + "securityContext.allowPrivilegeEscalation" + RIGHTS),
    "a capability": (_context(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}), OURS + "securityContext.capabilities.add" + RIGHTS),
    "capabilities kept": (_context(capabilities={"drop": ["CHOWN"]}), OURS + "securityContext.capabilities.drop" + RIGHTS),
    "a root that can be written": (_context(readOnlyRootFilesystem=False), OURS + "securityContext.readOnlyRootFilesystem" + RIGHTS),
    "root allowed": (_context(runAsNonRoot=False), OURS + "securityContext.runAsNonRoot" + RIGHTS),
    "root": (_context(runAsUser=0), OURS + "securityContext.runAsUser" + RIGHTS),
    "root's group": (_context(runAsGroup=0), OURS + "securityContext.runAsGroup" + RIGHTS),
    "the image's user": (lambda pod: ours(pod)["securityContext"].pop("runAsUser"), OURS + "securityContext.runAsUser" + RIGHTS),
    "no seccomp": (_context(seccompProfile={"type": "Unconfined"}), OURS + "securityContext.seccompProfile" + RIGHTS),
    "the pod's seccomp": (lambda pod: ours(pod)["securityContext"].pop("seccompProfile"), OURS + "securityContext.seccompProfile" + RIGHTS),
    "another seccomp": (_context(seccompProfile={"type": "Localhost", "localhostProfile": "a"}), OURS + "securityContext.seccompProfile" + RIGHTS),
    "no AppArmor": (_context(appArmorProfile={"type": "Unconfined"}), OURS + "securityContext.appArmorProfile" + RIGHTS),
    "an SELinux type": (_context(seLinuxOptions={"type": "spc_t"}), OURS + "securityContext.seLinuxOptions" + RIGHTS),
    # Its volumes and mounts.
    "our volume of the node": (kind("secret-injector", hostPath={"path": "/tmp"}), OURS + "volume secret-injector" + KIND),
    "our volume on disk": (kind("secret-injector", emptyDir={}), OURS + "volume secret-injector" + KIND),
    "our volume of huge pages": (kind("secret-injector-sources", emptyDir={"medium": "Memory"}), OURS + "volume secret-injector-sources" + KIND),
    "a claim": (kind("secret-injector", persistentVolumeClaim={"claimName": "a"}), OURS + "volume secret-injector" + KIND),
    "variables on disk": (kind("secret-injector-env", emptyDir={}), OURS + "volume secret-injector-env" + KIND),
    "a Secret from the node": (kind("secret-injector-secret-0", hostPath={"path": "/tmp"}), OURS + "volume secret-injector-secret-0" + KIND),
    "a token for the API server": (_audience(""), SOURCES),
    "a token elsewhere": (_source(serviceAccountToken={"audience": "x", "path": "x"}), SOURCES),
    "a token for a day": (_source(serviceAccountToken={"audience": "x", "path": "tokens/x", "expirationSeconds": 86400}), SOURCES),
    "a whole Secret": (_source(secret={"name": "other"}), SOURCES),
    "fields of the pod": (_source(downwardAPI={"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}), SOURCES),
    "our mount off": (lambda pod: unmount(pod, ours(pod), VOLUME), MISSING),
    "sources off": (lambda pod: unmount(pod, ours(pod), SOURCE_VOLUME), MISSING),
    "our volume once more": (lambda pod: _mounted(pod, ours(pod), name="secret-injector", mountPath="/y"), OURS + "volumeMounts /y" + OVER),
    **{
        f"a mount at {path}": (_over(path), f"{OURS}volumeMounts {path}{OVER}")
        for path in ("/", "/app", "/app/", "/app/injector", "/usr", "/usr/lib/secret-injector", "/lib", "/bin",
                     "/etc", "/etc/ssl/certs", "/proc/1", "/dev/shm", "/secret-injector", "/secret-injector/secrets/x",
                     VOLUME + "/app", SOURCE_VOLUME + "/tokens", "/var", "/var/run/secrets/kubernetes.io", "relative",
                     "//usr", "/x/../usr", "/./app", "/x//y", "/..")
    },
    # What others see of ours.
    "launcher taken off": (_unlaunched, "container app, " + LAUNCH),
    "launcher's mount taken off": (lambda pod: unmount(pod, app(pod), "/run/secret-injector"), "container app, " + LAUNCH),
    "launcher mounted elsewhere": (lambda pod: app(pod)["volumeMounts"][0].update(mountPath="/y"), "container app, volumeMounts /y of volume secret-injector" + FOREIGN),
    "a single file elsewhere": (_single(mountPath="/y"), "container app, volumeMounts /y of volume secret-injector" + FOREIGN),
    "another container's single file": (_single(subPath="aux/placed/etc/app/key"), "container app, volumeMounts /etc/app/key of volume secret-injector" + FOREIGN),
    "a single file to write to": (_single(readOnly=False), "container app, volumeMounts /etc/app/key of volume secret-injector" + FOREIGN),
    "all single files": (_single(subPath="app/placed", mountPath="/etc/app"), "container app, volumeMounts /etc/app of volume secret-injector" + FOREIGN),
    "the whole volume": (_other_mount(name="secret-injector", readOnly=True), "container app, volumeMounts /x of volume secret-injector" + FOREIGN),
    "a folder to write to": (_other_mount(name="secret-injector", subPath="app/files"), "container app, volumeMounts /x of volume secret-injector" + FOREIGN),
    "all of it by a dot": (_file_mount(subPath="."), f"container app, volumeMounts {FILES} of volume secret-injector" + FOREIGN),
    "another container's files": (_file_mount(subPath="aux/files"), f"container app, volumeMounts {FILES} of volume secret-injector" + FOREIGN),
    "another container's launcher": (_other_mount(name="secret-injector", subPath="aux/launch", readOnly=True), "container app, volumeMounts /x of volume secret-injector" + FOREIGN),
    "above its folder": (_file_mount(subPath="app"), f"container app, volumeMounts {FILES} of volume secret-injector" + FOREIGN),
    "its folder by another way": (_file_mount(subPath="app/files/"), f"container app, volumeMounts {FILES} of volume secret-injector" + FOREIGN),
    "a folder by an expression": (lambda pod: (_file_mount(subPathExpr="app/files")(pod), app(pod)["volumeMounts"][1].pop("subPath")), f"container app, volumeMounts {FILES} of volume secret-injector" + FOREIGN),
    "tokens": (_other_mount(name="secret-injector-sources", readOnly=True), "container app, volumeMounts /x of volume secret-injector-sources" + FOREIGN),
    "variables of all": (_other_mount(name="secret-injector-env", readOnly=True), "container app, volumeMounts /x of volume secret-injector-env" + FOREIGN),
    "a whole Secret of ours": (_other_mount(name="secret-injector-secret-0", readOnly=True), "container app, volumeMounts /x of volume secret-injector-secret-0" + FOREIGN),
    "an init container at our volume": (_hostile_init, "container thief, volumeMounts /x of volume secret-injector" + FOREIGN),
    "another container's variable": (_borrowed, "container app, env: it takes a variable of another container from the injector"),
    "another container's variable by its number": (_borrowed_by_number, "container app, env: it takes a variable of another container from the injector"),
    "a variable from our main volume": (_launch_file, "container aux, env: it takes a variable of another container from the injector"),
    "files taken off": (lambda pod: [unmount(pod, app(pod, name), FILES) for name in ("app", "aux")], "container app, aux, volumeMounts: the pod names files, and they are not mounted from the injector"),
    "one container's files taken off": (_own_files, "container app, volumeMounts: the pod names files, and they are not mounted from the injector"),
    "variables taken off": (_without_variables, "container app, aux, env: the pod names variables, and they do not come from the injector"),
    "all of a service taken off": (_without_anything, OURS[:-2] + ": no container of the pod gets anything from it"),
    # Who takes the annotations off.
    "annotations off": (_stripped, OURS + "image: evil" + IMAGE),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_pod_that_was_changed_later_is_refused(verdict, name):
    """Each change is refused, with a message that names the container and the field."""
    change, expected = REFUSED[name]
    pod = injected()
    change(pod)

    assert verdict(pod) == expected


def _everywhere(pod):
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]


def _mesh(pod):
    proxy = {"name": "mesh", "image": "mesh", "env": [{"name": "A", "value": "#{x}"}]}
    pod["spec"]["initContainers"].insert(0, {**proxy, "name": "mesh-init"})
    pod["spec"]["containers"].append(proxy)
    _mounted(pod, proxy, name="mesh")


def _identity(pod):
    for container in _everywhere(pod):
        container.setdefault("env", []).append({"name": "AWS_ROLE_ARN", "value": "x"})
        path = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
        _mounted(pod, container, name="aws-token", mountPath=path, readOnly=True)


def _environment(pod):
    for container in _everywhere(pod):
        variables = {"LD_PRELOAD": "/agent.so", "PYTHONPATH": "/agent", "HTTPS_PROXY": "http://p"}
        container.setdefault("env", []).extend(
            {"name": name, "value": value} for name, value in variables.items()
        )
        container["envFrom"] = [{"configMapRef": {"name": "settings"}}]


def _hooks(pod):
    app(pod)["readinessProbe"] = {"exec": {"command": ["true"]}}
    app(pod)["livenessProbe"] = {"httpGet": {"port": 80}}
    app(pod)["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "1"]}}}


def _another_launcher(pod):
    app(pod)["command"] = ["/other/run", "--", *app(pod)["command"]]


def _launched_by_arguments(pod):
    app(pod)["args"] = [*app(pod)["command"], *app(pod).get("args", [])]
    app(pod)["command"] = ["/other/run"]


def _resources(pod):
    ours(pod)["resources"] = {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }


def _pulled(pod):
    for container in _everywhere(pod):
        container["imagePullPolicy"] = "Always"
    pod["spec"]["imagePullSecrets"] = [{"name": "pull"}]


def _own_volume(pod):
    _mounted(pod, app(pod), name="secret-injector-config")


def _placed(pod):
    pod["spec"]["tolerations"] = [{"operator": "Exists"}]
    pod["spec"]["nodeSelector"] = {"a": "b"}
    pod["spec"]["hostNetwork"] = True
    pod["metadata"]["labels"] = {"a": "b"}
    pod["spec"]["securityContext"]["fsGroup"] = 7


ALLOWED = {
    "mesh": _mesh,
    "cloud identity": _identity,
    "foreign variables": _environment,
    "probes and hooks": _hooks,
    "another launcher in front of ours": _another_launcher,
    "another launcher that has our command as its arguments": _launched_by_arguments,
    "larger requests and a CPU limit": _resources,
    "pull policy and pull Secrets": _pulled,
    "a volume of the pod with a name like ours": _own_volume,
    "placement, labels and the pod's own security": _placed,
    "a mount outside our paths": _over("/mnt/cache"),
    "a mount beside our tokens": _over("/var/run/secrets/other"),
    "a mount whose name begins like ours": _over("/application"),
    "an SELinux level": _context(seLinuxOptions={"level": "s0:c1,c2"}),
    "a runtime's AppArmor": _context(appArmorProfile={"type": "RuntimeDefault"}),
    "another working directory": _ours(workingDir="/tmp"),
    "the image of the release before": _ours(image=BEFORE),
    "a listed image": _ours(image="mirror.example/injector:1"),
    "a listed prefix with our digest": _ours(image="prefix.example/any/name@" + DIGEST),
    "a listed prefix with the digest of before": _ours(
        image="prefix.example/i@" + BEFORE.partition("@")[2]
    ),
}


# The guard cannot know which files a pod asked for: the webhook does.
OTHER_FILES = {"a file of its own": _single(), "files of their own alone": _only_single}


@pytest.mark.parametrize("name", [*ALLOWED, *OTHER_FILES])
def test_what_other_software_may_change_passes(verdict, name):
    """Meshes, clouds, agents, mirrors, quotas and people do not meet the guard."""
    pod = injected()
    (ALLOWED | OTHER_FILES)[name](pod)

    assert verdict(pod) is None


def test_all_of_it_passes_together(verdict):
    """One pod with every change that other software may make."""
    pod = injected()
    for change in list(ALLOWED.values())[:-4]:
        change(pod)

    assert verdict(pod) is None


def test_largest_annotations_are_judged_within_the_budget(verdict):
    """A pod with as many annotations as Kubernetes allows is judged, not refused for its cost."""
    letters = string.ascii_lowercase + string.digits
    names = ("".join(word) for n in (1, 2, 3) for word in itertools.product(letters, repeat=n))
    annotations = dict.fromkeys(names, "")
    assert 130_000 < sum(map(len, annotations)) < 262_144

    assert verdict(bare(annotations)) is None
    assert verdict(bare({**annotations, **ASKS})) == NO_CONTAINER


def test_the_largest_pod_is_judged_within_the_budget(verdict):
    """128 containers with 40 variables and 40 mounts each: 640 KB of JSON."""
    pod = injected()
    pod["spec"]["volumes"] += [{"name": f"volume-{n}", "emptyDir": {}} for n in range(40)]
    for number in range(126):
        pod["spec"]["containers"].append(
            {
                "name": f"more-{number}",
                "image": "app",
                "env": [{"name": f"NAME_{n}", "value": "#{" + "x" * 40} for n in range(40)],
                "volumeMounts": [
                    {"name": f"volume-{n}", "mountPath": f"/some/longer/path/{n}"}
                    for n in range(40)
                ],
            }
        )

    assert verdict(pod) is None
    _unlaunched(pod)
    assert verdict(pod) == "container app, " + LAUNCH


def test_the_largest_pod_with_text_like_references_is_judged_within_the_budget(verdict):
    """128 containers with 40 texts that `inline` leaves out: each of them is looked at."""
    asks = {f"{PREFIX}inject": "true", f"{PREFIX}inline": "DB_*,API_KEY,*_TOKEN"}
    pod = bare(asks)
    env = [{"name": f"NAME_{n}", "value": "#{" + "x" * 40} for n in range(40)]
    pod["spec"]["containers"] = [
        {"name": f"app-{number}", "image": "app", "env": env} for number in range(128)
    ]

    assert verdict(pod) is None


STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
def stored(cluster, apart):
    """Return a function that stores a pod, which nobody runs, and gives its name."""
    names = []

    def store(pod):
        pod["spec"] |= {"schedulerName": "nobody", "terminationGracePeriodSeconds": 0}
        pod["metadata"]["name"] = f"guarded-{len(names)}"
        names.append(pod["metadata"]["name"])
        cluster.create(pod, NAMESPACE)
        return pod["metadata"]["name"]

    yield store
    for name in names:
        cluster.delete("Pod", name, NAMESPACE, grace_s=0)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            "evil",
            OURS + "image: the change is not to one of this release or of the release before",
        ),
        (
            "registry.example/secret-injector:0.0.2",
            OURS + "image: the change is not to one of this release or of the release before",
        ),
        (OWN, None),
        (BEFORE, None),
    ],
)
def test_our_image_is_not_changed_later_but_to_one_of_ours(
    cluster, verdict, stored, image, expected
):
    """`kubectl set image` on our container is judged; of an older one, too."""
    del verdict
    name = stored(injected())
    index = [c["name"] for c in cluster.get("Pod", name, NAMESPACE)["spec"]["initContainers"]]
    at = index.index("secret-injector")
    change = [{"op": "replace", "path": f"/spec/initContainers/{at}/image", "value": image}]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}?dryRun=All"
    found = None
    try:
        cluster.api.request("PATCH", path, change, content_type="application/json-patch+json")
    except ApiError as error:
        found = said(error)

    assert found == expected


EPHEMERAL = {
    "nothing of ours": ({}, None),
    **{
        f"volume {name}": (
            {"volumeMounts": [{"name": name, "mountPath": "/x", "readOnly": True}]},
            (
                f"container debug, volumeMounts /x of volume {name}: an ephemeral container may not"
                " mount a volume of the injector"
            ),
        )
        for name in (
            "secret-injector",
            "secret-injector-env",
            "secret-injector-sources",
            "secret-injector-secret-0",
        )
    },
    "a variable": (
        {
            "env": [
                {
                    "name": "A",
                    "valueFrom": {
                        "fileKeyRef": {
                            "volumeName": "secret-injector-env",
                            "path": "aux/A",
                            "key": "A",
                        }
                    },
                }
            ]
        },
        (
            "container debug, env: an ephemeral container may not take variables from a volume of the"
            " injector"
        ),
    ),
    "our process": (
        {"targetContainerName": "secret-injector"},
        (
            "container debug, targetContainerName: an ephemeral container may not look into the"
            " container secret-injector"
        ),
    ),
    "the application's process": ({"targetContainerName": "app"}, None),
}


@pytest.mark.parametrize("name", EPHEMERAL)
def test_ephemeral_containers_keep_away(cluster, verdict, stored, name):
    """A debug container may be added, and may not reach into our volumes or our container."""
    del verdict
    fields, expected = EPHEMERAL[name]
    pod = stored(injected())
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/ephemeralcontainers?dryRun=All"
    changes = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "debug", **fields}]}}
    found = None
    try:
        cluster.api.request("PATCH", path, changes, content_type=STRATEGIC)
    except ApiError as error:
        found = said(error)

    assert found == expected
