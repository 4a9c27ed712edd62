"""Native variables depend on a kubelet's feature gate, which nothing declares: pods prove it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from tests.e2e.scenarios.system import NAMESPACE, RELEASE
from tests.e2e.testbed.process import CommandFailedError, until

SELECTOR = "app.kubernetes.io/name=secret-injector-doctor"
NODE = "testbed"
TEST_POD = f"{RELEASE}-test-native"


@pytest.fixture
def command(cluster):
    """Return a function that starts `doctor --cluster` as a person would."""

    def start(*options):
        words = [sys.executable, "-m", "injector", "doctor", "--cluster", *options]
        return subprocess.Popen(
            words,
            env={**os.environ, **cluster.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def doctor(command, cluster):
    """Return a function from options to status, output and messages; no pod may be left."""

    def run(*options):
        process = command(*options)
        out, err = process.communicate(timeout=150)
        assert cluster.find("Pod", selector=SELECTOR) == []
        return process.returncode, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def gate_off(local_cluster):
    """Switch EnvFiles off at the kubelet, as a managed platform may; switch it on again later."""
    local_cluster.restart_kubelet(feature_gates={"EnvFiles": False})
    yield
    local_cluster.restart_kubelet()


@pytest.fixture
def tests_of_the_chart(system, namespace):
    """Install the release with its test pods, in a restricted namespace; return how to run them.

    The function returns the status of `helm test` and what it and the pods wrote.
    """
    restrict(system.cluster, namespace)

    def run(**injected):
        system.install(tests={"enabled": True, "namespace": namespace}, injected=injected)
        try:
            return 0, system.helm("test", RELEASE, "--namespace", NAMESPACE)
        except CommandFailedError as failed:
            return failed.status, f"{failed.stdout.decode()}{failed.stderr.decode()}"

    yield run
    system.install()


def restrict(cluster, namespace):
    """Enforce the restricted profile of pod security in a namespace."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.patch("Namespace", namespace, {"metadata": {"labels": labels}})


def test_a_kubelet_that_delivers_is_proved_by_a_pod_that_leaves_nothing(system, doctor, namespace):
    """In a restricted namespace, too; the release's setting is right."""
    restrict(system.cluster, namespace)
    version = system.cluster.get("Node", NODE)["status"]["nodeInfo"]["kubeletVersion"]

    done, out, err = doctor("-n", namespace)

    assert (done, err) == (0, [f"making a pod on each of 1 nodes, in the namespace {namespace}"])
    assert [line.split() for line in out[:2]] == [
        ["NODE", "KUBELET", "NATIVE", "VARIABLES"],
        [NODE, version, "delivered"],
    ]
    assert out[2:] == [f"release {NAMESPACE}/{RELEASE}: injected.nativeEnv: auto is right"]


def test_a_gate_that_is_off_is_found_and_the_setting_that_helps_is_named(system, doctor, gate_off):
    """The kubelet's version says nothing of it; without `-n` the release's namespace is used."""
    done, out, err = doctor("-o", "json")

    found = json.loads("\n".join(out))
    assert (done, found["nativeEnv"]) == (3, "never")
    assert [(each["node"], each["result"], each["note"]) for each in found["nodes"]] == [
        (NODE, "empty", "its kubelet has the feature gate EnvFiles switched off")
    ]
    assert err[1:] == [
        (
            f"SI-603 release {NAMESPACE}/{RELEASE}: injected.nativeEnv is auto,"
            f" and variables stay empty on {NODE}"
        ),
        "       hint: set injected.nativeEnv: never in the chart",
    ]


def test_helm_test_fails_where_the_gate_is_off_until_native_variables_are_never_used(
    tests_of_the_chart, gate_off, system, namespace
):
    """It says which value to set; with that value there is nothing to prove, and it passes."""
    failed, said = tests_of_the_chart()
    told = system.cluster.get("Pod", TEST_POD, namespace)["status"]["containerStatuses"]
    passed, _ = tests_of_the_chart(nativeEnv="never")

    words = "set injected.nativeEnv: never in the chart"
    assert words in told[0]["state"]["terminated"]["message"]
    assert (failed, words in said, passed) == (1, True, 0)


def test_helm_test_passes_under_pod_security_and_leaves_nothing(
    tests_of_the_chart, system, namespace
):
    """Both pods: the one that is injected, and the one that reads a native variable."""
    passed, said = tests_of_the_chart()

    assert (passed, said.count("Phase:          Succeeded")) == (0, 2)
    assert system.cluster.find("Pod", namespace) == []


def test_nodes_that_are_too_old_are_no_finding_of_helm_test(tests_of_the_chart, system, node):
    """`nativeEnv: auto` keeps native variables away from them, so the test pod keeps away too."""
    node("old")

    passed, _ = tests_of_the_chart()
    hooks = yaml.safe_load_all(system.helm("get", "hooks", RELEASE, "--namespace", NAMESPACE))

    (pod,) = (each for each in hooks if each["metadata"]["name"] == TEST_POD)
    terms = pod["spec"]["affinity"]["nodeAffinity"]
    assert passed == 0
    assert terms == {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["old"]}]}
            ]
        }
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_doctor_leaves_no_pod(system, command, cluster, namespace, number):
    """Ctrl-C while the pod is still on its way."""
    process = command("-n", namespace, "--image", "localhost/nobody-has-this:1")
    until(
        lambda: cluster.find("Pod", namespace, selector=SELECTOR),
        what="the doctor's pod",
        timeout_s=30,
    )

    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert cluster.find("Pod", namespace) == []
