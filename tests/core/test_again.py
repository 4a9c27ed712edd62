"""A pod that carries our parts is never refused for them: today's are put in their stead."""

import copy
import dataclasses
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import plan_codec
from injector.core.record import replace
from tests import asking, strategies
from tests.tampering import CLUSTER, app, asked, injected, ours, plan_entry, volume
from webhook.core import decide, final_state, review, sources_text
from webhook.core.catalog import Catalog
from webhook.core.images import Images
from webhook.core.our_container import Injection
from webhook.core.sidecars import Sidecar
from webhook.core.sizing import Sizes, Sizing, quantities

LISTED = "mirror.example/injector:1"
TODAY = dataclasses.replace(asking.INJECTION, listed_images=(LISTED,))
TEXT = "postgres://#{vault:kv/shop/db#user}@db"
LAUNCHER = ["/run/secret-injector/launcher", "/run/secret-injector/env", "--"]


def decided(pod, *objects, injection=TODAY, namespace="shop"):
    """Return what is decided about a pod, in the cluster of `tampering` or in another one."""
    catalog = Catalog.of(objects or CLUSTER)
    return decide.decide(asking.request(pod, namespace), catalog, injection)


def renewed(pod, *objects, **options):
    """Return the pod after its second round, which a third one leaves as it is."""
    outcome = decided(pod, *objects, **options)
    assert outcome.kind == "inject", [problem.line() for problem in outcome.problems]
    after = asking.patched(pod, outcome)
    third = decided(after, *objects, **options)
    assert (third.reason, third.operations) == ("already_injected", ())
    return after


def with_references():
    """Return a pod with references in the env of a container that is launched and a native one."""
    pod = asked()
    pod["metadata"]["annotations"]["secret-injector.io/inject"] = "true"
    app(pod)["env"] = [{"name": "PLAIN", "value": "x"}, {"name": "URL", "value": TEXT}]
    app(pod, "aux")["env"] = [{"name": "URL", "value": TEXT}, {"name": "PLAIN", "value": "x"}]
    return pod


def every(pod):
    """Return all containers."""
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]


def _pull_always(pod):
    for container in every(pod):
        container["imagePullPolicy"] = "Always"


def _limit_range(pod):
    ours(pod)["resources"] = {
        "requests": {"cpu": "0.01", "memory": "33554432"},
        "limits": {"memory": "128Mi", "cpu": "500m"},
    }


def _larger(pod):
    ours(pod)["resources"] = {
        "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
    }


def _listed_image(pod):
    ours(pod)["image"] = LISTED


def _same_digest(pod):
    ours(pod)["image"] = ours(pod)["image"].replace("registry.example", "mirror.example")


def _variables(pod):
    for container in every(pod):
        container["env"] = [
            {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
            *container.get("env", []),
            {"name": "LD_PRELOAD", "value": "/agent/lib.so"},
            {"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"},
        ]
        container["envFrom"] = [{"configMapRef": {"name": "settings"}}]


def _certificates(pod):
    pod["spec"]["volumes"].append({"name": "ca", "configMap": {"name": "ca"}})
    for container in every(pod):
        mount = {"name": "ca", "mountPath": "/ca", "readOnly": True}
        container.setdefault("volumeMounts", []).append(mount)


def _another_launcher(pod):
    app(pod)["command"] = ["/other/run", "--", *app(pod)["command"]]


def _another_launcher_with_arguments(pod):
    app(pod)["args"] = [*app(pod)["command"], *app(pod).get("args", [])]
    app(pod)["command"] = ["/vault/vault-env"]


def _mesh_with_text(pod):
    env = [{"name": "TEMPLATE", "value": "#{vault:kv/shop/db#user}"}]
    pod["spec"]["containers"].append({"name": "mesh", "image": "mesh", "env": env})


def _mesh_in_front(pod):
    pod["spec"]["initContainers"].insert(0, {"name": "mesh-init", "image": "mesh"})
    pod["spec"]["containers"].insert(0, {"name": "proxy", "image": "mesh"})
    pod["spec"]["volumes"].insert(0, {"name": "mesh", "emptyDir": {}})


def _openshift(pod):
    ours(pod)["securityContext"]["seLinuxOptions"] = {"level": "s0:c1,c2"}
    ours(pod)["securityContext"]["capabilities"] = {"drop": ["ALL", "KILL"]}


def _defaults(pod):
    for item in pod["spec"]["volumes"]:
        if "emptyDir" in item:
            item["emptyDir"].setdefault("sizeLimit", "0")
    for container in every(pod):
        container["terminationMessagePath"] = "/dev/termination-log"
        container["resizePolicy"] = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]
        for entry in container.get("env", ()):
            entry.get("valueFrom", {}).get("fileKeyRef", {}).setdefault("optional", False)


KEPT = {
    "AlwaysPullImages": _pull_always,
    "a limit range that writes 0.1 its own way": _limit_range,
    "larger requests, and a CPU limit": _larger,
    "a listed mirror without a digest": _listed_image,
    "a mirror with our digest": _same_digest,
    "proxies, certificates and loaders in variables": _variables,
    "a company's certificates": _certificates,
    "another launcher in front": _another_launcher,
    "another launcher, with the command as its arguments": _another_launcher_with_arguments,
    "a sidecar with text like a reference": _mesh_with_text,
    "a mesh in front of us": _mesh_in_front,
    "what OpenShift sets": _openshift,
    "what the API server fills in": _defaults,
}


@pytest.mark.parametrize("name", KEPT)
def test_what_others_may_change_stays_and_nothing_is_done(name):
    """The second round has no patch."""
    pod = injected(with_references())
    KEPT[name](pod)

    outcome = decided(pod)

    assert (outcome.kind, outcome.reason) == ("inject", "already_injected")
    assert outcome.operations == ()


@given(st.permutations(sorted(KEPT)), st.integers(1, len(KEPT)))
def test_all_of_it_may_come_together(names, count):
    """Whatever the order, and however many of them there are."""
    pod = injected(with_references())
    for name in names[:count]:
        KEPT[name](pod)

    assert decided(pod).operations == ()


def _lower(pod):
    ours(pod)["resources"] = {"requests": {"cpu": "5m"}, "limits": {"cpu": "5m", "memory": "8Mi"}}


def test_a_size_below_ours_is_raised_and_the_rest_of_it_stays():
    """A limit that would be below the request goes up with it."""
    pod = injected()
    _lower(pod)
    ours(pod)["resources"]["limits"]["hugepages-2Mi"] = "2Mi"

    assert ours(renewed(pod))["resources"] == {
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"cpu": "10m", "memory": "128Mi", "hugepages-2Mi": "2Mi"},
    }


def test_our_container_may_be_without_sizes():
    """The API server leaves an empty field out."""
    bare = dataclasses.replace(TODAY, sizing=Sizing(usual=Sizes(), min_allowed={}))
    pod = injected(injection=bare)
    del ours(pod)["resources"]

    assert decided(pod, injection=bare).operations == ()


def test_an_added_probe_and_hook_of_a_served_container_are_started_by_the_launcher():
    """They came after us, and need the variables as well."""
    pod = injected()
    app(pod)["readinessProbe"] = {"exec": {"command": ["/bin/ready"]}, "periodSeconds": 5}
    app(pod)["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/stop"]}}}
    pod["spec"]["containers"].append(
        {"name": "mesh", "image": "mesh", "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}
    )

    after = renewed(pod)

    assert app(after)["readinessProbe"]["exec"]["command"] == [*LAUNCHER, "/bin/ready"]
    assert app(after)["lifecycle"]["preStop"]["exec"]["command"] == [*LAUNCHER, "/bin/stop"]
    assert app(after, "mesh")["lifecycle"]["preStop"]["exec"]["command"] == ["x"]


def test_a_hook_behind_another_launcher_stays():
    """The other launcher was put in front of every command, hooks among them."""
    asks = asked()
    app(asks)["readinessProbe"] = {"exec": {"command": ["/bin/ready"]}}
    pod = injected(asks)
    app(pod)["readinessProbe"]["exec"]["command"].insert(0, "/other/run")

    assert decided(pod).operations == ()


def _other_settings():
    usual = Sizes(
        requests=quantities(cpu="20m", memory="16Mi"),
        limits=quantities(cpu="1", memory="64Mi"),
    )
    yield "image", Injection(image="registry.example/secret-injector@sha256:" + "77" * 32)
    yield "image by tag", Injection(image="registry.example/secret-injector:0.0.9")
    yield "sizes", dataclasses.replace(TODAY, sizing=Sizing(usual=usual))
    yield "log level", dataclasses.replace(TODAY, log_level="debug")
    yield "deadline", dataclasses.replace(TODAY, deadline_s=30.0)
    yield "pull policy", dataclasses.replace(TODAY, pull_policy="Never")
    yield "UID", dataclasses.replace(TODAY, run_as_user=1234)
    yield "no UID", dataclasses.replace(TODAY, run_as_user=None)
    yield "native variables", dataclasses.replace(TODAY, native_env="always")


OTHER_SETTINGS = dict(_other_settings())


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_parts_of_other_settings_become_todays(name):
    """Half of the replicas are older: whoever looks last puts its own in, and refuses nobody."""
    other, asks = OTHER_SETTINGS[name], with_references()
    for one, two in ((other, TODAY), (TODAY, other)):
        pod = injected(copy.deepcopy(asks), injection=one)
        # What others may have raised is not lowered again.
        expected = injected(copy.deepcopy(asks), injection=two)
        ours(expected)["resources"] = ours(renewed(pod, injection=two))["resources"]

        after = renewed(pod, injection=two)

        assert _unordered(after) == _unordered(expected)


def _unordered(pod):
    """Return a pod with its own volumes and mounts in one order."""
    found = copy.deepcopy(pod)
    found["spec"]["volumes"].sort(key=lambda entry: entry["name"])
    for container in every(found):
        container.get("volumeMounts", []).sort(key=lambda entry: entry["mountPath"])
        container.get("env", []).sort(key=lambda entry: entry["name"])
    return found


OTHER_CLUSTERS = {
    "a store has another address": (asking.vault(timeout="7s"), *CLUSTER[1:]),
    "a service has another key": (
        *CLUSTER[:3],
        asking.service("shop", "db", {"DB": "#{vault:kv/shop/db#other}"}),
    ),
    "native variables do not work any more": (*CLUSTER[:2], CLUSTER[3], asking.node("v1.30.0")),
}


@pytest.mark.parametrize("name", OTHER_CLUSTERS)
def test_a_restored_pod_gets_what_it_would_get_today(name):
    """Backups and copies bring pods that were injected in the cluster of that day."""
    now = OTHER_CLUSTERS[name]
    asks = with_references()
    app(asks, "aux")["command"] = ["/bin/aux"]
    pod = injected(copy.deepcopy(asks))

    assert _unordered(renewed(pod, *now)) == _unordered(injected(asks, *now))


def test_native_variables_become_launched_ones_and_back():
    """The texts of references travel with the pod, whichever way the variables take."""
    asks = with_references()
    asks["metadata"]["annotations"]["secret-injector.io/env-mode"] = "native"
    pod = injected(asks)
    pod["metadata"]["annotations"]["secret-injector.io/env-mode"] = "auto"

    after = renewed(pod)

    assert app(after)["env"] == [{"name": "PLAIN", "value": "x"}]
    assert app(after)["command"] == [*LAUNCHER, "/bin/app"]
    after["metadata"]["annotations"]["secret-injector.io/env-mode"] = "native"
    assert app(renewed(after))["command"] == ["/bin/app"]


def _of_the_next_release(pod):
    """Make the parts those of a release with another image, plan and variables of its own."""
    ours(pod)["image"] = "registry.example/secret-injector@sha256:" + "ff" * 32
    plan_entry(pod)["value"] = "of-the-next-release"
    ours(pod)["env"].append({"name": "SECRET_INJECTOR_SHARDS", "value": "2"})


def test_parts_of_a_release_that_we_cannot_read_become_ours():
    """After a rollback pods carry plans of a later release; the references are still known."""
    pod = injected(with_references())
    before = copy.deepcopy(pod)
    _of_the_next_release(pod)

    assert renewed(pod) == before


def _of_the_release_before(pod):
    """Make the parts those of a release that had the references in its plan alone."""
    kept = [e for e in ours(pod)["env"] if e["name"] != sources_text.VARIABLE]
    [text] = [e["value"] for e in ours(pod)["env"] if e["name"] == sources_text.VARIABLE]
    ours(pod)["env"] = kept
    plan = plan_codec.decode(plan_entry(pod)["value"])
    plan = replace(plan, sources=sources_text.decode(text))
    plan_entry(pod)["value"] = plan_codec.encode(plan)


def test_references_of_pods_of_the_release_before_are_read_from_its_plan():
    """It had no variable of their own for them."""
    pod = injected(with_references())
    before = copy.deepcopy(pod)
    _of_the_release_before(pod)

    assert _unordered(renewed(pod)) == _unordered(before)


def test_of_a_found_plan_nothing_is_believed():
    """Reads, stores, group and deadline are today's, whatever stands there."""
    pod = injected(with_references())
    before = copy.deepcopy(pod)
    plan = plan_codec.decode(plan_entry(pod)["value"])
    reads = tuple(replace(read, path="kv/other/stolen") for read in plan.reads)
    stores = tuple(
        replace(store, document=store.document.replace("vault.example", "evil.example"))
        for store in plan.stores
    )
    other = replace(plan, reads=reads, stores=stores, group=0, deadline_s=9999.0)
    plan_entry(pod)["value"] = plan_codec.encode(other)

    assert renewed(pod) == before


def forged(pod, *entries):
    """Write the variable of sources in our container."""
    kept = [e for e in ours(pod)["env"] if e["name"] != sources_text.VARIABLE]
    value = sources_text.encode(entries)
    ours(pod)["env"] = [*kept, {"name": sources_text.VARIABLE, "value": value}]


def test_found_sources_are_text_of_that_pod_and_no_more():
    """They are read anew, by the rules for references in env; where none holds they stay text."""
    pod = injected()
    forged(pod, ("app", "STOLEN", "#{vault:kv/shop/db#x}"), ("nobody", "A", "#{k8s:a#b}"))

    after = renewed(pod)

    assert {"name": "STOLEN", "value": "#{vault:kv/shop/db#x}"} in app(after)["env"]
    assert plan_codec.decode(plan_entry(after)["value"]) == plan_codec.decode(
        plan_entry(injected())["value"]
    )


def test_found_sources_are_judged_by_todays_policies():
    """A policy that came since the backup denies what it denies in any pod."""
    pod = injected(with_references())
    policy = asking.policy(rules={"inline": "forbidden"})

    outcome = decided(pod, *CLUSTER, policy)

    assert [problem.code.id for problem in outcome.problems] == ["SI-121", "SI-121"]


def test_sources_that_do_not_parse_today_are_refused_as_in_any_pod():
    """The line names the container's variable."""
    pod = injected(with_references())
    forged(pod, ("app", "URL", "#{nonsense:"))

    [problem] = decided(pod).problems

    assert problem.code.id == "SI-101"
    assert problem.source.startswith("URL")


def test_a_variable_that_somebody_wrote_since_wins_over_the_reference():
    """Whoever set it replaced the reference."""
    pod = injected(with_references())
    app(pod)["env"].append({"name": "URL", "value": "http://elsewhere"})

    after = renewed(pod)

    assert app(after)["env"] == [
        {"name": "PLAIN", "value": "x"},
        {"name": "URL", "value": "http://elsewhere"},
    ]


@pytest.mark.parametrize("text", ["", "x", "!", sources_text.encode([])[:-3], "é" * 50])
def test_sources_that_cannot_be_read_are_a_denial_that_says_where(text):
    """Without them a container would start without its values, and nobody would know."""
    pod = injected(with_references())
    forged(pod)
    ours(pod)["env"][-1]["value"] = text

    assert review.message(decided(pod)) == (
        "SI-106 container secret-injector, env SECRET_INJECTOR_SOURCES: it cannot be read, so the"
        " references that stood in env are lost\n"
        "       hint: create the pod anew from its template"
    )


def test_sources_of_a_later_format_are_read_as_far_as_we_know_it():
    """Fields are only added."""
    entry = {"container": "app", "name": "URL", "text": TEXT, "line": 7}
    text = plan_codec.pack(json.dumps({"v": 2, "env": [entry], "more": {}}), "it")

    assert sources_text.decode(text) == (("app", "URL", TEXT),)


@given(st.lists(st.tuples(strategies.labels, strategies.keys, strategies.odd_texts), max_size=9))
def test_sources_travel_unchanged(entries):
    """In a text that the kubelet's `$(NAME)` leaves alone."""
    text = sources_text.encode(entries)

    assert sources_text.decode(text) == tuple(entries)
    assert "$" not in text


def test_the_copy_of_kubectl_debug_gets_its_values():
    """`--copy-to` with a shell as the command, and a container more, which is not served."""
    pod = injected()
    pod["metadata"]["name"] = "app-debug"
    app(pod)["command"] = ["sh"]
    pod["spec"]["containers"].append({"name": "debugger", "image": "busybox", "stdin": True})

    after = renewed(pod)

    assert app(after)["command"] == [*LAUNCHER, "sh"]
    assert app(after, "debugger") == {"name": "debugger", "image": "busybox", "stdin": True}


def test_a_pod_without_our_container_gets_it_and_is_told_what_is_lost():
    """`kubectl debug --keep-init-containers=false` leaves volumes, mounts and the launcher."""
    asks = with_references()
    pod = injected(asks)
    del pod["spec"]["initContainers"]

    outcome = decided(pod)

    after = asking.patched(pod, outcome)
    assert ours(after)["command"] == ["/usr/lib/secret-injector/launcher"]
    assert app(after)["command"] == [*LAUNCHER, "/bin/app"]
    assert outcome.warnings == (
        (
            "SI-106 container secret-injector: it was taken out, and with it the references that"
            " stood in env: write them again"
        ),
    )


def test_where_nothing_is_to_be_injected_any_more_our_parts_go():
    """The service has no keys left: the pod starts as any pod that gets nothing."""
    asks = asking.pod({"service": "db"})
    pod = injected(asks)
    now = (*CLUSTER[:3], asking.service("shop", "db", {}))

    outcome = decided(pod, *now)

    assert (outcome.kind, outcome.reason) == ("skip", "nothing_to_inject")
    after = asking.patched(pod, outcome)
    assert after["spec"]["containers"] == [{**asks["spec"]["containers"][0], "volumeMounts": []}]
    assert (after["spec"]["initContainers"], after["spec"]["volumes"]) == ([], [])


def test_our_container_stays_behind_what_it_waits_for_and_before_whom_it_serves():
    """A place that is right stays; one that is not becomes ours."""
    asks = asked()
    asks["metadata"]["annotations"] |= {
        "secret-injector.io/init-after": "cni",
        "secret-injector.io/containers": "app,aux,late",
    }
    asks["spec"]["initContainers"] = [
        {"name": "cni", "image": "c"},
        {"name": "other", "image": "o"},
        {"name": "late", "image": "l", "command": ["l"]},
    ]
    pod = injected(asks)
    names = ["cni", "secret-injector", "other", "late"]
    right = [["cni", "other", "secret-injector", "late"], names]
    wrong = [
        ["secret-injector", "cni", "other", "late"],
        ["cni", "other", "late", "secret-injector"],
    ]

    def ordered(pod, names):
        inits = {c["name"]: c for c in pod["spec"]["initContainers"]}
        return {**pod, "spec": {**pod["spec"], "initContainers": [inits[n] for n in names]}}

    for order in right:
        assert decided(ordered(pod, order)).operations == ()
    for order in wrong:
        assert renewed(ordered(pod, order)) == pod


CLASHES = {
    "container": (
        {"containers": [{"name": "secret-injector", "image": "mine", "command": ["/x"]}]},
        "container secret-injector, name: a container of the pod",
    ),
    "init container": (
        {"initContainers": [{"name": "secret-injector", "image": "mine"}]},
        "container secret-injector, name: a container of the pod",
    ),
    "volume of another kind": (
        {"volumes": [{"name": "secret-injector-env", "configMap": {"name": "a"}}]},
        "volume secret-injector-env, name: a volume of the pod",
    ),
    "volume of our kind, used otherwise": (
        {
            "volumes": [{"name": "secret-injector", "emptyDir": {"medium": "Memory"}}],
            "containers": [
                {
                    "name": "cache",
                    "image": "c",
                    "volumeMounts": [{"name": "secret-injector", "mountPath": "/cache"}],
                }
            ],
        },
        "volume secret-injector, name: a volume of the pod",
    ),
}


@pytest.mark.parametrize("name", CLASHES)
def test_a_true_clash_of_names_is_refused_by_container_and_field(name):
    """The hint does not say to start without secrets."""
    parts, expected = CLASHES[name]
    pod = asking.pod({"env": 'A: "#{vault:kv/a#x}"'})
    for part, entries in parts.items():
        pod["spec"].setdefault(part, []).extend(entries)

    assert review.message(decided(pod)) == (
        f"SI-106 {expected} has the name of the injector's, and is another one\n"
        "       hint: rename it: this name is the injector's own"
    )


def test_volumes_of_the_owners_are_not_taken_with_ours():
    """Beside our container, too: a claim with such a name that the application mounts is theirs."""
    pod = injected()
    claim = {"claimName": "data"}
    pod["spec"]["volumes"].append(
        {"name": "secret-injector-secret-x", "persistentVolumeClaim": claim}
    )
    app(pod)["volumeMounts"].append({"name": "secret-injector-secret-x", "mountPath": "/data"})

    [problem] = decided(pod).problems

    assert problem.source == "volume secret-injector-secret-x, name"


def test_what_another_release_beside_us_injected_becomes_ours():
    """Two releases that serve the same namespace: the last one that looks has the word."""
    other = Injection(image="other.example/secret-injector@sha256:" + "aa" * 32, deadline_s=9)
    pod = injected(with_references(), injection=other)

    assert ours(renewed(pod))["image"] == TODAY.image
    assert Images(own=TODAY.image, before=(other.image,)).release_of(other.image).value == "before"


@given(strategies.pods(), st.sampled_from(sorted(OTHER_SETTINGS)))
def test_any_pod_of_other_settings_becomes_todays(pod, name):
    """Whatever the pod: the second round gives what the first one would have given."""
    cluster = (asking.vault(), asking.node("v1.36.0"))
    first = decided(pod, *cluster, injection=OTHER_SETTINGS[name])
    expected = asking.patched(pod, decided(pod, *cluster))

    after = renewed(asking.patched(pod, first), *cluster)

    for found in (after, expected):
        ours(found).pop("resources")
        ours(found).pop("imagePullPolicy")
        # A group that nobody needs any more stays: it may be the owner's.
        groups = found["spec"].get("securityContext", {}).get("supplementalGroups", [])
        groups[:] = [group for group in groups if group != 65532]
        for empty in (("supplementalGroups", []), ("securityContext", {})):
            owner = found["spec"].get("securityContext", {}) if empty[1] == [] else found["spec"]
            if owner.get(empty[0]) == empty[1]:
                del owner[empty[0]]
    assert _unordered(after) == _unordered(expected)


def test_a_mount_over_var_run_counts_as_one_over_run():
    """The one is a link to the other in most images."""
    pod = asking.pod({"files": 'a: "#{vault:kv/a#x}"'})
    pod["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "v"}}]
    mount = {"name": "v", "mountPath": "/var/run/secrets/injector/more"}
    pod["spec"]["containers"][0]["volumeMounts"] = [mount]

    [problem] = decided(pod).problems

    assert problem.what == (
        "its volume mount /var/run/secrets/injector/more overlaps /run/secrets/injector, which is"
        " ours"
    )


def test_a_mount_over_our_tokens_by_their_other_path_goes():
    """In our own container as well."""
    pod = injected()
    before = copy.deepcopy(pod)
    path = "/run/secrets/kubernetes.io/serviceaccount"
    ours(pod)["volumeMounts"].append({"name": "evil", "mountPath": path})

    assert renewed(pod) == before
    assert volume(before, "secret-injector-sources")


def verdict(pod, *objects, injection=TODAY, images=None, **options):
    """Return what is said of a finished pod: the reason why it passes, or the problems."""
    images = images or Images(own=injection.image, listed=injection.listed_images)
    catalogs = [Catalog.of(objects or CLUSTER)]
    outcome = final_state.judge(asking.request(pod), catalogs, injection, images, **options)
    if outcome.kind == "allow":
        return outcome.reason
    return [problem.line() for problem in outcome.problems]


@pytest.mark.parametrize("name", KEPT)
def test_what_stays_in_the_second_round_passes_in_the_finished_pod(name):
    """The last look is as wide as the one before, for what another webhook does after it."""
    pod = injected(with_references())
    KEPT[name](pod)

    assert verdict(pod) == "as_decided"


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_replicas_of_other_settings_let_each_others_pods_pass(name):
    """Whichever of two injected a pod, and whichever judges it."""
    other = OTHER_SETTINGS[name]
    for writer, judge in ((other, TODAY), (TODAY, other)):
        is_same = writer.image == judge.image
        images = Images(own=judge.image, before=() if is_same else (writer.image,))
        pod = injected(with_references(), injection=writer)

        expected = "as_decided" if is_same else "other_release"
        assert verdict(pod, injection=judge, images=images) == expected


def test_replicas_that_skip_other_containers_let_each_others_pods_pass():
    """Whom nobody asked to serve is no boundary: the pod could name the container."""
    mine = Sidecar(owner="Acme", names=("aux",), images=("*",))
    skipping = dataclasses.replace(TODAY, skipped=(mine,))
    for writer, judge in ((skipping, TODAY), (TODAY, skipping)):
        pod = injected(injection=writer)

        assert verdict(pod, injection=judge) == "as_decided"
        assert renewed(pod, injection=judge)


def test_replicas_that_know_no_native_variables_let_those_pass_that_were_launched():
    """`nativeEnv` changes to never, and a pod whose containers have commands does not mind."""
    asks = asked()
    app(asks, "aux")["command"] = ["/bin/aux"]
    pod = injected(asks)
    for mode in ("never", "always", "auto"):
        assert verdict(pod, injection=dataclasses.replace(TODAY, native_env=mode)) == "as_decided"


def test_a_plan_that_only_the_release_before_reads_passes_while_this_replica_is_new():
    """After a rollback the release before is the later one; later on its plans are not believed."""
    before = "registry.example/secret-injector@sha256:" + "ff" * 32
    images = Images(own=TODAY.image, before=(before,))
    pod = injected()
    _of_the_next_release(pod)

    assert verdict(pod, images=images, is_new=True) == "of_another_release"
    [line] = verdict(pod, images=images)
    assert line.startswith("SI-135 container secret-injector, env SECRET_INJECTOR_PLAN")


def test_a_copy_without_annotations_asks_as_the_pod_did_that_was_copied():
    """`kubectl debug --copy-to` leaves annotations out; they are text of that pod, read anew."""
    for annotations in (None, {"other.example/note": "kept"}):
        pod = injected(with_references())
        copied = copy.deepcopy(pod)
        copied["metadata"] = {"name": "copy"}
        if annotations:
            copied["metadata"]["annotations"] = annotations

        outcome = decided(copied)
        after = asking.patched(copied, outcome)

        assert (outcome.kind, outcome.reason) == ("inject", "injected_anew")
        assert outcome.warnings == (
            "secret-injector: the pod carries our container, so its annotations are put back",
        )
        assert after["metadata"]["annotations"] == {
            **(annotations or {}),
            **pod["metadata"]["annotations"],
        }
        assert after["spec"] == pod["spec"]
        assert verdict(after) == "as_decided"
        assert decided(after).operations == ()


def test_a_copy_that_says_no_stays_as_it_is():
    """Who opts out keeps that word, and the finished pod is refused for what it carries."""
    pod = injected()
    pod["metadata"]["annotations"] = {"secret-injector.io/inject": "false"}

    assert (decided(pod).kind, decided(pod).reason) == ("skip", "opted_out")
    assert isinstance(verdict(pod), list)


@pytest.mark.parametrize("text", ["", "x", "!", plan_codec.pack('{"asked": 1}', "it")])
def test_a_copy_that_does_not_say_what_it_asked_is_refused_with_the_flag_that_keeps_it(text):
    """Such as one of a pod of an earlier release, which did not write it down."""
    pod = injected()
    plan_entry(pod)["value"] = text
    pod["metadata"] = {"name": "copy"}
    assert decided(pod).reason == "not_asked"

    outcome = final_state.judge(
        asking.request(pod), [Catalog.of(CLUSTER)], TODAY, Images(own=TODAY.image)
    )

    assert review.message(outcome) == (
        "SI-135 container secret-injector: the pod carries it and does not ask for injection\n"
        "       hint: copy the annotations too: kubectl debug --copy-to NAME --keep-annotations"
    )


def test_annotations_are_left_out_where_the_plan_would_be_too_large_with_them():
    """The pod is injected as before; only a copy without annotations could not be."""
    noise = random.Random(7).randbytes(120_000).hex()
    asks = asking.pod({"env": 'A: "#{vault:kv/a#x}"'})
    asks["metadata"]["annotations"]["secret-injector.io/files"] = f"{{}} # {noise}"

    text = plan_entry(injected(asks))["value"]

    assert plan_codec.asked_in(text) == {}
    assert len(text) < 2000


def test_overridden_entries_and_placed_files_are_found_again():
    """An entry that an annotation replaced is gone from the pod, and its variable is not."""
    asks = asking.pod(
        {
            "env": 'PW: {value: "#{vault:kv/a#x}", override: true}\n"dot.ted": "#{vault:kv/a#y}"',
            "files": 'key: {value: "#{vault:kv/a#x}", path: /srv/app/key.pem}',
        },
        env=[{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    )
    pod = injected(asks)

    assert decided(pod).operations == ()
    assert verdict(pod) == "as_decided"


def test_keys_by_pattern_may_come_before_variables_of_others():
    """Names that the container has by now win over those of `__from`, so the plan knows them."""
    asks = asking.pod({"env": '__from: [{from: "vault:kv/a", prefix: "DB_", keys: ["*"]}]'})
    pod = injected(asks)
    _variables(pod)

    assert verdict(pod) == "as_decided"
    assert verdict(renewed(pod)) == "as_decided"


def test_keys_of_a_secret_are_asked_for_anew_and_give_way_to_what_was_added_since():
    """A webhook that adds a variable sets its name: the plan that is put in knows it."""
    entry = '__from: {from: "vault:kv/shop/all", keys: ["*"], prefix: DD_}'
    pod = injected(asking.pod({"env": entry}), asking.vault(), injection=TODAY)
    same = decided(pod, asking.vault())
    app(pod)["env"] = [{"name": "DD_SITE", "value": "eu"}]

    after = renewed(pod, asking.vault())

    (part,) = plan_codec.decode(plan_entry(after)["value"]).containers
    assert (same.reason, same.operations) == ("already_injected", ())
    assert (part.own, [each.prefix for each in part.env_from]) == (("DD_SITE",), ["DD_"])
