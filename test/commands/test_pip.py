"""The commands of the pages, as pip installs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_environments import Installed
from command_steps import run_chapter
from command_table import CHAPTERS, Chapter


@pytest.mark.parametrize(
    "chapter", [chapter for chapter in CHAPTERS if chapter.pip], ids=lambda chapter: chapter.name
)
def test_commands_leave_what_the_pages_say(chapter: Chapter, pip: Installed, folder: Path) -> None:
    run_chapter(chapter, pip, folder, checkout=False)


def test_the_command_is_the_installed_one(pip: Installed, folder: Path) -> None:
    program = pip.run("command -v yolact", folder).stdout.strip()
    code = 'python3 -c "import yolact_ros.cli.main as m; print(m.__file__)"'
    module = pip.run(code, folder).stdout.strip()
    assert Path(module).is_relative_to(Path(program).parents[1])
    assert "nncf" in pip.run("pip show yolact_ros; pip list", folder).stdout
    assert pip.run("python3 -c 'import rclpy'", folder).returncode == 1
