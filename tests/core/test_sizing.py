"""The size of our container: a pod that is valid without it is valid with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.core import sizing
from webhook.core.sizing import CPU, MEMORY, Sizes, Sizing, quantities

CHART = Sizing()


def _pod(*containers, init=(), level=None):
    def raw(sizes):
        return {"name": "c", "resources": sizes}

    spec = {"containers": [raw(c) for c in containers], "initContainers": [raw(c) for c in init]}
    return {"spec": spec | ({"resources": level} if level else {})}


def _injected(pod, sizes):
    spec = pod["spec"]
    ours = {"name": "secret-injector", "resources": sizes.manifest()}
    return {"spec": {**spec, "initContainers": [ours, *spec["initContainers"]]}}


def _fit(pod, **wanted):
    return sizing.fit(pod, CHART, Sizes(**wanted))


def test_a_pod_without_sizes_gets_the_charts():
    """Where the pod says nothing the chart does, and no CPU limit is invented."""
    assert _fit(_pod({})).manifest() == {
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"memory": "128Mi"},
    }


def test_one_container_without_a_limit_keeps_ours_without_it():
    """A quota on a limit would have refused that container, so ours needs none."""
    limited = {"limits": {"cpu": "1", "memory": "1Gi"}}
    assert CPU not in _fit(_pod(limited, {})).limits


def test_a_small_guaranteed_pod_grows_to_the_floor_and_stays_guaranteed():
    """Below what the fetcher needs the pod grows; its class stays."""
    small = {"limits": {"cpu": "5m", "memory": "16Mi"}}
    pod = _pod(small)
    sizes = _fit(pod)
    assert sizes == Sizes(
        requests=quantities(cpu="10m", memory="64Mi"), limits=quantities(cpu="10m", memory="64Mi")
    )
    assert sizing.effective_requests(_injected(pod, sizes))[MEMORY] == quantities(m="64Mi")["m"]


def test_a_size_that_is_asked_for_makes_both_figures_in_a_guaranteed_pod():
    """The annotation raises one figure; the class asks for the other."""
    pod = _pod({"limits": {"cpu": "1", "memory": "1Gi"}})
    sizes = _fit(pod, requests=quantities(memory="2Gi"))
    assert sizes.requests[MEMORY] == sizes.limits[MEMORY] == quantities(m="2Gi")["m"]


def test_pod_level_resources_are_not_exceeded():
    """Requests and limits of a container stay within the pod's own."""
    pod = _pod({}, level={"requests": {"cpu": "4m"}, "limits": {"memory": "32Mi"}})
    sizes = _fit(pod)
    assert sizes.requests == quantities(cpu="4m", memory="32Mi")
    assert sizes.limits == quantities(memory="32Mi")


@pytest.mark.parametrize(
    ("wanted", "lowered", "found"),
    [
        ({"requests": {"cpu": "50m"}}, [], []),
        ({"requests": {"cpu": "5m"}}, [], ["requests.cpu is below 10m"]),
        ({"requests": {"cpu": "5m"}}, [{"cpu": "1m"}], []),
        ({"requests": {"cpu": "5m"}}, [{"cpu": "1m"}, {"cpu": "6m"}], ["requests.cpu is below 6m"]),
        ({"limits": {"memory": "64Mi"}}, [], ["limits.memory is below 128Mi"]),
        ({"limits": {"memory": "2Gi"}}, [], ["limits.memory is above 1Gi"]),
    ],
)
def test_a_pod_may_raise_and_only_a_policy_lets_it_lower(wanted, lowered, found):
    """Without a policy the chart's sizes are the least that a pod may ask for."""
    sizes = Sizes(**{kind: quantities(**figures) for kind, figures in wanted.items()})
    assert sizing.out_of_bounds(sizes, CHART, [quantities(**each) for each in lowered]) == found


_milli = st.integers(1, 4000).map(lambda n: f"{n}m")
_mebi = st.integers(1, 4096).map(lambda n: f"{n}Mi")


@st.composite
def _container(draw, *, guaranteed):
    limits = {"cpu": draw(_milli), "memory": draw(_mebi)}
    if guaranteed:
        return {"limits": limits}
    requests = {}
    for name, text in limits.items():
        number = int(text.rstrip("mMi"))
        requests[name] = f"{draw(st.integers(1, number))}{text.lstrip('0123456789')}"
    return {"requests": requests, "limits": limits}


@given(st.lists(_container(guaranteed=True), min_size=1, max_size=4))
def test_a_guaranteed_pod_stays_guaranteed_and_does_not_grow_above_the_floor(containers):
    """Whatever its sizes, the class stays; what is reserved grows at most to the floor."""
    pod = _pod(*containers)
    after = _injected(pod, _fit(pod))
    every = [sizing.sizes_of(raw) for part in after["spec"].values() for raw in part]
    assert sizing.is_guaranteed(every)
    before_requests, after_requests = (
        sizing.effective_requests(pod),
        sizing.effective_requests(after),
    )
    for resource in (CPU, MEMORY):
        floor = CHART.min_allowed[resource]
        assert after_requests[resource] == max(before_requests[resource], floor)


@given(st.lists(_container(guaranteed=False), min_size=1, max_size=4))
def test_ours_passes_every_limit_range_that_the_pods_containers_pass(containers):
    """Least and largest size and ratio of the pod's own containers bound ours, above the floor."""
    pod = _pod(*containers)
    theirs = [sizing.sizes_of(raw) for raw in pod["spec"]["containers"]]
    ours = _fit(pod)
    for resource in (CPU, MEMORY):
        request, limit = ours.requests[resource], ours.limits[resource]
        most = max(sizes.limits[resource] for sizes in theirs)
        floor = max(CHART.min_allowed[resource], CHART.usual.requests[resource])
        assert request <= limit <= max(most, floor)
        assert request >= min(sizes.requests[resource] for sizes in theirs)
        assert all(
            limit * sizes.requests[resource] <= request * sizes.limits[resource] for sizes in theirs
        )
