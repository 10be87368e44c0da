"""Commands in scripts, pipes, services and containers: what is there on a terminal is not."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from command_environments import Installed

LIST = ("yolact models list", "./dev run yolact models list", "./dev help")


@pytest.mark.parametrize("command", LIST)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(
    colcon: Installed, folder: Path, command: str, closed: str
) -> None:
    result = colcon.run(f"{command} {closed}", folder)
    assert (result.returncode, result.stderr) == (0, "")


def test_what_is_printed_does_not_get_into_a_file_that_is_written(
    colcon: Installed, folder: Path
) -> None:
    line = "yolact predict photo.jpg --model tiny.safetensors --no-overlay >&- 2>&-"
    assert colcon.run(line, folder).returncode == 0
    assert (folder / "predictions" / "results.json").read_bytes().startswith(b"[")


@pytest.mark.parametrize("command", LIST)
def test_a_reader_that_leaves_early_is_no_error(
    colcon: Installed, folder: Path, command: str
) -> None:
    result = colcon.run(f"({command} --help; {command}; sleep 0.1) | head -1", folder)
    assert result.returncode == 0
    assert result.stderr == ""


@pytest.mark.parametrize("command", LIST)
def test_a_full_disk_is_one_line(colcon: Installed, folder: Path, command: str) -> None:
    result = colcon.run(f"{command} > /dev/full", folder)
    assert result.returncode == 2
    assert "No space left on device" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "yolact predict photo.jpg --model tiny.safetensors --output /proc/found",
        "yolact bag from-video clip.mp4 --output /proc/drive",
        "yolact train data.yaml --steps 1 --workers 0 --output /proc/run",
        "cd /proc; yolact export --model {folder}/tiny.safetensors",
        "YOLACT_ROS_CACHE=/proc yolact models fetch yolact_base --mirror mirror",
    ],
)
def test_a_place_that_cannot_be_written_is_one_error(
    colcon: Installed, folder: Path, line: str
) -> None:
    result = colcon.run(line.replace("{folder}", shlex.quote(str(folder))), folder)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("yolact: error: ")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_may_have_any_letters(colcon: Installed, folder: Path, locale: str) -> None:
    os.rename(folder / "photo.jpg", folder / "Übung é.jpg")
    line = "yolact predict 'Übung é.jpg' --model tiny.safetensors --output 'größe 1'"
    result = colcon.run(f"env -u HOME -u TERM LC_ALL={locale} PYTHONUTF8=0 {line}", folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "größe 1" / "Übung é_overlay.jpg").is_file()


def test_a_user_without_a_home_folder_has_a_cache(colcon: Installed, folder: Path) -> None:
    line = "env -u HOME -u XDG_CACHE_HOME -u YOLACT_ROS_CACHE {} -c {}"
    code = (
        "import os, pwd; pwd.getpwuid = {}.__getitem__; "
        "from yolact_ros.models.zoo import cache_folder; print(cache_folder())"
    )
    result = colcon.run(line.format("python3", f"'{code}'"), folder)
    assert result.stdout.endswith("/yolact_ros/models\n"), result.stderr
