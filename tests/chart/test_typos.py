"""The policy that warns of typos says the same as `lint`."""

import re

from tests.chart.manifests import TEMPLATES
from webhook.core import lookalikes


def test_the_chart_knows_the_same_prefixes_as_lint():
    """One text in two places, for CEL and for Python alike."""
    helpers = (TEMPLATES / "_admission.tpl").read_text()
    [pattern] = re.findall(r'"secret-injector.prefixLike" -}}\n(.*)\n', helpers)

    assert pattern == lookalikes.PREFIX_LIKE
    assert not set(pattern) & set("'\\\"")
