"""The documents: links lead somewhere, and every benchmark is one that a page names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for folder in (".", "docs", "models", "examples", "test/data")
    for path in (ROOT / folder).glob("*.md")
)


def text_of(page: Path) -> str:
    """The page without its blocks of code, whose comments are no headings."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = text_of(page)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pages_name_every_benchmark_and_no_other() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"benchmarks/(\w+\.\w+)", page.read_text())
    }
    there = {path.name for path in (ROOT / "benchmarks").iterdir() if path.is_file()}
    tests = "".join(path.read_text() for path in (ROOT / "test").rglob("*.py"))
    assert named <= there
    assert {name for name in there - named if name not in tests} == set()
