"""Finds the commands that the pages tell a reader to type."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["ROOT", "documented_commands"]

ROOT = Path(__file__).parents[1]
OURS = re.compile(r"(?:yolact|\./dev)(?=\s|$)")
FENCE = re.compile(r"^[ ]*```.*?^[ ]*```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s+#\s.*")


def pages() -> list[Path]:
    """Every Markdown page of the project, wherever it is."""
    found = [*ROOT.glob("*.md")]
    for folder in ("benchmarks", "config", "docs", "examples", "models", "test"):
        found += (ROOT / folder).rglob("*.md")
    return sorted(found)


def commands_of(text: str) -> set[str]:
    """Lines of code blocks and pieces of inline code that begin with `yolact` or `./dev`."""
    blocks = FENCE.findall(text)
    prose = FENCE.sub("", text)
    indented = [line for line in prose.splitlines() if line.startswith("    ")]
    lines = "\n".join([*blocks, *indented]).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`([^`]+)`", prose)
    found = {" ".join(COMMENT.sub("", line).split()) for line in [*lines, *inline]}
    return {command for command in found if OURS.match(command)}


def documented_commands() -> dict[str, list[str]]:
    """Each command with the pages that name it."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for command in sorted(commands_of(page.read_text(encoding="utf-8"))):
            found.setdefault(command, []).append(str(page.relative_to(ROOT)))
    return found
