"""Kinds of failure: the codes of what somebody wrote or called wrongly, found before anything runs.

`codes_at_work` has the others, `errors` has them all.
"""

from __future__ import annotations

from injector.core.record import Record

OK, INTERNAL, USAGE, FINDINGS, DENIED, AUTH, NOT_FOUND, UNAVAILABLE, UNDELIVERABLE = range(9)
"""The exit statuses of every command but `run`, which keeps its child's."""


class Code(Record):
    """A kind of failure: its id is for ever, its sentences may improve."""

    id: str
    exit: int
    title: str
    advice: str


def code(id_: str, exit_: int, title: str, advice: str) -> Code:
    """Return a code; positional, for the tables read better so."""
    return Code(id=id_, exit=exit_, title=title, advice=advice)


# 1xx: what somebody wrote. Found before anything runs: by the webhook, `mutate`, `lint`.
REFERENCE = code(
    "SI-101",
    USAGE,
    "a value or a reference in it does not parse",
    "write #{store:path#field}, #{$/KEY} or #{$service/KEY}; a literal #{ is ##{",
)
ANNOTATION_UNKNOWN = code(
    "SI-102", USAGE, "no such annotation", "docs/annotations.md lists every annotation"
)
ANNOTATION_VALUE = code(
    "SI-103",
    USAGE,
    "an annotation's value is not of its form",
    "docs/annotations.md shows the form of each annotation",
)
NAME = code(
    "SI-104",
    USAGE,
    "a name of a variable, file or path is not allowed",
    "variables are printable ASCII without =, and do not begin with __; files are plain names"
    " without .. or /",
)
DUPLICATE = code("SI-105", USAGE, "one name is set twice", "keep one of the two places")
POD = code(
    "SI-106",
    USAGE,
    "this pod cannot take the injection",
    "change what the line names; names that begin with secret-injector are the injector's own",
)
EXPOSED = code(
    "SI-107",
    USAGE,
    "a secret would be put where others can read it",
    "read the variable inside the process, or write #{KEY} in an env value",
)
NO_COMMAND = code(
    "SI-108",
    USAGE,
    "a container without command needs a way to get its variables",
    "set command, use files, or leave the container out with secret-injector.io/containers",
)
TOO_LARGE = code(
    "SI-109", USAGE, "too large", "split the set, or move large values to files of their own"
)
STORE_UNKNOWN = code(
    "SI-110",
    USAGE,
    "no such store for this namespace",
    "kubectl get csstore lists the stores; allowedNamespaces says who may use each",
)
STORE_SPEC = code(
    "SI-111",
    USAGE,
    "a store's definition is wrong",
    "docs/stores/ has a page for each provider with an example to paste",
)
NOT_SUPPORTED = code("SI-112", USAGE, "not supported yet", "the changelog says when it arrives")
CONTAINER_UNKNOWN = code(
    "SI-113",
    USAGE,
    "no such container in this pod",
    "name a container of the pod; init containers count when named",
)
REVIEW = code(
    "SI-114",
    USAGE,
    "the request is not an AdmissionReview we can answer",
    "the API server sends admission.k8s.io/v1 AdmissionReview objects",
)
CYCLE = code(
    "SI-115",
    USAGE,
    "the references go round in a circle",
    "break the circle at one of the keys listed",
)
IMPORT = code(
    "SI-116",
    USAGE,
    "nothing by that name is offered to this service",
    "the owner lists who may import under spec.exports; check name, namespace and key",
)
LIMIT = code(
    "SI-117",
    USAGE,
    "a limit is exceeded",
    "imports: 8 deep, 64 objects; 512 keys; 256 KiB of plan; docs/annotations.md has the others",
)
STEERING_NAME = code(
    "SI-118",
    USAGE,
    "this variable steers a process and may not be imported",
    "set it in the pod's own annotation if you mean it",
)
RESOURCE = code(
    "SI-119",
    USAGE,
    "a resource's definition is wrong",
    "kubectl explain shows the form; docs/resources.md the meaning",
)
IN_USE = code(
    "SI-120", DENIED, "the object is still referred to", "remove the references listed first"
)
POLICY = code(
    "SI-121",
    DENIED,
    "a policy does not allow this",
    "ask the owners of the policy named, or change what it names",
)
WORK = code(
    "SI-122",
    USAGE,
    "the work to decide about this exceeds the budget",
    "split the object, or import and refer to less",
)
LEFT_AS_TEXT = code(
    "SI-125",
    USAGE,
    "what looks like a reference stays text",
    'say secret-injector.io/inject: "true" and serve the container to have it evaluated',
)
CALLER = code(
    "SI-127",
    DENIED,
    "the caller may not ask for reviews",
    "the API server presents a certificate by --admission-control-config-file; its name must be in "
    "webhook.clientCA.allowedNames",
)
LEASE = code(
    "SI-140",
    USAGE,
    "credentials end with a lease that nothing renews",
    "let the pod end before the lease does, or raise the ttl of the engine's role",
)
NOT_SERVED = code(
    "SI-145",
    USAGE,
    "a container of another injector is not served",
    "name it in secret-injector.io/containers if it needs the values; nothing else is to do",
)
COMMENT = code(
    "SI-147",
    USAGE,
    "a reference is lost in a comment of YAML",
    'an unquoted # begins a comment in YAML; write NAME: "#{store:path#field}", in quotes',
)
OWNERSHIP = code(
    "SI-148",
    USAGE,
    "a program may refuse a file that is not its user's own",
    "say the user of the image in secret-injector.io/run-as; docs/annotations.md lists programs",
)
UNUSABLE = code(
    "SI-128",
    USAGE,
    "an object of the cluster cannot be used: reading it takes more work than one object may",
    "split the object into smaller ones; kubectl get -o wide on its kind shows which are not ready",
)
FOREIGN = code(
    "SI-130",
    USAGE,
    "an expression of another namespace uses what is this namespace's",
    "docs/policies.md says what a key of another namespace may read; ask its owner to change it",
)
UNNAMED = code(
    "SI-131",
    USAGE,
    "an import from another namespace must name its keys",
    "write the line that the message shows; secret-injector lint --fix writes it into files",
)
NAMESPACE = code(
    "SI-123",
    UNAVAILABLE,
    "the namespace is too new to be judged",
    "create the pod again in a moment; if it stays, the webhook's watch of namespaces is behind",
)
NO_BOUNDARY = code(
    "SI-126",
    USAGE,
    "a pattern is no boundary between tenants",
    "docs/policies.md says which placeholders are, and where they must stand",
)
FINAL_STATE = code(
    "SI-135",
    DENIED,
    "the pod was changed after the injection",
    "see which other webhook changes the field named, or create the pod without our parts",
)
LITERAL = code(
    "SI-132",
    USAGE,
    "a literal looks like a secret",
    "store it and write a reference to it; then give the old value up, for it has been seen",
)
MESH = code(
    "SI-146",
    USAGE,
    "a service mesh takes the network of the container that fetches",
    "see docs/meshes.md for the setting of each mesh",
)
# 2xx: how a program of ours was called.
ARGUMENT = code(
    "SI-201",
    USAGE,
    "the command was called wrongly",
    "secret-injector COMMAND --help shows examples",
)
PLAN = code(
    "SI-202",
    USAGE,
    "the plan cannot be read",
    "the webhook and the injector image must be of one version; recreate the pod",
)
