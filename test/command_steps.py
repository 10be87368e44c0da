"""Runs the steps of a chapter in a shell and looks at what each leaves."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
from command_environments import Installed
from command_table import SAME_PLACES, Chapter, Step

__all__ = ["run_chapter"]

FIRST_BYTES = {
    ".html": b"<!",
    ".mcap": b"\x89MCAP0\r\n",
    ".pt": b"PK",
    ".pth": b"PK",
}


def run_chapter(chapter: Chapter, installed: Installed, folder: Path, *, checkout: bool) -> None:
    """Run each step, and check exit status, output and files.

    Args:
        chapter: the steps.
        installed: where they run.
        folder: with the files that they work on.
        checkout: whether `./dev run` is there; without it the command follows it is run alone.
    """
    for step in chapter.steps:
        line = typed(step)
        if not checkout:
            line = line.replace("./dev run ", "")
        result = installed.run(line, folder, YOLACT_ROS_CACHE=str(folder / "cache"))
        said = f"$ {line}\n{result.stdout}\n{result.stderr}"
        assert result.returncode == step.status, said
        assert "Traceback" not in said
        for pattern in step.prints:
            assert re.search(pattern, result.stdout), f"{pattern!r} is not in:\n{said}"
        for pattern in step.leaves:
            files = sorted(folder.glob(pattern))
            assert files, f"{pattern} is not there after:\n{said}"
            for file in files:
                check_file(file)


def typed(step: Step) -> str:
    """The line as it is run."""
    line = step.line
    for place, ours in SAME_PLACES.items():
        line = line.replace(place, ours)
    return "; ".join(filter(None, [step.before, f"{line} {step.added}".strip()]))


def check_file(file: Path) -> None:
    """Its content is what its name says, and not empty."""
    content = file.read_bytes()
    assert content, file
    kind = file.suffix
    if kind in FIRST_BYTES:
        assert content.startswith(FIRST_BYTES[kind]), file
    elif kind == ".json":
        assert json.loads(content) not in ({}, None), file
    elif kind == ".csv":
        rows = list(csv.reader(content.decode().splitlines()))
        assert len(rows) > 1, file
        assert {len(row) for row in rows} == {len(rows[0])}, file
    elif kind in (".jpg", ".png"):
        assert cv2.imread(str(file), cv2.IMREAD_UNCHANGED) is not None, file
    elif kind == ".mp4":
        assert cv2.VideoCapture(str(file)).get(cv2.CAP_PROP_FRAME_COUNT) > 0, file
    elif kind == ".safetensors":
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert len(header) > 10, file
    elif kind == ".onnx":
        import onnx

        onnx.checker.check_model(onnx.load_from_string(content))
    elif kind == ".sha256":
        assert re.fullmatch(rb"[0-9a-f]{64}  \S+\n", content), file
    else:
        raise AssertionError(f"no test knows what a {kind} file must hold: {file}")
