"""Numbers that no command can work with are refused in one line, before any work."""

from __future__ import annotations

import pytest

from yolact_ros.cli.main import main

ANNOTATED = ["--annotations", "truth.json", "--images", "photos"]


@pytest.mark.parametrize(
    ("command", "option", "value", "expected"),
    [
        (["predict", "clip.mp4"], "--max-frames", "0", "a positive number"),
        (["predict", "clip.mp4"], "--max-frames", "-1", "a positive number"),
        (["evaluate", *ANNOTATED], "--limit", "-3", "a positive number"),
        (["quantize", *ANNOTATED], "--limit", "0", "a positive number"),
        (["doctor"], "--listen", "nan", "a positive number"),
        (["demo"], "--rate", "0", "a positive number"),
        (["demo"], "--timeout", "inf", "a positive number"),
        (["demo"], "--duration", "-1", "0 or more"),
        (["benchmark"], "--budget", "nan", "0 or more"),
        (["export", "--nms"], "--top-k", "0", "1..200"),
        (["export", "--nms"], "--nms-threshold", "7", "0..1"),
        (["export", "--nms"], "--score-threshold", "nan", "0..1"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_with_what_was_expected(
    command: list[str],
    option: str,
    value: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command, option, value]) == 2
    said = capsys.readouterr()
    assert option.lstrip("-") in said.err.replace("_", "-")
    assert f"expected {expected}" in said.err
    assert said.out == ""
