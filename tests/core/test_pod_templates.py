"""Pod templates are found by their shape, in kinds that we know and in those that we do not."""

import pytest
import yaml

from injector.core import budget
from injector.core.errors import Refused
from webhook.core.pod_templates import path_of, pod_templates

PIPELINE = (
    "pipelineSpec: {tasks: [{name: t, taskSpec: {metadata: {annotations: {b: task}},"
    " steps: [{name: a, image: i}], sidecars: [{name: db, image: d}]}}]}"
)
POD = {"containers": [{"name": "c", "image": "i"}]}
ASKS = {"annotations": {"secret-injector.io/service": "checkout"}}


def found(text):
    """Return kind, name, namespace, path, annotations and container names of each pod found."""
    return [
        (
            f"{each.kind} {each.namespace}/{each.name}",
            each.path,
            dict((each.pod["metadata"] or {}).get("annotations") or {}),
            [c.get("name") for c in each.pod["spec"]["containers"]],
        )
        for each in pod_templates(yaml.safe_load(text), namespace="default")
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("apps/v1 Deployment", {"template": {}}, "spec.template"),
        ("batch/v1 CronJob", {"jobTemplate": {"spec": {"template": {}}}},
         "spec.jobTemplate.spec.template"),
        ("serving.knative.dev/v1 Service", {"template": {}}, "spec.template"),
        ("argoproj.io/v1alpha1 Rollout", {"template": {}}, "spec.template"),
        ("apps.kruise.io/v1alpha1 CloneSet", {"template": {}}, "spec.template"),
        ("batch.volcano.sh/v1alpha1 Job", {"tasks": [{"name": "w", "template": {}}]},
         "spec.tasks[0].template"),
        ("kubeflow.org/v1 PyTorchJob", {"pytorchReplicaSpecs": {"Master": {"template": {}}}},
         "spec.pytorchReplicaSpecs.Master.template"),
        ("jobset.x-k8s.io/v1alpha2 JobSet",
         {"replicatedJobs": [{"template": {"spec": {"template": {}}}}]},
         "spec.replicatedJobs[0].template.spec.template"),
        ("keda.sh/v1alpha1 ScaledJob", {"jobTargetRef": {"template": {}}},
         "spec.jobTargetRef.template"),
        ("apps.openshift.io/v1 DeploymentConfig", {"template": {}}, "spec.template"),
        ("elasticsearch.k8s.elastic.co/v1 Elasticsearch", {"nodeSets": [{"podTemplate": {}}]},
         "spec.nodeSets[0].podTemplate"),
    ],
)  # fmt: skip
def test_a_template_is_found_wherever_a_kind_keeps_it(kind, spec, path):
    """`{metadata, spec: {containers}}` is a pod template in any kind, at the place named."""

    def filled(node):
        if node == {}:
            return {"metadata": ASKS, "spec": POD}
        if isinstance(node, dict):
            return {name: filled(entry) for name, entry in node.items()}
        return [filled(entry) for entry in node] if isinstance(node, list) else node

    version, name = kind.split(" ")
    raw = {"apiVersion": version, "kind": name, "metadata": {"name": "n", "namespace": "shop"}}
    raw["spec"] = filled(spec)

    [template] = pod_templates(raw, namespace="default")

    assert (template.kind, template.name, template.namespace) == (name, "n", "shop")
    assert template.path == path
    assert template.annotated == (f"{path}.metadata.annotations",)
    assert template.pod == {"metadata": ASKS, "spec": POD}
    assert not template.is_composed


def test_a_pod_is_its_own_template_with_and_without_a_kind():
    """A pod template file of Airflow may leave out apiVersion and kind."""
    text = "{metadata: {name: p}, spec: {containers: [{name: base, image: i}]}}"

    assert found(text) == [("Pod default/p", "", {}, ["base"])]
    assert found(text.replace("{meta", "{kind: Pod, meta", 1)) == found(text)


def test_each_template_of_an_argo_workflow_is_a_pod_with_the_annotations_of_all():
    """`podMetadata` is every pod's, a template's own metadata wins; steps and dags make none."""
    assert found(
        """
        {apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: wf-},
         spec: {entrypoint: main, podMetadata: {annotations: {a: all, b: all}}, templates: [
           {name: main, steps: [[{name: s, template: build}]]},
           {name: build, metadata: {annotations: {b: own}}, container: {image: i, command: [x]}},
           {name: check, script: {image: i, source: "exit 0"}, sidecars: [{name: db, image: d}]},
           {name: many, containerSet: {containers: [{name: a, image: i}, {name: b, image: i}]}}]}}
        """
    ) == [
        ("Workflow default/wf-", "spec.templates[1]", {"a": "all", "b": "own"}, ["main"]),
        ("Workflow default/wf-", "spec.templates[2]", {"a": "all", "b": "all"}, ["main", "db"]),
        ("Workflow default/wf-", "spec.templates[3]", {"a": "all", "b": "all"}, ["a", "b"]),
    ]


def test_templates_within_steps_and_tasks_of_argo_are_pods_too():
    """`inline` holds a template where it is used."""
    name = "WorkflowTemplate default/w"

    assert found(
        """
        {kind: WorkflowTemplate, metadata: {name: w}, spec: {podMetadata: {annotations: {a: b}},
          templates: [
           {name: s, steps: [[{name: x, inline: {container: {image: i}}}, {name: y, template: z}]]},
           {name: d, dag: {tasks: [{name: t, inline: {script: {image: i}}}, {name: u}]}}]}}
        """
    ) == [
        (name, "spec.templates[0].steps[0][0].inline", {"a": "b"}, ["main"]),
        (name, "spec.templates[1].dag.tasks[0].inline", {"a": "b"}, ["main"]),
    ]


def test_the_containers_of_argo_start_through_its_own_program():
    """So an image without a command does not need native variables."""
    raw = {"kind": "CronWorkflow", "spec": {"workflowSpec": {"templates": [
        {"name": "m", "container": {"image": "i", "command": ["x"]}}]}}}  # fmt: skip

    [template] = pod_templates(raw, namespace="default")

    assert template.is_composed
    assert template.annotated == (
        "spec.workflowSpec.podMetadata.annotations",
        "spec.workflowSpec.templates[0].metadata.annotations",
    )
    [main] = template.pod["spec"]["containers"]
    assert main["command"] == ["/var/run/argo/argoexec", "emissary", "--", "x"]


@pytest.mark.parametrize(
    ("spec", "path", "annotations"),
    [
        ("taskSpec: {steps: [{name: a, image: i}], sidecars: [{name: db, image: d}]}",
         "spec.taskSpec", {"a": "run"}),
        (PIPELINE,
         "spec.pipelineSpec.tasks[0].taskSpec", {"a": "run", "b": "task"}),
        ("steps: [{name: a, image: i}], sidecars: [{name: db, image: d}]",
         "spec", {"a": "run"}),
    ],
)  # fmt: skip
def test_tekton_makes_one_pod_of_the_steps_of_a_task(spec, path, annotations):
    """The annotations of a run, a task and an embedded task are all the pod's."""
    text = "{kind: X, metadata: {name: t, annotations: {a: run}}, spec: {%s}}"

    assert found(text % spec) == [("X default/t", path, annotations, ["step-a", "sidecar-db"])]


def test_spark_makes_a_driver_and_executors():
    """Each with its own annotations; the image of the application is the default of both."""
    assert found(
        """
        {kind: SparkApplication, metadata: {name: s}, spec: {image: spark,
          driver: {annotations: {a: driver}}, executor: {env: [{name: A, value: b}]}}}
        """
    ) == [
        ("SparkApplication default/s", "spec.driver", {"a": "driver"}, ["spark-kubernetes-driver"]),
        ("SparkApplication default/s", "spec.executor", {}, ["spark-kubernetes-executor"]),
    ]


def test_airflows_pod_operator_as_yaml_makes_a_pod():
    """What DAG factories read: commands, arguments and variables are those of the container."""
    raw = {"tasks": {"t": {
        "operator": "airflow.providers.cncf.kubernetes.KubernetesPodOperator",
        "image": "i",
        "cmds": ["x"],
        "env_vars": {"A": "b"},
        "annotations": {"a": "b"},
    }}}  # fmt: skip

    [template] = pod_templates(raw, namespace="default")

    assert template.path == "tasks.t"
    assert template.pod == {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "base", "image": "i", "command": ["x"],
                 "env": [{"name": "A", "value": "b"}]}
            ],
        },
    }  # fmt: skip


def test_an_operators_object_with_pod_metadata_makes_a_pod():
    """The annotations of the object itself do not reach its pods."""
    assert found(
        """
        {kind: Prometheus, metadata: {name: p, annotations: {a: object}},
         spec: {podMetadata: {annotations: {a: pod}}, containers: [{name: extra, image: i}]}}
        """
    ) == [("Prometheus default/p", "spec", {"a": "pod"}, ["extra"])]


def test_objects_within_an_object_are_found_with_their_own_names():
    """OpenShift's Template and a ManifestWork hold whole objects."""
    assert found(
        """
        {apiVersion: template.openshift.io/v1, kind: Template, metadata: {name: t}, objects: [
          {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: []}},
          {apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: shop},
           spec: {template: {spec: {containers: [{name: c, image: i}]}}}}]}
        """
    ) == [("Deployment shop/d", "objects[1].spec.template", {}, ["c"])]


@pytest.mark.parametrize(
    "text",
    [
        "{kind: ConfigMap, metadata: {name: c}, data: {a: b}}",
        "{kind: Rollout, spec: {workloadRef: {kind: Deployment, name: d}}}",
        "{kind: TaskRun, spec: {taskRef: {name: t}}}",
        "{kind: SidecarSet, metadata: {name: s}, spec: {containers: [{name: c, image: i}]}}",
        "{kind: CustomResourceDefinition, spec: {x: {spec: {containers: [{name: a}]}}}}",
        "{kind: Deployment, spec: {template: 3}}",
        "{kind: 7, spec: [1], metadata: x}",
        "{templates: 1, steps: {image: 2}, driver: [], podMetadata: 1, containers: [3]}",
        "{steps: [{uses: actions/checkout}], templates: [{container: x}, 1]}",
    ],
)
def test_what_makes_no_pods_of_its_own_has_no_template(text):
    """And no type of any field is a surprise."""
    assert found(text) == []


def test_an_object_that_is_deep_or_large_costs_what_it_is_long():
    """Depth is cut off, and every node is counted against the budget."""
    deep = {"kind": "X", "spec": {}}
    node = deep["spec"]
    for _ in range(500):
        node["a"] = {}
        node = node["a"]
    node["spec"] = POD

    assert list(pod_templates(deep, namespace="x")) == []
    wide = {"kind": "X", "spec": {"a": [{"b": []}] * 5000}}
    with budget.limited(1000), pytest.raises(Refused):
        list(pod_templates(wide, namespace="x"))


def test_a_pointer_is_written_as_a_path_with_dots():
    """Indexes in brackets, escapes undone."""
    assert path_of("/spec/tasks/0/a~1b") == "spec.tasks[0].a/b"
    assert path_of("") == ""
