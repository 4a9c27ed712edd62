"""The status of an object: its condition, the generation it speaks of, its printed columns."""

from injector.core.stores import BUILT_IN
from webhook.core import conditions
from webhook.core.catalog import Catalog

NOW, BEFORE = "2026-11-22T10:00:00Z", "2026-01-01T00:00:00Z"


def store(spec, **status):
    """Return a store of generation 3 as the API server has it."""
    metadata = {"name": "s", "generation": 3}
    return {"metadata": metadata, "spec": spec, "status": status}


def condition(status, reason, message, since):
    """Return the condition Ready for generation 3."""
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 3,
        "lastTransitionTime": since,
    }


def test_a_valid_store_is_ready_and_names_its_provider():
    """The column Provider is filled from the member of the union that the spec has."""
    found = conditions.status("ClusterSecretStore", store({BUILT_IN: {}}), Catalog(), now=NOW)

    assert found == {
        "observedGeneration": 3,
        "provider": "k8s",
        "conditions": [condition("True", "Valid", "", NOW)],
    }


def test_a_store_of_two_providers_names_neither():
    """What is not clear is not shown; the condition says what is wrong."""
    spec = {"k8s": {}, "local": {}}

    found = conditions.status("ClusterSecretStore", store(spec), Catalog(), now=NOW)

    assert found.keys() == {"observedGeneration", "conditions"}
    assert found["conditions"][0]["status"] == "False"


def test_a_status_that_says_it_already_is_left_alone():
    """An object whose status is right is not written, so nothing wakes up for it."""
    first = conditions.status("ClusterSecretStore", store({"k8s": {}}), Catalog(), now=BEFORE)

    again = conditions.status("ClusterSecretStore", store({"k8s": {}}, **first), Catalog(), now=NOW)

    assert again is None


def test_the_transition_keeps_its_time_while_ready_stays_as_it_was():
    """A new generation alone is no transition; from True to False is one."""
    old = {**condition("True", "Valid", "", BEFORE), "observedGeneration": 2}
    there = {"observedGeneration": 2, "provider": "k8s", "conditions": [old]}

    same = conditions.status("ClusterSecretStore", store({"k8s": {}}, **there), Catalog(), now=NOW)
    broken = conditions.status("ClusterSecretStore", store({}, **there), Catalog(), now=NOW)

    assert same["conditions"] == [condition("True", "Valid", "", BEFORE)]
    assert broken["conditions"][0]["lastTransitionTime"] == NOW
