"""The rights of the webhook's account, as a list to read: changing it changes the promise."""

from tests.chart.manifests import TEMPLATES, documents
from webhook.api import RBAC

OWN = ["clusterinjectionpolicies", "clustersecretstores", "environmentsecrets", "servicesecrets"]

WEBHOOK = {
    "cluster": [
        ("secret-injector.io", resource, ("get", "list", "watch"), None) for resource in OWN
    ]
    + [("secret-injector.io", f"{resource}/status", ("patch",), None) for resource in OWN]
    + [
        ("", "namespaces", ("get", "list", "watch"), None),
        ("", "nodes", ("get", "list", "watch"), None),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("get", "patch"), "name"),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            ("get", "patch"),
            "name",
        ),
    ],
    "own namespace": [
        ("coordination.k8s.io", "leases", ("get", "update"), "name"),
        ("", "secrets", ("get", "update"), "secret-injector.certificateSecret"),
    ],
}
"""(API group, resource, verbs, the one name it is limited to)."""

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


def test_webhook_may_do_exactly_this():
    """Its whole rights are the golden list: no pods, no tokens, one Secret by its name."""
    roles = {document["kind"]: document for document in documents(TEMPLATES / "rbac.yaml")}

    assert {
        kind: document["metadata"]["name"] for kind, document in roles.items()
    } == dict.fromkeys(("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"), "name")
    assert {
        "cluster": grants(roles["ClusterRole"]),
        "own namespace": grants(roles["Role"]),
    } == WEBHOOK


def test_webhook_has_every_right_that_it_uses():
    """What the code declares to ask of the API server is granted, and by name where it says so."""
    granted = {
        (group, resource, verbs, name is not None)
        for lines in WEBHOOK.values()
        for group, resource, verbs, name in lines
    }

    assert [line for line in RBAC if tuple(line) not in granted] == []


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
