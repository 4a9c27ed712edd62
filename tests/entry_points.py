"""Every function of ours that reads what tenants, neighbours, stores or files write.

Each takes a text and returns when it has been read or refused: by one of our coded errors, or by
an error class that its module documents. Anything else that comes out of one is a fault. The
convention test of linear growth, the benchmark of 64 KiB and the fuzz targets all run this table.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from injector import local_file, local_format, rest, sops_file, sops_format
from injector.connection import Unanswered
from injector.core import (
    claims,
    dotenv,
    env_from,
    errors,
    filters,
    grammar,
    pattern,
    pattern_syntax,
    pick,
    plan_codec,
    reference,
    secret,
    spellings,
    stores,
)
from injector.core.errors import Refused
from injector.core.plan import ContainerPlan, EnvFrom, KeyRule, Rule
from injector.core.rules import breaches
from injector.core.secret import NotJson, Secret
from injector.core.stores import address
from injector.http_session import Answer
from injector.local_format import LocalFileError
from injector.providers.aws import failures
from injector.providers.azure import certificate
from injector.providers.azure import refusal as azure_refusal
from injector.providers.gcp import answers as gcp_answers
from injector.providers.vault import answers as vault_answers
from tests import asking
from webhook.core import (
    annotations,
    from_entries,
    globs,
    lookalikes,
    migrate,
    migrate_external,
    policy_model,
    resources,
    review,
    sources_text,
    workloads,
    yamltext,
)
from webhook.core.catalog import Catalog

VARIABLES = {"namespace": "shop", "serviceAccount": "app", "service": "app", "definer": "shop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A reader: `signs` are the characters that mean something to it, `openings` lead into it."""

    read: Callable[[str], object]
    signs: str
    openings: tuple[str, ...] = ("",)


def _lookalike(text):
    lookalikes.of_text(text)
    list(lookalikes.references_in(text))
    lookalikes.prefix_meant(text)


def _value(text):
    grammar.has_expression(text)
    with suppress(grammar.GrammarError):
        value = grammar.parse(text)
        assert grammar.parse(reference.format_value(value)) == value


def _reference(text):
    with suppress(grammar.GrammarError):
        grammar.parse_reference(text)


def _yaml(text):
    with suppress(yamltext.YamlSlip):
        yamltext.parse(text)


def _annotation(name):
    return lambda text: annotations.parse({name: text})


def _annotation_name(text):
    annotations.parse({text: ""})
    annotations.parse(dict.fromkeys(text.split("\n"), ""))


def _service(made):
    """Return a reader of a ServiceSecrets whose spec is made of the text."""

    def read(text):
        raw = {"metadata": {"namespace": "shop", "name": "app"}, "spec": made(text)}
        resources.service(raw)

    return read


def _policy(made):
    def read(text):
        resources.policy({"metadata": {"name": "guard"}, "spec": made(text)})

    return read


def _store(text):
    for provider in stores.PROVIDERS:
        for document in (
            {provider: text},
            {provider: {text: text}},
            {provider: dict.fromkeys(_FIELDS, text)},
        ):
            with suppress(Refused):
                stores.parse("store", {**document, "allowedNamespaces": [text], "timeout": text})


_FIELDS = (
    "address", "caBundle", "namespace", "tlsServerName", "auth", "region", "roleArn", "externalId",
    "vault", "vaultName", "tenantId", "vaultSuffix", "project", "location", "format", "file",
)  # fmt: skip


def _path(text):
    reference.path_problem(text)
    spellings.of_path(text)
    spellings.of_field(text, {text.partition(".")[0]: text})
    pick.key_in_path(text)
    for store in _STORES:
        store.spec.path_problem(text, text, text)
        spellings.of_path(text, store.provider)


_STORES = (
    stores.parse("vault", asking.vault()["spec"]),
    stores.parse("k8s", {"k8s": {}}),
    stores.parse(
        "local",
        {
            "local": {
                "file": {"configMapRef": {"name": "a", "key": "b"}},
                "identity": {"secretRef": {"name": "a", "key": "b"}},
            }
        },
    ),
)


def _address(text):
    address.host_problem(text)


def _globs(text):
    for other in ("*a*a*b", "kv/**/a/**/b", "a*b*" * 16, text[:512]):
        globs.name_matches(text, other)
        globs.path_matches(text, other, VARIABLES)
        globs.name_matches(other, text)
        globs.path_matches(other, text, VARIABLES)
    policy_model.pattern_problem(text)


def _pattern(text):
    with suppress(pattern.PatternError):
        pattern.check(text)
    pattern_syntax.alternatives(text)


def _matched(text):
    for known in ("^(a|b)*c$", "[^a]*a.{8}", "(a*)*b"):
        breaches(Rule(matches=known), text.encode(), today="2026-01-01")


def _plan(text):
    with suppress(Refused):
        plan_codec.decode(text)
    packed = base64.urlsafe_b64encode(zlib.compress(text.encode())).decode().rstrip("=")
    with suppress(Refused):
        plan_codec.decode(packed)
    plan_codec.asked_in(packed)


def _sources(text):
    sources_text.decode(text)
    packed = zlib.compress(text.encode("utf-8", "surrogatepass"))
    sources_text.decode(base64.urlsafe_b64encode(packed).decode().rstrip("="))


def _dotenv(text):
    with suppress(dotenv.NotDotenv):
        dotenv.parse(text.encode())


def _sops(form):
    def read(text):
        with suppress(sops_format.NotSops, LocalFileError):
            document = sops_format.parse(text.encode(), form)
            sops_file.decrypt(document, bytes(32))

    return read


def _sops_rule(text):
    document = sops_format.Document(
        tree={"password": sops_format.Scalar(kind="str", text="x")},
        metadata={"encrypted_regex": text, "mac": ""},
    )
    with suppress(LocalFileError):
        sops_file.decrypt(document, bytes(32))


def _local(text):
    with suppress(LocalFileError):
        local_format.decode(text.encode())
    with suppress(LocalFileError):
        local_file.identities(text)
    with suppress(LocalFileError):
        local_file.reader_count(text.encode())


def _json(text):
    for field in (None, "a", "/a/0/b", text):
        with suppress(pick.NotPicked):
            pick.pick(Secret(text.encode()), field)
    with suppress(NotJson):
        secret.format_json(secret.parse_json(text.encode()))


def _filtered(text):
    value = filters.Text(data=text.encode())
    names = ("base64", "base64decode", "json", "urlencode", "trim", "lines", "dockerusername")
    steps = [reference.Filter(name=name) for name in (*names, "yaml")]
    steps += [reference.Filter(name="split", args=args) for args in ((",",), ("\n", "2"))]
    for step in steps:
        with suppress(filters.FilterError):
            filters.apply(step, value)
    for pointer in ("/a", "/0"):
        with suppress(pick.NotPicked):
            pick.pick_in(value, pointer)


def _answered(text):
    data = text.encode()
    spec = stores.parse(
        "azure",
        {
            "azureKeyVault": {
                "address": "https://shop.vault.azure.net",
                "tenantId": "contoso.example",
                "auth": {"workloadIdentity": {"clientId": "0" * 8 + "-0000-0000-0000-" + "0" * 12}},
            }
        },
    ).spec
    header = text.encode("ascii", "ignore").decode()
    words = dict.fromkeys(("mount", "role", "account", "namespace", "audience"), "shop")
    judge_login = vault_answers.login_judge("kubernetes", words)
    for status in (400, 401, 403, 404, 429, 500, 503):
        headers = {
            "content-type": "application/json",
            "retry-after": header,
            "www-authenticate": header,
            "location": header,
        }
        answer = Answer(status, headers, data)
        vault_answers.judge(answer)
        judge_login(answer)
        azure_refusal(spec, answer)
        gcp_answers.refusal("who", answer)
        gcp_answers.exchange_refusal(claims.Claims(), answer)
        gcp_answers.impersonation_refusal("account", "who", answer)
        failures.of_code(text, text, status=status)
        failures.of_status(status, headers)
        with suppress(Unanswered):
            rest.word(answer.json(), "code")
    claims.parse(text)


def _key_vault(text):
    for part in ("", certificate.KEY, certificate.CHAIN):
        for form in (certificate.PEM, certificate.PKCS12):
            with suppress(certificate.NotCertificate, certificate.NoKey):
                certificate.to_pem(text, form, part)


def _review(text):
    data = text.encode()
    for read in (review.parse, review.head):
        with suppress(Refused):
            read(data)


CATALOG = Catalog.of([asking.vault(), asking.service("shop", "app", {"A": "#{vault:kv/a#b}"})])


def whole_review(pod, catalog=CATALOG):
    """Decide about a pod as the webhook does; the answer is bounded and has codes."""
    asked = asking.request(pod)
    decided = asking.outcome(pod, catalog=catalog)
    answer = review.answer(asked, decided)
    assert decided.kind in ("inject", "skip", "deny")
    if decided.kind == "deny":
        assert decided.problems
        assert len(answer) <= review.MAX_ANSWER_BYTES
    return decided


def _pod(text):
    container = {
        "args": [text],
        "command": ["/bin/app", text],
        "env": [{"name": "B", "value": text}, {"name": text, "value": "#{vault:kv/a#b}"}],
        "volumeMounts": [{"name": "v", "mountPath": text, "subPathExpr": text}],
    }
    whole_review(asking.pod({"inject": "true", "service": "app", "env": text}, **container))


def _workload(text):
    pod = asking.pod({"inject": "true", "env": text}, args=[text])
    annotations = {asking.PREFIX + text: text}
    raw = {
        "apiVersion": "example.com/v1",
        "kind": "Odd",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"tasks": [{"template": pod}, {text: {"template": pod}}], "text": text},
    }
    asked = msgspec.structs.replace(asking.request(raw), kind=review.Kind(kind="Odd"))
    told = workloads.judge(asked, CATALOG, asking.INJECTION)
    assert told.kind == "allow"
    assert len(told.warnings) <= workloads.MOST_LINES
    assert all(len(line) <= 256 and line.isprintable() for line in told.warnings)


def _from_entry(text):
    names = [text[at : at + 64] for at in range(0, min(len(text), 4096), 64)]
    entry = {
        "from": text,
        "keys": names,
        "prefix": text[:64],
        "rename": {name: name[::-1] for name in names},
    }
    for data in (entry, {**entry, "from": "vault:secret/a"}):
        from_entries.read(data, "from", origin="test", code=errors.RESOURCE, problems=[])


def _keys_of_a_secret(text):
    names = [text[at : at + 16] for at in range(0, len(text), 16)]
    entry = EnvFrom(value=0, keys=("*a*a", text[:64]), rename=(("a", text[:64]),))
    rules = [KeyRule(policy="p", action="Deny", deny=(text[:64],), final=("*a",))]
    env_from.chosen(ContainerPlan(name="app", env_from=(entry,)), rules, {0: names})


def _external_secret(text):
    remote = {"key": text, "property": text, "version": text}
    rewrite = {"regexp": {"source": text, "target": text}}
    spec = {
        "data": [{"secretKey": text, "remoteRef": remote}],
        "dataFrom": [{"extract": {"key": text}, "rewrite": [rewrite]}],
    }
    migrate_external.service_of({"metadata": {"name": text}, "spec": spec}, store="vault")


def _migrated(text):
    migrate.value(text, store="vault")
    migrate.value("vault:" + text, store="vault")
    prefix = migrate.VAULT_K8S
    migrate.translation(
        {
            f"{prefix}agent-inject-secret-a": text,
            f"{prefix}agent-inject-template-a": text,
            f"{prefix}{text}": "x",
        },
        store="vault",
    )


_GRAMMAR = '#{}"|\\$@:/(,a '
_YAML = "-:[]{},\"'|>&*!?%#a \n\t"

ENTRY_POINTS = {
    "grammar": EntryPoint(
        read=_value,
        signs=_GRAMMAR,
        openings=("", "#{a:b", '#{a:"', "#{a:b#", "#{a|", '#{a|default("', "#{a|trim"),
    ),
    "reference": EntryPoint(read=_reference, signs=_GRAMMAR, openings=("", "a:", 'a:"', "a:b#/")),
    "yaml": EntryPoint(read=_yaml, signs=_YAML, openings=("", "a: ", "a: |\n ", "[", "{")),
    "annotation env": EntryPoint(
        read=_annotation("env"), signs=_YAML, openings=("", "A: ", 'A: "', "A: '#{")
    ),
    "annotation files": EntryPoint(
        read=_annotation("files"), signs="/.a:{},\n ", openings=("", "a/", "a: {path: ")
    ),
    "annotation containers": EntryPoint(read=_annotation("containers"), signs=",a- "),
    "annotation inline": EntryPoint(read=_annotation("inline"), signs=",A_* "),
    "annotation files-path": EntryPoint(read=_annotation("files-path"), signs="/.a-"),
    "annotation env-mode": EntryPoint(read=_annotation("env-mode"), signs="auto"),
    "annotation refresh": EntryPoint(read=_annotation("refresh"), signs="19hms"),
    "annotation deadline": EntryPoint(read=_annotation("deadline"), signs="19hms"),
    "annotation init-after": EntryPoint(read=_annotation("init-after"), signs="a-.9"),
    "annotation resources": EntryPoint(
        read=_annotation("resources"), signs="19.eiKM:{}, ", openings=("", "{requests: {cpu: ")
    ),
    "annotation names": EntryPoint(read=_annotation_name, signs="a.-/\n", openings=("", "env.")),
    "value of an object": EntryPoint(read=_service(lambda t: {"env": {"A": t}}), signs=_GRAMMAR),
    "key of an object": EntryPoint(read=_service(lambda t: {"env": {t: "x"}}), signs="A_.a- "),
    "keys of an object": EntryPoint(
        read=_service(lambda t: {"env": dict.fromkeys(t.split("\n"), "x"), t: t}), signs="A_\n"
    ),
    "rule of an object": EntryPoint(
        read=_service(
            lambda t: {"env": {"A": {"value": "x", "matches": t, "notAfter": t, "required": t}}}
        ),
        signs="()[]{}*+?|\\^$.a1,-",
    ),
    "import of an object": EntryPoint(
        read=_service(
            lambda t: {"env": {"__import_svc": [t, "$" + t, {"from": "$a.b", "keys": [t]}]}}
        ),
        signs="$.a-* ",
    ),
    "export of an object": EntryPoint(
        read=_service(
            lambda t: {"exports": [{"to": {"namespaces": [t], "services": [t]}, "keys": [t]}]}
        ),
        signs="a*-.",
    ),
    "preset of an object": EntryPoint(
        read=_service(
            lambda t: {
                "presets": [{"type": "postgres", "source": t, "host": t, "database": t}, {t: t}]
            }
        ),
        signs="@:/a[]1.",
        openings=("", "@"),
    ),
    "file of an object": EntryPoint(
        read=_service(lambda t: {"files": {t: {"value": "x", "path": t, "mode": t}}}), signs="/.a0"
    ),
    "policy": EntryPoint(
        read=_policy(
            lambda t: {
                "match": {
                    "namespaceSelector": {
                        "matchLabels": {t: t},
                        "matchExpressions": [{"key": t, "operator": t, "values": [t]}],
                    },
                    "serviceAccounts": [t],
                },
                "rules": {
                    "stores": {"allow": [t]},
                    "paths": [{"store": t, "allow": [t]}],
                    "keys": {"deny": [t]},
                    "imports": {"from": [t]},
                    "maxDeadline": t,
                    "maxRefresh": t,
                },
                "defaults": {t: t, "env": t},
                "final": [t],
            }
        ),
        signs="*{}/a-1s",
        openings=("", "kv/{namespace}/"),
    ),
    "store": EntryPoint(
        read=_store, signs="a-.:[{", openings=("", "https://", "arn:aws:iam::")
    ),
    "path": EntryPoint(read=_path, signs="/.a:-#", openings=("", "/", "a/")),
    "address": EntryPoint(read=_address, signs="1.:[]x0a"),
    "globs": EntryPoint(read=_globs, signs="*a/{}", openings=("", "kv/")),
    "pattern": EntryPoint(read=_pattern, signs="()[]{}*+?|\\^$.a1,-:", openings=("", "(?:", "[")),
    "matched": EntryPoint(read=_matched, signs="abc"),
    "sources": EntryPoint(
        read=_sources, signs='{}[]":,\\1-eA_=', openings=("", '{"env":', '{"env":[{"name":')
    ),
    "plan": EntryPoint(
        read=_plan, signs='{}[]":,\\1-eA_=', openings=("", '{"v":', '{"v":1,"values":[')
    ),
    "dotenv": EntryPoint(
        read=_dotenv, signs=" \t#='\"\\$\n\rA1", openings=("", "A=", "A='", 'A="', "export ")
    ),
    "sops yaml": EntryPoint(
        read=_sops("yaml"), signs=_YAML, openings=("", "a: ", "sops: {mac: x}\na: ")
    ),
    "sops json": EntryPoint(
        read=_sops("json"), signs='{}[]":,\\1-e.a', openings=("", '{"sops":{"mac":"x"},"a":')
    ),
    "sops ini": EntryPoint(
        read=_sops("ini"),
        signs="=:[]\n#;`\"'\\ a",
        openings=("", "[a]\nb=", "b=`", "[sops]\na__map_"),
    ),
    "sops dotenv": EntryPoint(
        read=_sops("dotenv"), signs="=\n_\\n#a", openings=("", "sops_mac=x\nA=", "sops_a__map_")
    ),
    "sops rule": EntryPoint(
        read=_sops_rule, signs="()[]{}*+?|\\^$.a1,-", openings=("", "(?i)", "(a")
    ),
    "local": EntryPoint(
        read=_local,
        signs='{}[]":,\\1-A\n',
        openings=("", '{"format":1,"secrets":{', "AGE-SECRET-KEY-1", "age-encryption.org/v1\n-> "),
    ),
    "json": EntryPoint(read=_json, signs='{}[]":,\\1-e.a/~ ', openings=("", '{"a":', '"')),
    "filters": EntryPoint(read=_filtered, signs='A=\n +/"\\[],%', openings=("", "[")),
    "answer": EntryPoint(
        read=_answered,
        signs='{}[]":,1.s-a',
        openings=("", '{"error":', 'Bearer authorization="https://', "a.", "https://"),
    ),
    "key vault": EntryPoint(
        read=_key_vault, signs="-BEGIN PRIVATEKY\nA=", openings=("", "-----BEGIN ")
    ),
    "review": EntryPoint(
        read=_review, signs='{}[]":,\\1-e', openings=("", '{"request":{"uid":"', '{"request":')
    ),
    "pod": EntryPoint(read=_pod, signs="$()#{}A:/\n ", openings=("", "#{", "$(", "A: ")),
    "lookalike": EntryPoint(
        read=_lookalike,
        signs="${}#()[]<>:/@+ab.-\\ ",
        openings=("", "${vault:", "vault:a#", "#(", "<path:", "ref+a", "secret-injector"),
    ),
    "workload": EntryPoint(read=_workload, signs="#{}A:/,\n \x1b", openings=("", "A: ", "A: '#{")),
    "from entry": EntryPoint(read=_from_entry, signs='*:/#@{}"a_=', openings=("", "vault:", "*")),
    "keys of a secret": EntryPoint(read=_keys_of_a_secret, signs="*a_=LD", openings=("", "LD_")),
    "external secret": EntryPoint(
        read=_external_secret, signs="$(.*)/{}1a_", openings=("", "A$1", "(.*)")
    ),
    "migrate": EntryPoint(
        read=_migrated,
        signs='${}:#/"a \n',
        openings=("", "${vault:", "{{ with secret ", "vault-env-image"),
    ),
}  # fmt: skip


def json_text(value):
    """Return a value as JSON: a way into the readers of JSON for structured fuzzing."""
    return json.dumps(value)
