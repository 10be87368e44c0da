"""Whatever stops a set-up ends in a message with a cure and an exit status."""

from __future__ import annotations

import errno

import pytest
from devtool import main as devtool_main
from devtool.problem import SetupProblem


def stopped_by(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """Exit status of `./dev run true` where the set-up raises `error`."""
    monkeypatch.delenv("ROS_DISTRO", raising=False)

    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(devtool_main, "bring_up_to_date", stop)
    return devtool_main.main(["run", "true"])


def test_a_problem_is_shown_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = SetupProblem("no C compiler was found.", "sudo apt install build-essential.")
    assert stopped_by(monkeypatch, problem) == 2
    assert capsys.readouterr().err == (
        "dev: no C compiler was found.\nCure: sudo apt install build-essential.\n"
    )


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.ENOSPC, "free some space there"),
        (errno.EDQUOT, "free some of your quota"),
        (errno.EROFS, "not read-only"),
        (errno.EACCES, "make that folder yours"),
    ],
)
def test_a_disk_that_refuses_is_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, cure: str
) -> None:
    assert stopped_by(monkeypatch, OSError(code, "refused", "/disk/torch.log")) == 2
    said = capsys.readouterr().err
    assert "(/disk/torch.log)" in said
    assert cure in said
    assert "goes on where it stopped" in said


def test_ctrl_c_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped_by(monkeypatch, KeyboardInterrupt()) == 130
    assert "goes on where it stopped" in capsys.readouterr().err


def test_an_unexpected_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="odd"):
        stopped_by(monkeypatch, OSError(errno.EIO, "odd"))


def test_a_sourced_ros_that_is_too_old_stops_before_the_set_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROS_DISTRO", "humble")
    assert devtool_main.main(["run", "true"]) == 2
    assert "ROS humble is sourced" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "with_tests"),
    [
        (name, name in ("build", "lint", "test"))
        for name in devtool_main._COMMANDS
        if name != "clean"
    ],
)
def test_only_tests_lint_and_build_install_the_tools_of_the_tests(
    monkeypatch: pytest.MonkeyPatch, command: str, with_tests: bool
) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    asked: list[bool] = []
    monkeypatch.setattr(
        devtool_main, "bring_up_to_date", lambda steps, **_: asked.append(steps.with_tests)
    )
    monkeypatch.setitem(devtool_main._COMMANDS, command, lambda *_: 0)
    assert devtool_main.main([command]) == 0
    assert asked == [with_tests]
