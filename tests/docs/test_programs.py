"""The page on annotations lists the programs that `lint` knows to refuse files of other users."""

from pathlib import Path

from webhook.core.ownership import PARTICULARS

PAGE = Path(__file__).parents[2] / "docs/annotations.md"
HEAD = "| program | files | images | what it asks |\n|---|---|---|---|\n"


def _row(each):
    files = ", ".join(f"`{pattern}`" for pattern in each.files)
    images = ", ".join(f"`{pattern}`" for pattern in each.images) or "any"
    return f"| {each.program} | {files} | {images} | {each.demand} |\n"


def test_the_page_has_a_row_for_every_program():
    """Word for word, in the order of the code, and no other row."""
    table = PAGE.read_text().partition(HEAD)[2].partition("\n\n")[0] + "\n"

    assert table == "".join(map(_row, PARTICULARS))
