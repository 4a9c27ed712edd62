"""Did you mean: the word that is nearest to one that nobody knows."""

import pytest

from injector.core.errors import did_you_mean
from injector.core.reference import FILTERS


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("base64encode", FILTERS, "base64"),
        ("urlenc", FILTERS, "urlencode"),
        ("base64decod", FILTERS, "base64decode"),
        ("env-mode.app", ["env", "env-mode", "mode"], "env-mode"),
        ("passwords", ["password", "passwort"], "password"),
        ("imagePullSecretz", ["image", "imagePullSecrets"], "imagePullSecrets"),
        ("qqq", FILTERS, ""),
    ],
)
def test_a_word_that_ends_early_or_goes_on_means_the_known_one(word, known, meant):
    """Else the most similar one; base64encode is base64, and not its opposite."""
    assert did_you_mean(word, known) == (f'did you mean "{meant}"?' if meant else "")
