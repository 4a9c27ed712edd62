"""The rights of each account of ours, as lists to read: changing one changes the promise."""

import pytest

from tests.chart.manifests import TEMPLATES, documents
from webhook.api import CERTIFICATES_RBAC, RBAC

OWN = ["clusterinjectionpolicies", "clustersecretstores", "environmentsecrets", "servicesecrets"]

WEBHOOK = {
    "cluster": [
        ("secret-injector.io", resource, ("get", "list", "watch"), None) for resource in OWN
    ]
    + [("secret-injector.io", f"{resource}/status", ("patch",), None) for resource in OWN]
    + [
        ("", "namespaces", ("get", "list", "watch"), None),
        ("", "nodes", ("get", "list", "watch"), None),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("get",), "name"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", ("get",), "name"),
    ],
    "own namespace": [
        ("coordination.k8s.io", "leases", ("get", "update"), "name"),
        ("", "secrets", ("get",), "secret-injector.certificateSecret"),
    ],
}
"""(API group, resource, verbs, the one name it is limited to)."""

CERTIFICATES = {
    "cluster": [
        (
            "admissionregistration.k8s.io",
            f"{kind}webhookconfigurations",
            ("get", "patch"),
            "webhook",
        )
        for kind in ("mutating", "validating")
    ],
    "own namespace": [
        ("coordination.k8s.io", "leases", ("get", "update"), "name"),
        ("", "secrets", ("get", "update"), "secret-injector.certificateSecret"),
    ],
}

PEOPLE = {
    "name-view": [
        ("secret-injector.io", resource, ("get", "list", "watch"), None) for resource in OWN
    ],
    "name-edit": [
        (
            "secret-injector.io",
            "servicesecrets",
            ("create", "delete", "deletecollection", "patch", "update"),
            None,
        )
    ],
}


def grants(role):
    """Return what a role grants, one line per resource and name; no rule has more than one name."""
    found = {}
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
        [name] = rule.get("resourceNames", [None])
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource, name), []).extend(rule["verbs"])
    return [
        (group, resource, tuple(verbs), name) for (group, resource, name), verbs in found.items()
    ]


@pytest.mark.parametrize(
    ("template", "account", "rights"),
    [
        ("rbac.yaml", "secret-injector.serviceAccountName", WEBHOOK),
        ("certificates-rbac.yaml", "secret-injector.certificatesAccountName", CERTIFICATES),
    ],
)
def test_an_account_may_do_exactly_this(template, account, rights):
    """Its whole rights are the golden list: no pods, no tokens, one Secret by its name."""
    roles = {document["kind"]: document for document in documents(TEMPLATES / template)}

    assert {
        kind: document["metadata"]["name"] for kind, document in roles.items()
    } == dict.fromkeys(("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"), "name")
    assert {
        "cluster": grants(roles["ClusterRole"]),
        "own namespace": grants(roles["Role"]),
    } == rights
    assert {
        subject["name"]
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for subject in roles[kind]["subjects"]
    } == {account}


@pytest.mark.parametrize(
    ("declared", "rights"), [(RBAC, WEBHOOK), (CERTIFICATES_RBAC, CERTIFICATES)]
)
def test_an_account_has_exactly_the_rights_that_its_program_uses(declared, rights):
    """What the code declares to ask of the API server is granted, by name where it says so."""
    granted = [
        (group, resource, verbs, name is not None)
        for lines in rights.values()
        for group, resource, verbs, name in lines
    ]

    assert sorted(map(tuple, declared)) == sorted(granted)


def test_no_account_that_listens_may_change_a_webhook_configuration():
    """Whoever may do that can have every object of the cluster sent to them, Secrets included."""
    changing = {"patch", "update", "create", "delete", "deletecollection", "*"}
    able = {
        path.name
        for path in TEMPLATES.rglob("*.yaml")
        for document in documents(path)
        if document.get("kind") in ("ClusterRole", "Role")
        for _, resource, verbs, _ in grants(document)
        if resource.endswith("webhookconfigurations") and changing & set(verbs)
    }
    [process] = [d for d in documents(TEMPLATES / "certificates.yaml") if d["kind"] == "Deployment"]
    [container] = process["spec"]["template"]["spec"]["containers"]

    assert able == {"certificates-rbac.yaml"}
    assert container["args"] == ["certificates"]
    assert "ports" not in container


def test_people_get_no_rights_on_what_platform_teams_own():
    """Editors of a namespace write ServiceSecrets; what platform teams own they only see."""
    roles = documents(TEMPLATES / "aggregate-roles.yaml")

    assert {role["metadata"]["name"]: grants(role) for role in roles} == PEOPLE
    assert {
        role["metadata"]["name"]: sorted(
            label.rpartition("-to-")[2] for label in role["metadata"]["labels"]
        )
        for role in roles
    } == {"name-view": ["admin", "edit", "view"], "name-edit": ["admin", "edit"]}
