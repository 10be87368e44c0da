"""docs/diagnostics.md explains all that the node publishes about itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_client import RosClient
from ros_fixtures import NODE
from ros_processes import Process

from yolact_ros.ros.statistics import DROP_CAUSES

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "yolact_ros"
# Calls that count a fault, and which of their arguments is its cause.
FAULT_CALLS = {"report": 0, "warn": 0, "FrameFault": 0, "failed": 1}


def explained() -> set[str]:
    """What stands in the first column of the page's tables, in backquotes."""
    lines = (REPOSITORY / "docs" / "diagnostics.md").read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("|")]
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def nodes_of(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def text_of(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def values_in(path: Path) -> set[str]:
    """Keys of the ("key", value) pairs in a file."""
    return {
        text_of(node.elts[0])
        for node in nodes_of(path)
        if isinstance(node, ast.Tuple) and len(node.elts) == 2
    } - {""}


def faults_in(folder: Path) -> set[str]:
    """The causes that calls count a fault by."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if len(node.args) > FAULT_CALLS.get(name, len(node.args)):
                    found.add(text_of(node.args[FAULT_CALLS[name]]))
    return found - {""}


def texts_in_functions(path: Path) -> set[str]:
    """Strings in the functions of a file, without their docstrings."""
    functions = [node for node in nodes_of(path) if isinstance(node, ast.FunctionDef)]
    docstrings = {ast.get_docstring(function, clean=False) for function in functions}
    texts = {text_of(node) for function in functions for node in ast.walk(function)}
    return texts - docstrings - {""}


def test_every_value_is_explained() -> None:
    keys = values_in(PACKAGE / "ros" / "diagnostics.py") | values_in(PACKAGE / "ros" / "node.py")
    assert {"state", "model", "received (Hz)", "process memory (MiB)"} <= keys
    assert keys <= explained()


def test_every_cause_of_a_drop_is_explained() -> None:
    assert {f"dropped {cause}" for cause in DROP_CAUSES} <= explained()


def test_every_cause_of_an_error_or_warning_is_explained() -> None:
    causes = faults_in(PACKAGE / "ros") | faults_in(PACKAGE / "inference")
    assert {"encoding", "network", "no publisher", "parameter"} <= causes
    known = {key.partition(" ")[2] for key in explained() if key.startswith(("errors", "warn"))}
    assert causes <= known


def test_every_cause_of_a_refused_request_is_explained() -> None:
    causes = {
        text_of(node.args[1])
        for node in nodes_of(PACKAGE / "ros" / "segment.py")
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_refuse"
    } - {""}
    assert {"busy", "network"} <= causes
    causes |= {"encoding", "size", "truncated"}  # of its image
    assert {f"errors segment {cause}" for cause in causes} <= explained()


def test_every_problem_of_a_stamp_is_explained() -> None:
    problems = texts_in_functions(PACKAGE / "ros" / "stamps.py")
    assert "zero stamp" in problems
    assert {f"warnings {problem}" for problem in problems} <= explained()


def test_every_field_of_the_frame_report_is_explained() -> None:
    pytest.importorskip("yolact_ros.msg", reason="needs the package built by colcon (./dev test)")
    from yolact_ros.msg import FrameReport

    constants = {name for name in dir(FrameReport) if name.startswith("DEGRADE_")}
    assert set(FrameReport.get_fields_and_field_types()) | constants <= explained()


def test_all_that_a_running_node_publishes_is_explained(
    running_node: Process, client: RosClient
) -> None:
    for part in ("node", "image"):
        published = set(client.diagnostics(NODE, part)) - {"level", "message"}
        assert published
        assert published <= explained()
