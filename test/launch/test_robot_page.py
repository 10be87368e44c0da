"""docs/robot.md: every command, argument, parameter, topic and file that it names exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from launch_stand_in import LAUNCH, declared, launch_stand_in

from yolact_ros.cli.main import _parser
from yolact_ros.ros.parameter_spec import check_value
from yolact_ros.ros.parameters import PARAMETERS, spec_of

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "robot.md").read_text()
# What other packages' commands take.
FOREIGN = {"__ns", "align_depth.enable", "frame_id"}
SERVICES = {"set_enabled", "segment"}


@pytest.fixture(autouse=True)
def stand_in() -> Iterator[None]:
    with launch_stand_in():
        yield


def commands() -> list[list[str]]:
    """Words of each line of the page's shell blocks, and of the commands in its text."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`((?:ros2|yolact) [^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.S))
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def starting_with(*words: str) -> list[list[str]]:
    """What follows these words in the commands that begin with them."""
    found = [c[len(words) :] for c in commands() if tuple(c[: len(words)]) == words]
    assert found, f"the page has no {' '.join(words)}"
    return found


def test_every_launch_file_and_argument_exists() -> None:
    for file, *arguments in starting_with("ros2", "launch", "yolact_ros"):
        assert (LAUNCH / file).is_file()
        names = {word.partition(":=")[0] for word in arguments if ":=" in word}
        assert names <= set(declared(file)), file


def test_every_launch_file_is_on_the_page() -> None:
    on_page = {file for file, *_ in starting_with("ros2", "launch", "yolact_ros")}
    assert on_page >= {path.name for path in LAUNCH.glob("*.launch.py")} - {"demo.launch.py"}


def test_every_argument_in_the_text_exists() -> None:
    known = {name for path in LAUNCH.glob("*.launch.py") for name in declared(path.name)}
    named = set(re.findall(r"([a-z_.]+):=", PAGE))
    assert "frame_budget_ms" in named
    assert named - FOREIGN <= known


def test_values_of_parameters_are_ones_that_the_node_takes() -> None:
    given = [(name, value) for name, value in starting_with("ros2", "param", "set", "/yolact")]
    for words in starting_with("ros2", "launch", "yolact_ros"):
        pairs = [word.split(":=") for word in words if ":=" in word]
        given += [
            (name, value)
            for name, value in pairs
            # Lists of names need no brackets on the launch command line.
            if spec_of(name) is not None and name != "cameras"
        ]
    for name, text in given:
        spec = spec_of(name)
        assert spec is not None, name
        check_value(spec, yaml.safe_load(text))
    for (name,) in starting_with("ros2", "param", "describe", "/yolact"):
        assert spec_of(name) is not None


def test_what_is_set_live_is_live_and_the_model_is_not() -> None:
    live = {spec.name for spec in PARAMETERS if spec.change == "live"}
    before_cleanup = PAGE.split("ros2 lifecycle set /yolact cleanup")[0]
    names = re.findall(r"ros2 param set /yolact (\w+)", before_cleanup)
    assert len(names) >= 5
    assert set(names) <= live
    assert "model" not in live


@pytest.mark.parametrize(
    "words", [words[1:] for words in commands() if words[0] == "yolact"], ids=" ".join
)
def test_the_yolact_commands_are_understood(words: list[str]) -> None:
    assert _parser(words).parse_args(words)


def test_every_topic_and_service_of_the_node_exists() -> None:
    from yolact_ros.ros.launching.topics import RESULT_TOPICS

    named = set(re.findall(r"/yolact/((?:[a-z_]+)(?:/[a-z_]+)?)", PAGE))
    parts = {name.removeprefix("front/").removeprefix("rear/") for name in named}
    assert parts - SERVICES <= set(RESULT_TOPICS)


def test_every_file_that_it_names_exists() -> None:
    files = re.findall(r"`((?:config|examples|launch|docs)/[\w./-]+)`", PAGE)
    files += [f"docs/{name}" for name in re.findall(r"\]\((\w+\.md)\)", PAGE)]
    assert "config/multi_camera.rviz" in files
    missing = [name for name in files if not (REPOSITORY / name).exists()]
    assert missing == []


def test_its_links_lead_to_its_own_headings() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings
