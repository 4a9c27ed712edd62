"""What refers to the Secret payment in a cluster with a small shop, and how that is said."""

import json

from tests import asking

REFERENCE = {"API_KEY": "#{k8s:payment#api-key}"}
TEMPLATE = asking.pod({"env": json.dumps(REFERENCE)})


def add(desk, path, name, namespace="shop", labels=None, **fields):
    """Store an object of the cluster."""
    metadata = {"labels": labels or {}, **({"namespace": namespace} if namespace else {})}
    desk.cluster.do(desk.cluster.api.put(path, name, metadata=metadata, **fields))


def refused(done, *places, secret="payment"):
    """Return whether a deletion was refused for these references alone."""
    line = f"SI-120 {secret}: it is still referred to by {'; '.join(places)}"
    return (done.status, done.err.splitlines()[0]) == (4, line)
