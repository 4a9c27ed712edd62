"""docs/meshes.md has what the messages send people there for."""

from pathlib import Path

import pytest

from webhook.core.meshes import MESHES
from webhook.core.sidecars import KNOWN

PAGE = (Path(__file__).parents[2] / "docs" / "meshes.md").read_text()


@pytest.mark.parametrize("owner", MESHES)
def test_the_page_names_every_proxy_and_setting(owner):
    """Whoever reads a warning finds each of its words, below a heading of the mesh."""
    mesh = MESHES[owner]
    part = PAGE.partition(f"\n## {owner}")[2].partition("\n## ")[0]

    assert part
    for word in (
        *mesh.redirecting,
        *mesh.validators,
        *mesh.excluding,
        mesh.proxies[0],
        mesh.native.partition(":")[0],
    ):
        assert word in part, word


@pytest.mark.parametrize("owner", MESHES)
def test_every_proxy_and_validator_is_a_container_of_the_mesh(owner):
    """One table says whose a container is: this one only says which of them is the proxy."""
    names = {name for row in KNOWN if row.owner == owner for name in row.names}
    mesh = MESHES[owner]

    assert names >= {*mesh.proxies, *mesh.redirecting, *mesh.validators}
