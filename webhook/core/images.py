"""Whose image a container of ours has: of this release, of the one before, or of neither.

The list is the chart's, the same that the guard in the API server has. An entry of the operator's
list without a digest is one exact reference; one that ends in `*` is a prefix, and counts only
together with a digest that we know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Release(Enum):
    """The release that an image belongs to, as far as this replica can know."""

    THIS = "this"
    BEFORE = "before"
    UNKNOWN = "unknown"
    """Not one of ours; or of the next release, while an upgrade goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images that our container may have: `own`, those `before`, and what else is `listed`."""

    own: str
    before: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()

    def release_of(self, image: str) -> Release:
        """Return the release of an image; a mirror may have changed all of it but the digest."""
        if is_same(image, self.own):
            return Release.THIS
        if any(is_same(image, known) for known in self.before):
            return Release.BEFORE
        # A tag of a mirror does not say of which release it is: the stricter answer is safe.
        return Release.THIS if image in self.listed else Release.UNKNOWN


def is_kept(image: str, own: str, listed: tuple[str, ...], *, is_same_plan: bool) -> bool:
    """Say whether an image that others gave our container may stay: it is ours, from elsewhere.

    A listed name without a digest does not say of which release it is. It counts where name and tag
    are those of our own, or where the plan beside it is the one that we would write.
    """
    if is_same(image, own):
        return True
    return image in listed and (is_same_plan or _name(image) == _name(own))


def _name(image: str) -> str:
    """Return the last part of an image's repository, with the tag."""
    return image.partition("@")[0].rpartition("/")[2]


def is_same(image: str, known: str) -> bool:
    """Say whether an image is the known one: the same reference, or the same digest elsewhere."""
    digest = known.partition("@")[2]
    return image == known or (bool(digest) and image.partition("@")[2] == digest)
