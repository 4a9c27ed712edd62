"""A review as a cluster sends it: a pod of a real size that asks for ten values."""

import json
from itertools import count

STORE = {
    "apiVersion": "secret-injector.io/v1alpha1",
    "kind": "ClusterSecretStore",
    "metadata": {"name": "vault", "resourceVersion": "1"},
    "spec": {
        "vault": {
            "address": "https://vault.example.com:8200",
            "auth": {"kubernetes": {"role": "checkout"}},
        }
    },
}

_ENV = "\n".join(
    [
        "DB_USER: '#{vault:kv/shop/db#user}'",
        "DB_PASSWORD: '#{vault:kv/shop/db#password | urlencode}'",
        *(
            f'{name}: "#{{vault:kv/shop/{name.lower()}#value}}"'
            for name in (
                "STRIPE_KEY",
                "SENTRY_DSN",
                "REDIS_PASSWORD",
                "SESSION_KEY",
                "SMTP_PASSWORD",
                "KAFKA_KEY",
            )
        ),
    ]
)
_FILES = 'tls.crt: "#{vault:kv/shop/tls#crt}"\ntls.key: "#{vault:kv/shop/tls#key}"\n'

_number = count()


def pod():
    """Return a Deployment's pod as the API server sends it, about 6 KB: defaults filled in."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "checkout-7d4b9c6f5d-",
            "namespace": "shop",
            "creationTimestamp": None,
            "labels": {
                "app.kubernetes.io/name": "checkout",
                "app.kubernetes.io/version": "4.18.2",
                "pod-template-hash": "7d4b9c6f5d",
            },
            "annotations": {
                "secret-injector.io/env": _ENV,
                "secret-injector.io/files": _FILES,
                "prometheus.io/scrape": "true",
                "checksum/config": "9f86d081884c7d65" * 4,
            },
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "checkout-7d4b9c6f5d",
                    "uid": "5a0e9c2a-6b1d-4c55-8f5c-0b8a35c1f6de",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": "2026-11-22T10:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {f"f:field-{i}": {} for i in range(60)}},
                }
            ],
        },
        "spec": {
            "containers": [_container("app", 9), _container("worker", 5)],
            "serviceAccountName": "checkout",
            "serviceAccount": "checkout",
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
            "securityContext": {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 1000},
            "tolerations": [
                {
                    "key": f"node.kubernetes.io/{key}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
                for key in ("not-ready", "unreachable")
            ],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "config", "configMap": {"name": "checkout", "defaultMode": 420}},
                {
                    "name": "kube-api-access-x7k2p",
                    "projected": {
                        "defaultMode": 420,
                        "sources": [
                            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                            {"configMap": {"name": "kube-root-ca.crt"}},
                        ],
                    },
                },
            ],
        },
        "status": {},
    }


def _container(name, variables):
    probe = {
        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    return {
        "name": name,
        "image": f"registry.example.com/shop/{name}@sha256:{'0123456789abcdef' * 4}",
        "command": ["/usr/local/bin/checkout", name, "--listen=:8080"],
        "env": [
            {"name": f"SETTING_{i}", "value": f"a value of ordinary length, {i}"}
            for i in range(variables)
        ],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "config", "mountPath": "/etc/checkout", "readOnly": True},
            {
                "name": "kube-api-access-x7k2p",
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": True,
            },
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def body(subject=None):
    """Return the bytes of a CREATE review of the pod, with a uid of its own."""
    return json.dumps(
        {
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": f"705ab4f5-6393-11e8-b7cc-{next(_number):012d}",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "namespace": "shop",
                "operation": "CREATE",
                "userInfo": {
                    "username": "system:serviceaccount:kube-system:replicaset-controller",
                    "uid": "0a3c5d2e-2b8c-4a4e-9b0a-9a2a3f5b7c11",
                    "groups": ["system:serviceaccounts", "system:authenticated"],
                },
                "object": subject or pod(),
                "oldObject": None,
                "dryRun": False,
                "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        },
        separators=(",", ":"),
    ).encode()
