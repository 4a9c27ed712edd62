"""What somebody changed of a pod after our injection, judged as the API server would store it.

Plan and audiences are judged here; fields and volumes by the guard inside the API server, which
`tests/e2e/test_guard.py` holds to the same table.
"""

import copy
import json
import re

import pytest
import yaml

from injector.core import plan_codec
from injector.core.record import replace
from tests import asking
from tests.chart.manifests import TEMPLATES
from tests.tampering import (
    BEFORE,
    CLUSTER,
    NEXT,
    OWN,
    PLAN,
    app,
    asked,
    injected,
    ours,
    plan_entry,
    tokens,
    unmount,
    volume,
)
from webhook.core import final_state, our_container, patch
from webhook.core.catalog import Catalog
from webhook.core.decide import Injection
from webhook.core.images import Images, Release
from webhook.core.recent import KEPT_S, MAX_KEPT, Recent

IMAGES = Images(own=OWN, before=(BEFORE,), listed=("mirror.example/injector:1",))


def verdict(pod, *before, catalog=None, **options):
    """Return what is said of the final pod: the problems on lines, or the reason why it passes."""
    catalogs = (catalog or Catalog.of(CLUSTER), *before)
    outcome = final_state.judge(asking.request(pod), catalogs, asking.INJECTION, IMAGES, **options)
    if outcome.kind == "allow":
        return outcome.reason
    assert outcome.kind == "deny"
    return [problem.line() for problem in outcome.problems]


def test_a_pod_as_we_make_it_passes():
    """Nothing was changed: the decision made anew is the one in the pod."""
    assert verdict(injected()) == "as_decided"


def replan(pod, change):
    """Change the plan in the pod."""
    entry = plan_entry(pod)
    entry["value"] = plan_codec.encode(change(plan_codec.decode(entry["value"])))


def elsewhere(plan):
    """Read another path of each store but `k8s`."""
    return replace(
        plan,
        reads=tuple(
            read
            if plan.stores[read.store].name == "k8s"
            else replace(read, path="kv/other/" + plan.stores[read.store].name)
            for read in plan.reads
        ),
    )


OTHER_PLANS = {
    "another path": elsewhere,
    "another address": lambda p: replace(
        p,
        stores=tuple(
            replace(s, document=s.document.replace("vault.example", "evil.example"))
            for s in p.stores
        ),
    ),
    "another role": lambda p: replace(
        p, stores=tuple(replace(s, document=s.document.replace("shop", "root")) for s in p.stores)
    ),
    "one read more that nothing uses": lambda p: replace(
        p, reads=(*p.reads, replace(p.reads[0], path="kv/other/db"))
    ),
    "one store more that nothing uses": lambda p: replace(
        p, stores=(*p.stores, replace(p.stores[0], name="evil"))
    ),
    "a variable less": lambda p: replace(
        p, containers=(replace(p.containers[0], env=p.containers[0].env[1:]), *p.containers[1:])
    ),
    "a file less": lambda p: replace(
        p, containers=(replace(p.containers[0], files=()), *p.containers[1:])
    ),
    "a variable of another value": lambda p: replace(
        p,
        containers=(
            replace(
                p.containers[0],
                env=tuple(replace(item, value=0) for item in p.containers[0].env),
            ),
            *p.containers[1:],
        ),
    ),
    "a file that all may write": lambda p: replace(
        p,
        containers=tuple(
            replace(c, files=tuple(replace(f, mode=0o666) for f in c.files)) for c in p.containers
        ),
    ),
    "a rule dropped": lambda p: replace(
        p, values=tuple(replace(v, parts=(*v.parts, "tail")) for v in p.values)
    ),
    "another ServiceAccount": lambda p: replace(p, service_account="admin"),
    "another namespace": lambda p: replace(p, namespace="kube-public"),
    "no container at all": lambda p: replace(p, containers=()),
}


@pytest.mark.parametrize("name", OTHER_PLANS)
def test_another_plan_is_refused(name):
    """Whatever is more, less or otherwise in the plan than today's decision is named."""
    pod = injected()
    replan(pod, OTHER_PLANS[name])

    said = verdict(pod)

    assert isinstance(said, list)
    assert all(line.startswith("SI-135 container ") for line in said)


def test_another_plan_is_named_by_container_and_target():
    """The denial says which variable of which container would be another one."""
    pod = injected()
    replan(
        pod, lambda p: replace(p, containers=(replace(p.containers[0], files=()), p.containers[1]))
    )

    assert verdict(pod) == [
        "SI-135 container app: file tls.key: the plan is not the one that this pod would get"
    ]


def test_the_plan_of_another_pod_is_refused():
    """A plan that is right for a sibling in the same namespace is not right here."""
    pod = injected()
    sibling = injected(asking.pod({"env": 'A: "#{vault:kv/shop/x#x}"'}))
    plan_entry(pod)["value"] = plan_entry(sibling)["value"]

    assert isinstance(verdict(pod), list)


def _strip_launcher(pod):
    app(pod)["command"] = app(pod)["command"][3:]


def _other_audience(pod):
    tokens(pod)[0]["audience"] = "https://kubernetes.default.svc"


def _more_tokens(pod):
    sources = volume(pod, "secret-injector-sources")["projected"]["sources"]
    token = {"audience": "https://evil.example", "path": "tokens/evil", "expirationSeconds": 600}
    sources.append({"serviceAccountToken": token})


def _more_secrets(pod):
    sources = volume(pod, "secret-injector-sources")["projected"]["sources"]
    sources.append(
        {"secret": {"name": "other", "items": [{"key": "a", "path": "secrets/other/a"}]}}
    )


def _other_secret(pod):
    volume(pod, "secret-injector-secret-0")["secret"]["secretName"] = "other"


def _fewer_tokens(pod):
    projected = volume(pod, "secret-injector-sources")["projected"]
    projected["sources"] = [s for s in projected["sources"] if "serviceAccountToken" not in s]


def _literal(pod):
    entry = next(e for e in app(pod, "aux")["env"] if e["name"] == "A")
    del entry["valueFrom"]
    entry["value"] = "x"


def _later_literal(pod):
    app(pod, "aux")["env"].append({"name": "A", "value": "x"})


def _group(pod):
    del pod["spec"]["securityContext"]


CHANGES = {
    "launcher off": (_strip_launcher, "container app, command: it is not started by the launcher"),
    "launcher's mount off": (
        lambda pod: unmount(pod, app(pod), "/run/secret-injector"),
        "container app, volumeMounts /run/secret-injector: it is not as the injector makes it",
    ),
    "files off": (
        lambda pod: unmount(pod, app(pod), "/run/secrets/injector"),
        "container app, volumeMounts /run/secrets/injector: it is not as the injector makes it",
    ),
    "files of another container": (
        lambda pod: app(pod)["volumeMounts"][-1].update(subPath="aux/files"),
        "container app, volumeMounts /run/secrets/injector: it is not as the injector makes it",
    ),
    "whole volume": (
        lambda pod: app(pod)["volumeMounts"][-1].update(subPath="."),
        "container app, volumeMounts /run/secrets/injector: it is not as the injector makes it",
    ),
    "writable": (
        lambda pod: app(pod)["volumeMounts"][-1].update(readOnly=False),
        "container app, volumeMounts /run/secrets/injector: it is not as the injector makes it",
    ),
    "audience changed": (
        _other_audience,
        (
            "container secret-injector, volume secret-injector-sources: it holds a token for"
            ' "https://kubernetes.default.svc" at tokens/bao, which the plan does not need'
        ),
    ),
    "token added": (
        _more_tokens,
        (
            "container secret-injector, volume secret-injector-sources: it holds a token for"
            ' "https://evil.example" at tokens/evil, which the plan does not need'
        ),
    ),
    "token taken away": (
        _fewer_tokens,
        (
            "container secret-injector, volume secret-injector-sources: it is to hold a token for"
            ' "https://bao.example" at tokens/bao'
        ),
    ),
    "Secret added": (
        _more_secrets,
        (
            "container secret-injector, volume secret-injector-sources: it holds secret other: a at"
            " secrets/other/a, which the plan does not need"
        ),
    ),
    "Secret exchanged": (
        _other_secret,
        (
            "container secret-injector, volume secret-injector-secret-0: it holds Secret other,"
            " which the plan does not need"
        ),
    ),
    "volume on disk": (
        lambda pod: volume(pod, "secret-injector").update(emptyDir={}),
        (
            "container secret-injector, volume secret-injector: it holds a disk, which the plan"
            " does not need"
        ),
    ),
    "volume of the node": (
        lambda pod: (
            volume(pod, "secret-injector").update({"hostPath": {"path": "/"}, "emptyDir": None})
            or volume(pod, "secret-injector").pop("emptyDir")
        ),
        (
            "container secret-injector, volume secret-injector: it holds hostPath, which the plan"
            " does not need"
        ),
    ),
    "variable made a literal": (
        _literal,
        '"A" is set by annotation secret-injector.io/env and by env of container aux',
    ),
    "variable set again": (
        _later_literal,
        '"A" is set by annotation secret-injector.io/env and by env of container aux',
    ),
    "group taken away": (
        _group,
        "pod, securityContext.supplementalGroups: the group 65532, which reads the files,",
    ),
    "other command": (
        lambda pod: ours(pod).update(command=["/bin/sh"]),
        "container secret-injector, command: it is not the injector's",
    ),
    "more args": (
        lambda pod: ours(pod).update(args=["fetch", "--help"]),
        "container secret-injector, args: it is not the injector's",
    ),
    "privileged": (
        lambda pod: ours(pod)["securityContext"].update(allowPrivilegeEscalation=True),
        (
            "container secret-injector, securityContext.allowPrivilegeEscalation: it is not the"
            " injector's"
        ),
    ),
    "a second plan": (
        lambda pod: ours(pod)["env"].append({"name": PLAN, "value": "x"}),
        "container secret-injector, env SECRET_INJECTOR_PLAN: it is not there exactly once",
    ),
    "a mount over the code": (
        lambda pod: ours(pod)["volumeMounts"].append({"name": "evil", "mountPath": "/app"}),
        "container secret-injector, volumeMounts /app: it is over the injector's code or folders",
    ),
    "a device": (
        lambda pod: ours(pod).update(volumeDevices=[{"name": "disk", "devicePath": "/app"}]),
        "container secret-injector, volumeDevices: the injector does not set it",
    ),
    "our container taken out": (
        lambda pod: pod["spec"].pop("initContainers"),
        "container secret-injector: it is missing, and volumes of it are there",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_our_parts_is_refused_with_container_and_field(name):
    """Each change is a denial that names the container and the field."""
    change, expected = CHANGES[name]
    pod = injected()
    change(pod)

    said = verdict(pod)

    assert [line for line in said if expected in line], said


def test_everything_of_ours_taken_out_is_refused():
    """A pod that asks and that the webhook never saw, or whose parts are all gone, is refused."""
    assert verdict(asked()) == [
        "SI-135 container secret-injector: it is missing from a pod that asks for injection"
    ]


def test_our_container_in_a_pod_that_does_not_ask_is_refused():
    """Whoever takes the annotations away, or writes our parts by hand, gets no plan of his own."""
    pod = injected()
    opted_out = copy.deepcopy(pod)
    pod["metadata"]["annotations"] = {}
    opted_out["metadata"]["annotations"]["secret-injector.io/inject"] = "false"
    expected = [
        "SI-135 container secret-injector: the pod carries it and does not ask for injection"
    ]

    assert verdict(pod) == expected
    assert verdict(opted_out) == expected


def test_pods_that_do_not_ask_pass():
    """A foreign pod passes, with a volume of our name, too."""
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "app"}]}}
    named = {**pod, "spec": {**pod["spec"], "volumes": [{"name": "secret-injector"}]}}

    assert [verdict(pod), verdict(named)] == ["not_asked", "not_asked"]


def _mesh(pod):
    spec = pod["spec"]
    spec["initContainers"] = [{"name": "mesh-init", "image": "mesh"}, *spec["initContainers"]]
    spec["containers"].append({"name": "mesh", "env": [{"name": "TEXT", "value": "x"}]})
    spec["volumes"].append({"name": "mesh", "emptyDir": {}})


def _identity(pod):
    for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
        container.setdefault("env", []).append({"name": "AWS_REGION", "value": "eu-1"})
        container.setdefault("volumeMounts", []).append(
            {"name": "aws", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}
        )
    pod["spec"]["volumes"].append({"name": "aws", "projected": {"sources": []}})


def _defaults(pod):
    for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
        container["imagePullPolicy"] = "Always"
        container["terminationMessagePath"] = "/dev/termination-log"
    pod["spec"]["securityContext"] = {**pod["spec"].get("securityContext", {}), "fsGroup": 7}
    pod["spec"]["tolerations"] = [{"operator": "Exists"}]
    pod["metadata"]["labels"] = {"a": "b"}


def _requests(pod):
    ours(pod)["resources"] = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}


def _probes(pod):
    app(pod)["readinessProbe"] = {"exec": {"command": ["/bin/ready"]}}
    app(pod)["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "5"]}}}


def _agent(pod):
    ours(pod)["env"].append({"name": "LD_PRELOAD", "value": "/agent.so"})
    ours(pod)["envFrom"] = [{"configMapRef": {"name": "proxy"}}]


def _mirror(pod):
    ours(pod)["image"] = ours(pod)["image"].replace("registry.example", "mirror.example")


def _listed(pod):
    ours(pod)["image"] = "mirror.example/injector:1"


ALLOWED = [_mesh, _identity, _defaults, _requests, _probes, _agent, _mirror, _listed]


@pytest.mark.parametrize("change", ALLOWED, ids=lambda change: change.__name__.strip("_"))
def test_what_other_software_may_change_passes(change):
    """Sidecars, identities, defaults, resources, probes, foreign variables, known mirrors."""
    pod = injected()
    change(pod)

    assert verdict(pod) == "as_decided"


def test_all_that_others_may_change_passes_together():
    """One after the other, on one pod."""
    pod = injected()
    for change in ALLOWED:
        change(pod)

    assert verdict(pod) == "as_decided"


def test_other_settings_of_the_platform_pass():
    """A replica that still has the settings of before writes another deadline and log level."""
    older = Injection(image=OWN, deadline_s=30, log_level="debug")

    assert verdict(injected(injection=older)) == "as_decided"


CHANGED = {
    "a store's address": (asking.vault(timeout="7s"), *CLUSTER[1:]),
    "a key of the service": (
        *CLUSTER[:3],
        asking.service("shop", "db", {"DB": "#{vault:kv/shop/db#other}"}),
    ),
    "the store is gone": CLUSTER[1:],
    "a node that is too old for fileKeyRef": (*CLUSTER, asking.node("v1.30.0")),
    "a policy that forbids it": (*CLUSTER, asking.policy(rules={"stores": {"deny": ["vault"]}})),
}


@pytest.mark.parametrize("name", CHANGED)
def test_the_catalog_of_a_moment_ago_counts(name):
    """What was right when the pod was injected passes; without that snapshot it is refused."""
    pod = injected()
    now = Catalog.of(CHANGED[name])

    assert isinstance(verdict(pod, catalog=now), list)
    assert verdict(pod, Catalog.of(CLUSTER), catalog=now) == "as_decided"


def test_a_refusal_speaks_of_today():
    """Of several snapshots under which a pod is refused, the newest says why."""
    pod = injected()
    forbidding = asking.policy(rules={"stores": {"deny": ["vault"]}})
    now, before = Catalog.of((*CLUSTER, forbidding)), Catalog.of(CLUSTER[1:])

    said = verdict(pod, before, catalog=now)

    assert said
    assert all("policy guard" in line for line in said)


def _of(image, pod=None):
    pod = pod or injected()
    ours(pod)["image"] = image
    return pod


def _by_other_rules(pod):
    """Change the plan as a release with other rules might have made it: a variable more."""

    def more(plan):
        first = plan.containers[0]
        item = replace(first.env[0], name="BY_OTHER_RULES")
        return replace(
            plan, containers=(replace(first, env=(*first.env, item)), *plan.containers[1:])
        )

    replan(pod, more)
    return pod


@pytest.mark.parametrize("image", [BEFORE, NEXT])
def test_what_another_release_wrote_passes_within_what_the_pod_may_ask(image):
    """During an upgrade replicas of two releases write and judge: rules may differ, bounds not."""
    assert verdict(_of(image)) == "other_release"
    assert verdict(_of(image, _by_other_rules(injected()))) == "other_release"
    assert isinstance(verdict(_by_other_rules(injected())), list)


@pytest.mark.parametrize("image", [BEFORE, NEXT])
@pytest.mark.parametrize(
    "name",
    ["another address", "another role", "one store more that nothing uses",
     "another ServiceAccount", "another namespace"],
)  # fmt: skip
def test_the_name_of_another_release_opens_nothing(image, name):
    """Stores are the cluster's own, the identity is the pod's."""
    pod = _of(image)
    replan(pod, OTHER_PLANS[name])

    assert isinstance(verdict(pod), list)


@pytest.mark.parametrize("image", [BEFORE, NEXT])
def test_policies_hold_for_another_release(image):
    """Its plan is judged as if the pod's annotation had asked for all of it."""
    limits = [{"store": "*", "allow": ["kv/{namespace}/*", "whole", "tls"]}]
    now = Catalog.of((*CLUSTER, asking.policy(rules={"paths": limits})))
    pod = _of(image)
    assert verdict(pod, catalog=now) == "other_release"

    replan(pod, OTHER_PLANS["another path"])

    assert all("policy guard, rule paths" in line for line in verdict(pod, catalog=now))


@pytest.mark.parametrize("change", [_other_audience, _more_tokens, _more_secrets, _other_secret])
def test_sources_of_another_release_are_those_of_its_plan(change):
    """Audiences and Secrets come from stores that the cluster has."""
    pod = _of(BEFORE)
    change(pod)

    assert isinstance(verdict(pod), list)


def test_a_plan_that_only_the_next_release_can_read_passes_with_its_image_alone():
    """The guard vouches for the image; our own and the one before read what we read."""
    pod = injected()
    plan_entry(pod)["value"] = "of-the-next-release"

    assert verdict(_of(NEXT, pod)) == "of_another_release"
    for image in (OWN, BEFORE):
        assert verdict(_of(image, pod)) == [
            (
                "SI-135 container secret-injector, env SECRET_INJECTOR_PLAN: it is not there"
                " exactly once, or cannot be read"
            )
        ]


@pytest.mark.parametrize(
    ("image", "release"),
    [
        (OWN, Release.THIS),
        (OWN.replace("registry", "mirror"), Release.THIS),
        (BEFORE, Release.BEFORE),
        ("mirror.example/injector:1", Release.THIS),
        ("mirror.example/injector:2", Release.UNKNOWN),
        ("registry.example/secret-injector:0.0.1", Release.UNKNOWN),
        ("", Release.UNKNOWN),
    ],
)
def test_an_image_says_its_release_by_digest_or_exact_name(image, release):
    """A repository's other tags and digests are not ours."""
    assert IMAGES.release_of(image) is release


def test_where_the_guard_only_watches_a_problem_is_a_warning():
    """With `guard.actions` without Deny the pod passes, and whoever made it is told."""
    pod = injected()
    _strip_launcher(pod)

    outcome = final_state.judge(
        asking.request(pod),
        [Catalog.of(CLUSTER)],
        asking.INJECTION,
        IMAGES,
        is_enforced=False,
    )

    assert outcome.kind == "allow"
    assert outcome.warnings == ("SI-135 container app, command: it is not started by the launcher",)


def test_doubling_values_are_compared_in_linear_work():
    """Two to the thirtieth uses of one value are thirty shapes."""
    keys = {"K0": "#{k8s:a#x}", **{f"K{n + 1}": f"#{{K{n}}}#{{K{n}}}" for n in range(30)}}
    pod = injected(asking.pod({"env": json.dumps(keys)}))

    assert verdict(pod) == "as_decided"


def test_the_guard_in_the_chart_knows_what_our_container_is():
    """Paths, command and mounts stand in the chart as they stand in the code."""
    helpers = (TEMPLATES / "_guard.tpl").read_text()
    [paths] = re.findall(r'"secret-injector.ourPaths" -}}\n(.*)\n', helpers)
    policy = (TEMPLATES / "guard.yaml").read_text()

    assert yaml.safe_load(paths) == list(our_container.OUR_PATHS)
    for fact in (
        f"container.command == {our_container.COMMAND}",
        f"container.args == {our_container.FETCH}",
        f"mount.mountPath == '{our_container.VOLUME_PATH}'",
        f"mount.mountPath == '{our_container.ENV_PATH}'",
        f"mount.mountPath == '{our_container.SOURCES_PATH}'",
        f"^{our_container.SECRETS_PATH}/",
        f"mount.mountPath == '{patch.LAUNCH_PATH}'",
        *(f"container.command[{at}] == '{word}'" for at, word in enumerate(patch.LAUNCHER)),
    ):
        assert fact in policy


class Clock:
    """A clock that is set."""

    now_s = 0.0

    def __call__(self):
        """Return the time."""
        return self.now_s


def test_snapshots_of_the_last_minute_count_newest_first():
    """An older one is forgotten, also when nothing has changed since."""
    clock = Clock()
    recent = Recent(clock)
    first, second = Catalog.of(CLUSTER[:1]), Catalog.of(CLUSTER)
    recent.replaced(first)
    clock.now_s = 30.0
    recent.replaced(second)

    assert recent.before() == (second, first)
    clock.now_s = KEPT_S + 1
    assert recent.before() == (second,)
    clock.now_s = KEPT_S + 31
    assert recent.before() == ()


def test_a_storm_of_changes_keeps_the_last_snapshots_and_some_older_ones():
    """Of hundreds of changes in a minute a handful stays: memory is bounded."""
    clock = Clock()
    recent = Recent(clock)
    every = [Catalog.of([asking.vault(f"v{at}")]) for at in range(200)]
    for at, catalog in enumerate(every):
        clock.now_s = at * 0.1
        recent.replaced(catalog)

    kept = [every.index(catalog) for catalog in recent.before()]

    assert len(kept) == MAX_KEPT
    assert kept[:4] == [199, 198, 197, 196]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 100


ENTRY = {"name": "OVER", "valueFrom": {"secretKeyRef": {"name": "chart", "key": "k"}}}


def _placing(mode="launcher"):
    files, env = '/etc/app/key: "#{k8s:tls#key}"', "OVER: {value: x, override: true}"
    return asking.pod({"files": files, "env": env, "env_mode": mode}, env=[ENTRY])


def _single(pod):
    return next(m for m in app(pod)["volumeMounts"] if m["mountPath"] == "/etc/app/key")


PLACED = {
    "taken off": lambda pod: unmount(pod, app(pod), "/etc/app/key"),
    "moved": lambda pod: _single(pod).update(mountPath="/etc/cron.d/job"),
    "of another path": lambda pod: _single(pod).update(subPath="app/placed/etc/app"),
    "of another container": lambda pod: _single(pod).update(subPath="aux/placed/etc/app/key"),
    "writable": lambda pod: _single(pod).update(readOnly=False),
}


@pytest.mark.parametrize("change", PLACED)
def test_a_file_of_its_own_lies_where_the_pod_asked_for_it(change):
    """The mount of a single file is part of what is decided anew."""
    pod = injected(_placing())
    assert verdict(pod) == "as_decided"

    PLACED[change](pod)

    lines = verdict(pod)
    assert lines
    assert all("volumeMounts /etc/" in line for line in lines)


def test_a_wrong_single_file_is_put_right_at_the_second_round():
    """The webhook knows its mounts by their volume, wherever they are."""
    for change in PLACED.values():
        pod = injected(_placing())
        wanted = copy.deepcopy(pod)
        change(pod)
        assert injected(pod) == wanted


@pytest.mark.parametrize("mode", ["launcher", "native"])
def test_an_entry_that_comes_back_is_overridden_again(mode):
    """Whoever puts the chart's entry back, such as a copy of its pod template: it does not win."""
    pod = injected(_placing(mode))
    wanted = copy.deepcopy(pod)
    app(pod)["env"] = [*app(pod)["env"], ENTRY]

    assert injected(pod) == wanted
