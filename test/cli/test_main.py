"""The ``yolact`` command itself: help, errors and exit codes."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

import yolact_ros
from yolact_ros.cli import main as cli
from yolact_ros.errors import ConfigError


def run_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """Run ``yolact models list`` with an action that raises ``error``."""
    module = importlib.import_module("yolact_ros.cli.models")

    def fail(_args: argparse.Namespace) -> int:
        raise error

    fake = SimpleNamespace(add_parser=module.add_parser, run=fail)
    monkeypatch.setattr(importlib, "import_module", lambda _name: fake)
    return cli.main(["models", "list"])


def test_help_lists_every_command_with_its_summary(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name, summary in cli.SUBCOMMANDS.items():
        assert name in text
        assert summary in " ".join(text.split())


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: yolact {name}" in capsys.readouterr().out


def test_version_is_the_packages(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"yolact_ros {yolact_ros.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["fly"], ["models"], ["models", "list", "--colour"]])
def test_wrong_arguments_exit_with_two_and_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: yolact" in capsys.readouterr().err


def test_an_error_the_user_can_cure_is_one_line_and_exit_code_two(monkeypatch, capsys):
    assert run_with(monkeypatch, ConfigError("input_size_px is 7, expected 64..2048")) == 2
    assert capsys.readouterr().err == ("yolact: error: input_size_px is 7, expected 64..2048\n")


def test_control_c_exits_with_130(monkeypatch, capsys):
    assert run_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "yolact: interrupted"


def test_a_programming_error_keeps_its_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        run_with(monkeypatch, ZeroDivisionError())


def test_the_module_runs_as_a_program_and_survives_a_closed_pipe():
    command = f"{sys.executable} -m yolact_ros.cli models list | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("name")
