"""What `./dev test` runs, with programs that only note how they were called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from devtool import commands
from devtool.instruction_sets import INSTRUCTION_SETS
from devtool.layout import Layout
from devtool.ros import RosSource, find_ros

PYTEST = """#!/bin/sh
echo "pytest ${ONEDNN_MAX_CPU_ISA:-any} ${OPENBLAS_CORETYPE:-any} $*" >> calls
for word in "$@"; do
  case "$word" in --junitxml=*)
    echo '<testsuites><testsuite tests="9" failures="'$FAILURES'" errors="0" skipped="2"/>' \\
      '</testsuites>' > "${word#--junitxml=}";;
  esac
done
test -z "$FAILING_ISA" || test "$ONEDNN_MAX_CPU_ISA" != "$FAILING_ISA"
"""


@pytest.fixture
def ros() -> RosSource:
    return find_ros({})


@pytest.fixture
def layout(tmp_path: Path, ros: RosSource, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A checkout whose programs append their command line to the file `calls`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (
        ("pytest", PYTEST),
        ("ruff", "#!/bin/sh\necho ruff >> calls\n"),
        ("mypy", "#!/bin/sh\necho mypy >> calls\nexit 7\n"),
        ("fastdds", '#!/bin/sh\necho "fastdds $*" >> calls\nexit 1\n'),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "OPENBLAS_CORETYPE": "Zen"}
    for function in ("ready_environment", "base_environment"):
        monkeypatch.setattr(commands, function, lambda *_: dict(os.environ) | environment)
    layout = Layout(tmp_path, ros.flavour)
    layout.state.mkdir(parents=True, exist_ok=True)
    return layout


def calls(layout: Layout) -> list[str]:
    return (layout.root / "calls").read_text().splitlines()


def test_every_test_runs_once_whatever_lint_says(layout: Layout, ros: RosSource) -> None:
    assert commands.test(layout, ros, []) == 7
    before, tests = calls(layout)[:4], calls(layout)[4:]
    assert before == ["ruff", "ruff", "mypy", "fastdds shm clean"]
    assert [call.partition(" -m ")[2] for call in tests] == ["not alone", "alone"]
    assert not any("last-failed" in call or "reruns" in call for call in tests)


def test_arguments_go_to_pytest(layout: Layout, ros: RosSource) -> None:
    commands.test(layout, ros, ["-k", "nms"])
    assert calls(layout)[4:] == ["pytest any Zen -k nms"]


def test_cpu_runs_the_numeric_tests_under_every_instruction_set_and_shows_a_table(
    layout: Layout, ros: RosSource, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("FAILURES", "0")
    assert commands.test(layout, ros, ["--cpu"]) == 0
    assert [call.split()[1:3] for call in calls(layout)] == [
        ["any", "any"],  # not what the user's environment had
        ["AVX512_CORE", "SkylakeX"],
        ["AVX2", "Haswell"],
        ["AVX", "Nehalem"],
    ]
    assert all("test/ops" in call and "test/ros" not in call for call in calls(layout))
    table = capfd.readouterr().out.splitlines()[-len(INSTRUCTION_SETS) :]
    for kind, row in zip(INSTRUCTION_SETS, table, strict=True):
        assert row.split("  ")[0] == kind.name
        assert row.endswith("7 passed, 0 failed, 2 skipped")


def test_cpu_fails_where_one_instruction_set_does(
    layout: Layout, ros: RosSource, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("FAILURES", "1")
    monkeypatch.setenv("FAILING_ISA", "AVX2")
    assert commands.test(layout, ros, ["--cpu", "test/ops"]) == 1
    assert len(calls(layout)) == len(INSTRUCTION_SETS)
    said = capfd.readouterr()
    assert "6 passed, 1 failed, 2 skipped" in said.out
    assert "FAILED (exit status 1): AVX2: pytest" in said.err
