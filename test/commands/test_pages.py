"""Every command of the pages is run by a test, or a reason says why not."""

from __future__ import annotations

from command_pages import commands_of, documented_commands
from command_table import CHAPTERS, NOT_RUN

STEPS = [step.line for chapter in CHAPTERS for step in chapter.steps]


def test_every_command_of_the_pages_is_run_or_has_a_reason() -> None:
    known = {*STEPS, *NOT_RUN}
    missing = {command: pages for command, pages in documented_commands().items()
               if command not in known}  # fmt: skip
    assert not missing, "add a step to test/command_table.py for each"


def test_the_table_has_no_command_that_no_page_names_any_more() -> None:
    assert set(STEPS) | set(NOT_RUN) == set(documented_commands())
    assert not set(STEPS) & set(NOT_RUN)
    assert len(STEPS) == len(set(STEPS))


def test_commands_are_found_in_blocks_in_lines_and_in_prose() -> None:
    text = (
        "Type `yolact models\nlist` or `ls`:\n\n```sh\nyolact train a.yaml   # long\n"
        "yolact evaluate \\\n    --model b\npip install yolact\n```\n\n    ./dev test\n"
    )
    assert commands_of(text) == {
        "yolact models list",
        "yolact train a.yaml",
        "yolact evaluate --model b",
        "./dev test",
    }
