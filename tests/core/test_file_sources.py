"""Where an encrypted file may be: a path in the injector's image, and none that is mounted."""

import pytest

from injector.core import stores
from injector.core.errors import Refused
from injector.core.stores.source import ImageFile

KEY = {"secretRef": {"name": "key", "key": "identity"}}
FORM = "must be a path such as /secrets/all.yaml, outside of what is mounted"


def parsed(kind, path, *, in_cluster=True):
    """A store whose file is in the image."""
    document = {kind: {"file": {"imagePath": path}, "identity": KEY}}
    return stores.parse("store", document, in_cluster=in_cluster)


@pytest.mark.parametrize("kind", ["local", "sops"])
@pytest.mark.parametrize("path", ["/secrets/all.yaml", "/a.json", "/runs/x.yaml", "/devel/..x.env"])
def test_a_path_of_the_image_is_taken_as_it_is_and_nothing_but_the_key_is_mounted(kind, path):
    """The file comes with the image."""
    store = parsed(kind, path)

    assert store.spec.file == ImageFile(path=path)
    assert [source.path for source in store.sources()] == ["secrets/key/identity"]


@pytest.mark.parametrize("kind", ["local", "sops"])
@pytest.mark.parametrize(
    "path",
    [
        "secrets/all.yaml",
        "/",
        "/secrets/",
        "/secrets//all.yaml",
        "/secrets/./all.yaml",
        "/secrets/../proc/1/environ.yaml",
        "/..",
        "/a b.yaml",
        "/a\n.yaml",
        "/" + "a" * 1024,
        "/proc/self/environ.env",
        "/dev/stdin.yaml",
        "/run/x.yaml",
        "/var/run/secrets/kubernetes.io/serviceaccount/tokens/x.yaml",
        "/secret-injector/volume/x.yaml",
        "/sys",
    ],
)
def test_a_path_that_is_relative_not_canonical_or_mounted_is_refused(kind, path):
    """What other containers or the kubelet put there is not in the image."""
    with pytest.raises(Refused) as refused:
        parsed(kind, path)

    found = [problem for problem in refused.value.problems if problem.what == FORM]
    assert [problem.source for problem in found] == [f"spec.{kind}.file.imagePath"]


def test_a_laptop_has_no_image():
    """There a file is named by `file`."""
    with pytest.raises(Refused) as refused:
        parsed("sops", "/secrets/all.yaml", in_cluster=False)

    (problem, *_) = refused.value.problems
    assert problem.what == "needs exactly one of secretRef, configMapRef, file"


def test_a_key_is_never_in_the_image():
    """Whoever can pull the image would have it."""
    document = {"sops": {"file": {"imagePath": "/a.yaml"}, "identity": {"imagePath": "/key"}}}

    with pytest.raises(Refused) as refused:
        stores.parse("store", document)

    assert next(p.source for p in refused.value.problems) == "spec.sops.identity"
