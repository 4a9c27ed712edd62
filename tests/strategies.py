"""Hypothesis strategies: values of the grammar, plans, pods, and what others do to a pod."""

from hypothesis import strategies as st

from injector.core import plan, reference
from injector.core.plan import (
    ContainerPlan,
    EnvFrom,
    EnvItem,
    FileItem,
    KeyRule,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
    Rule,
    Use,
)
from injector.core.reference import Expression, Filter

# Letters that mean something to some reader of the text, and some that mean nothing to anybody.
ODD = "#{}$@:|/\\\"'.%()~,;?-_ \t\nAz09é\u2028\U0001f511"
odd_texts = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=30)
any_texts = st.text(max_size=60) | odd_texts

keys = st.from_regex(reference.NAME, fullmatch=True)
labels = st.from_regex(reference.LABEL, fullmatch=True)
stores = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)
paths = st.text(st.sampled_from('ab/@|{}" é'), min_size=1, max_size=20).filter(
    lambda path: reference.path_problem(path) is None
)
fields = st.from_regex(r"[a-z.-]{1,9}|/([ab]|~[01]){0,4}(/[ab0]{0,3}){0,3}", fullmatch=True) | (
    st.text('ab #@}"\\', min_size=1, max_size=9).filter(lambda text: not text.startswith("/"))
)
versions = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)

references = st.one_of(
    st.builds(reference.EnvironmentKey, key=keys),
    st.builds(reference.SiblingKey, key=keys),
    st.builds(reference.ServiceKey, service=labels, namespace=st.none() | labels, key=keys),
    st.builds(
        reference.ServiceAddress,
        service=labels,
        namespace=st.none() | labels,
        port=st.none() | st.integers(1, 65_535),
    ),
    st.builds(
        reference.StoreRead,
        store=stores,
        path=paths,
        field=st.none() | fields,
        version=st.none() | versions,
    ),
)


@st.composite
def filters(draw):
    """One filter of the table, with as many arguments as it takes."""
    name = draw(st.sampled_from(sorted(reference.FILTERS)))
    least, most = reference.FILTERS[name]
    args = tuple(draw(st.lists(odd_texts, min_size=least, max_size=most)))
    if reference.argument_problem(name, args):
        args = ("/a~1b/0",) if name == "get" else (",", "2")
    return Filter(name=name, args=args)


pipes = st.lists(filters(), max_size=3).map(tuple)
expressions = st.builds(Expression, reference=references, filters=pipes)


@st.composite
def values(draw):
    """A value in normal form: no empty text, no two texts side by side."""
    parts = []
    for part in draw(st.lists(odd_texts | expressions, max_size=5)):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif part != "":
            parts.append(part)
    return tuple(parts)


file_paths = st.from_regex(r"[A-Za-z0-9_-]{1,12}(/[a-z]{1,5}){0,2}", fullmatch=True)
rules = st.builds(
    Rule,
    required=st.none() | st.booleans(),
    default=st.none() | odd_texts,
    matches=st.none() | st.just("a.*"),
    not_after=st.none() | st.just("2030-01-31"),
).filter(lambda rule: rule != Rule())


name_lists = st.lists(odd_texts, max_size=3).map(tuple)
key_rules = st.builds(
    KeyRule,
    policy=odd_texts,
    action=st.sampled_from(["Deny", "Warn", "Audit"]),
    deny=name_lists,
    final=name_lists,
)


def env_from(index):
    """Keys of a secret; `index` gives the value that it is."""
    return st.builds(
        EnvFrom,
        value=index,
        keys=name_lists,
        prefix=odd_texts,
        rename=st.lists(st.tuples(odd_texts, odd_texts), max_size=2).map(tuple),
        only=st.lists(name_lists, max_size=2).map(tuple),
        is_strict=st.booleans(),
        is_pods=st.booleans(),
    )


@st.composite
def plans(draw):
    """A plan whose indexes all point somewhere."""
    found = tuple(PlanStore(name=n, document="{}") for n in draw(st.lists(stores, max_size=3)))
    reads = ()
    if found:
        read = st.builds(
            Read,
            store=st.integers(0, len(found) - 1),
            path=odd_texts,
            version=st.none() | versions,
        )
        reads = tuple(draw(st.lists(read, max_size=4)))
    made = []
    for _ in range(draw(st.integers(0, 5))):
        part = [odd_texts]
        if reads:
            index = st.integers(0, len(reads) - 1)
            part.append(st.builds(Pick, read=index, field=st.none() | fields, filters=pipes))
        if made:
            part.append(st.builds(Use, value=st.integers(0, len(made) - 1), filters=pipes))
        made.append(
            PlanValue(
                parts=tuple(draw(st.lists(st.one_of(part), max_size=4))),
                key=draw(odd_texts),
                origin=draw(odd_texts),
                rule=draw(st.none() | rules),
            )
        )
    containers = []
    if made:
        index = st.integers(0, len(made) - 1)
        for name in draw(st.lists(labels, max_size=3, unique=True)):
            names = draw(st.lists(keys, max_size=3, unique=True))
            # No name is another's folder: every path begins with a number of its own.
            places = [f"{at}{draw(file_paths)}" for at in range(draw(st.integers(0, 3)))]
            containers.append(
                ContainerPlan(
                    name=name,
                    env_mode=draw(st.sampled_from([plan.LAUNCHER, plan.NATIVE])),
                    env=tuple(EnvItem(name=n, value=draw(index)) for n in names),
                    files=tuple(
                        FileItem(
                            path=path,
                            value=draw(index),
                            mode=draw(st.none() | st.integers(0, 0o777)),
                        )
                        for path in places
                    ),
                    env_from=tuple(draw(st.lists(env_from(index), max_size=2))),
                    own=tuple(draw(st.lists(keys, max_size=2))),
                )
            )
    return Plan(
        namespace=draw(labels),
        service_account=draw(labels),
        stores=found,
        reads=reads,
        values=tuple(made),
        containers=tuple(containers),
        group=draw(st.none() | st.just(65_532)),
        deadline_s=draw(st.integers(1, 600)) / 1.0,
        is_restarted=draw(st.booleans()),
        is_patient=draw(st.booleans()),
        mesh=draw(st.sampled_from(["", "Istio", "Kuma"])),
        sources=tuple(draw(st.lists(st.tuples(labels, keys, odd_texts), max_size=2))),
        rules=tuple(draw(st.lists(key_rules, max_size=2))),
    )


ENV_ANNOTATIONS = (
    'A: "#{k8s:app#a}"\nB: "x#{A}"\n',
    'A: "#{vault:secret/a#x}"\nP: "#{vault:secret/b#y@3 | trim}"\n',
    "C: plain\n",
    'OVER: {value: "#{k8s:app#a}", override: true}\n',
)
FILE_ANNOTATIONS = (
    'key: "#{k8s:app#key}"\n',
    'd: {value: "#{vault:secret/a#x}", path: a/b}\n',
    'e: {value: "#{vault:secret/a#x}", path: /etc/app/e}\nf: x\n',
)
COMMANDS = (["/bin/app"], ["/bin/sh", "-c", "exec app"])


@st.composite
def containers(draw, name, *, is_overriding=False):
    """A container as the API server sends it, with a command and what else there may be."""
    found = {"name": name, "image": "app", "command": list(draw(st.sampled_from(COMMANDS)))}
    env = [{"name": n, "value": "literal"} for n in draw(st.sets(st.sampled_from("XYZ")))]
    env += [
        {"name": n, "value": draw(st.sampled_from(["#{k8s:own#x}", "a#{k8s:own}b"]))}
        for n in draw(st.sets(st.sampled_from("QR")))
    ]
    if is_overriding and draw(st.booleans()):
        ref = draw(st.sampled_from(["secretKeyRef", "configMapKeyRef"]))
        env.append({"name": "OVER", "valueFrom": {ref: {"name": "chart", "key": "k"}}})
    if env or draw(st.booleans()):
        found["env"] = draw(st.permutations(env))
    if draw(st.booleans()):
        found["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    if draw(st.booleans()):
        found["livenessProbe"] = {"exec": {"command": ["/bin/live"]}, "periodSeconds": 3}
    if draw(st.booleans()):
        found["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/bye"]}}}
    if draw(st.booleans()):
        found["securityContext"] = {"runAsUser": draw(st.sampled_from([0, 1000, 2000]))}
    found["x-unknown-field"] = {"of": ["a", "newer", "API"]}
    return found


@st.composite
def pods(draw):
    """A pod that asks for something and gets it."""
    annotations = {"other.example/note": "kept", "secret-injector.io/inject": "true"}
    annotations["secret-injector.io/env"] = draw(st.sampled_from(ENV_ANNOTATIONS))
    over = "override" in annotations["secret-injector.io/env"]
    if draw(st.booleans()):
        annotations["secret-injector.io/files"] = draw(st.sampled_from(FILE_ANNOTATIONS))
    if draw(st.booleans()):
        annotations["secret-injector.io/env-mode"] = draw(st.sampled_from(["native", "launcher"]))
    names = ("app", "aux")[: draw(st.integers(1, 2))]
    spec = {"containers": [draw(containers(name, is_overriding=over)) for name in names]}
    if draw(st.booleans()):
        spec["initContainers"] = [draw(containers("prepare"))]
        if draw(st.booleans()):
            annotations["secret-injector.io/containers"] = "prepare,app"
    if draw(st.booleans()):
        spec["volumes"] = [{"name": "data", "emptyDir": {}}]
    context = draw(st.sampled_from([None, {}, {"fsGroup": 5}, {"supplementalGroups": [7]}]))
    if context is not None:
        spec["securityContext"] = context
    spec["priorityClassName"] = "kept"
    return {"metadata": {"generateName": "app-", "annotations": annotations}, "spec": spec}
