"""What travels in a pod about keys that nobody lists cannot be changed behind our back."""

import pytest

from injector.core import plan_codec
from injector.core.plan import KeyRule
from injector.core.record import replace
from tests import asking
from tests.tampering import BEFORE, NEXT, OWN, app, injected, ours, plan_entry
from webhook.core import final_state
from webhook.core.catalog import Catalog
from webhook.core.images import Images

IMAGES = Images(own=OWN, before=(BEFORE,))
CLUSTER = (
    asking.vault(),
    asking.policy(
        "guard",
        rules={
            "keys": {"deny": ["*_ROOT"]},
            "paths": [{"store": "vault", "allow": ["kv/{namespace}/*"]}],
        },
        final=["DB_*"],
    ),
    asking.service(
        "shop", "db", {"A": "a"}, **{"from": [{"from": "vault:kv/shop/db", "keys": ["*"]}]}
    ),
)
RULE = KeyRule(policy="guard", action="Deny", deny=("*_ROOT",), final=("DB_*",))


def made():
    """Return a pod that takes keys of its service's secret and of one of its own."""
    entry = '__from: {from: "vault:kv/shop/mine", keys: ["*"], prefix: MY_}'
    return injected(asking.pod({"service": "db", "env": entry}), *CLUSTER)


def verdict(pod, *, image=None, objects=CLUSTER):
    """Return what is said of the final pod: the problems on lines, or the reason why it passes."""
    if image is not None:
        ours(pod)["image"] = image
    request = asking.request(pod)
    outcome = final_state.judge(request, (Catalog.of(objects),), asking.INJECTION, IMAGES)
    if outcome.kind == "allow":
        return outcome.reason
    return [problem.line() for problem in outcome.problems]


def changed(pod, change, **fields):
    """Change the plan in the pod; `change` is given its one container, `fields` are the plan's."""
    entry = plan_entry(pod)
    plan = plan_codec.decode(entry["value"])
    (container,) = plan.containers
    plan = replace(plan, containers=(change(container),), **fields)
    entry["value"] = plan_codec.encode(plan)
    return pod


def of_last(**fields):
    """Return a change of the container's last entry."""
    return lambda container: replace(
        container,
        env_from=(*container.env_from[:-1], replace(container.env_from[-1], **fields)),
    )


def test_a_pod_as_we_make_it_passes_with_this_release_and_the_ones_beside_it():
    """The rules of the policies are in the plan."""
    assert plan_codec.decode(plan_entry(made())["value"]).rules == (RULE,)
    assert verdict(made()) == "as_decided"
    assert verdict(made(), image=BEFORE) == "other_release"
    assert verdict(made(), image=NEXT) == "other_release"


def test_a_variable_that_another_webhook_adds_afterwards_changes_nothing():
    """It has set a name of its own, and the entry is the one that was decided."""
    pod = made()
    app(pod)["env"] = [{"name": "DD_SITE", "value": "eu"}]

    assert verdict(pod) == "as_decided"


OTHERS = {
    "fewer keys": (of_last(keys=("A*",)), ["MY_*", "MY_A*"]),
    "another prefix": (of_last(prefix=""), ["*", "MY_*"]),
    "another name": (of_last(rename=(("a", "B"),)), ["MY_*"]),
    "fewer names": (of_last(only=(("A*",),)), ["MY_*"]),
    "as if of a service": (of_last(is_pods=False), ["MY_*"]),
    "strict": (of_last(is_strict=True), ["MY_*"]),
    "one less": (lambda c: replace(c, env_from=c.env_from[:1]), ["MY_*"]),
    "in another order": (lambda c: replace(c, env_from=c.env_from[::-1]), ["*", "MY_*"]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_entry_is_refused(name):
    """Which keys, under which names, and who is stronger: all of it is what was decided."""
    change, variables = OTHERS[name]

    assert verdict(changed(made(), change)) == [
        f"SI-135 container app: env {variable}: the plan is not the one that this pod would get"
        for variable in variables
    ]


@pytest.mark.parametrize("rules", [(), (replace(RULE, deny=()),), (replace(RULE, action="Warn"),)])
def test_a_plan_without_todays_rules_about_keys_is_refused(rules):
    """By this release since it is another plan, by the others since the rule is missing."""
    same = lambda container: container  # noqa: E731
    missing = "SI-135 container secret-injector, env SECRET_INJECTOR_PLAN: the plan does not carry"

    assert verdict(changed(made(), same, rules=rules)) == [
        (
            "SI-135 container secret-injector: what policy guard says of keys: the plan is not"
            " the one that this pod would get"
        )
    ]
    for image in (BEFORE, NEXT):
        assert verdict(changed(made(), same, rules=rules), image=image) == [
            f"{missing} what policy guard says of keys"
        ]


def test_another_release_reads_no_secret_that_a_policy_keeps_from_the_pod():
    """Paths are judged for a whole secret as for one key of it."""
    pod = made()
    entry = plan_entry(pod)
    plan = plan_codec.decode(entry["value"])
    reads = tuple(replace(read, path="kv/other/db") for read in plan.reads[:1])
    entry["value"] = plan_codec.encode(replace(plan, reads=(*reads, *plan.reads[1:])))

    assert verdict(pod, image=BEFORE) == [
        (
            "SI-121 vault kv/other/db for * (annotation secret-injector.io/env): the path is"
            " outside of kv/{namespace}/* (policy guard, rule paths)"
        )
    ]
