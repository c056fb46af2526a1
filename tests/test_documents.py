"""Checks the documents: every link leads to a file and a heading, and every decision record is listed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


def documents() -> list[Path]:
    return [path for place in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in sorted(ROOT.glob(place))]


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links() -> Iterator[str]:
    for document in documents():
        for link in LINK.findall(document.read_text()):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            if not target.exists() or (anchor and anchor not in anchors(target)):
                yield f"{document.relative_to(ROOT)}: {link}"


def test_every_link_between_documents_leads_to_a_file_and_a_heading_that_exist() -> None:
    assert list(broken_links()) == []


def test_every_decision_record_is_in_the_list_of_decisions() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text()))
    assert {record.name for record in folder.glob("0*.md")} - listed == set()
