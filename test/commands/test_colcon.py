"""The commands of the pages, as colcon installs them and in a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_environments import Installed
from command_steps import run_chapter
from command_table import CHAPTERS, Chapter


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_commands_leave_what_the_pages_say(
    chapter: Chapter, colcon: Installed, folder: Path
) -> None:
    run_chapter(chapter, colcon, folder, checkout=True)


def test_the_command_is_the_installed_one(colcon: Installed, folder: Path) -> None:
    program = colcon.run("command -v yolact", folder).stdout.strip()
    code = 'python3 -c "import yolact_ros.cli.main as m; print(m.__file__)"'
    module = colcon.run(code, folder).stdout.strip()
    prefix = Path(program).parents[1]
    assert prefix.name == "install"
    assert Path(module).is_relative_to(prefix)
