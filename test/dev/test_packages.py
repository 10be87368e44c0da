"""pip's failures become one clear problem, and a killed pip's leftovers are cleared away."""

from __future__ import annotations

import errno
import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from devtool.packages import Pip, answers
from devtool.problem import SetupProblem
from devtool.progress import run_logged


def fake_pip(tmp_path: Path, program: str) -> Pip:
    """An environment whose `python -m pip` is a shell program."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    (tmp_path / "requirements").mkdir()
    lock = tmp_path / "requirements" / "pip.txt"
    return Pip(python, {"PATH": "/usr/bin:/bin"}, tmp_path / "logs" / "torch.log", (lock,))


def test_arguments_name_the_lock_file_and_the_constraints(tmp_path: Path) -> None:
    pip = fake_pip(tmp_path, 'printf "%s\\n" "$@"')
    pip.install(tmp_path / "requirements" / "torch.txt", options=["--no-deps"])
    said = pip.log.read_text().split("\n", 1)[1].split()
    assert said[:2] == ["-m", "pip"]
    assert said[said.index("-r") + 1] == str(tmp_path / "requirements" / "torch.txt")
    assert said[said.index("-c") + 1] == str(tmp_path / "requirements" / "pip.txt")
    assert "--no-deps" in said
    assert "--force-reinstall" not in said


@pytest.mark.parametrize(
    "output",
    [
        "NewConnectionError('Failed to establish a new connection: [Errno 111]')",
        "Temporary failure in name resolution",
        "ReadTimeoutError(HTTPSConnectionPool(host='pypi.org', port=443): Read timed out.)",
        "ProxyError('Cannot connect to proxy.')",
    ],
)
def test_no_network_is_said_and_not_what_pip_makes_of_it(tmp_path: Path, output: str) -> None:
    pip = fake_pip(
        tmp_path, f'echo "{output}"; echo "ERROR: No matching distribution found for x"; exit 1'
    )
    with pytest.raises(SetupProblem, match=r"(?s)cannot be reached.*torch\.log.*Cure: check"):
        pip.install(tmp_path / "requirements" / "torch.txt")


def test_another_failure_gives_pips_own_reason_and_the_log(tmp_path: Path) -> None:
    pip = fake_pip(tmp_path, 'echo "ERROR: No matching distribution found for x==9"; exit 1')
    with pytest.raises(SetupProblem) as caught:
        pip.install(tmp_path / "requirements" / "torch.txt")
    assert "requirements/torch.txt: No matching distribution found for x==9" in caught.value.what
    assert str(pip.log) in caught.value.what


def test_a_full_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    pip = fake_pip(tmp_path, 'echo "OSError: [Errno 28] No space left on device"; exit 2')
    with pytest.raises(OSError, match="No space left") as caught:
        pip.install(tmp_path / "requirements" / "torch.txt")
    assert caught.value.errno == errno.ENOSPC


def test_a_repair_clears_what_pip_cannot_remove_and_keeps_the_rest(tmp_path: Path) -> None:
    pip = fake_pip(tmp_path, 'printf "%s\\n" "$@"')
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    for name, files in {
        "whole-1.dist-info": ("RECORD", "METADATA"),
        "cut-1.dist-info": ("METADATA",),
        "empty-1.dist-info": (),
        "~olchvision": ("__init__.py",),
    }.items():
        (site / name).mkdir(parents=True)
        for file in files:
            (site / name / file).touch()
    pip.install(tmp_path / "requirements" / "torch.txt", redo=True)
    assert [path.name for path in site.iterdir()] == ["whole-1.dist-info"]
    assert "--force-reinstall" in pip.log.read_text()


def test_the_report_of_pip_gives_the_address_it_would_download(tmp_path: Path) -> None:
    url = "https://files.example/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl"
    pip = fake_pip(
        tmp_path, f"""echo '{{"install": [{{"download_info": {{"url": "{url}"}}}}]}}'"""
    )
    assert pip.resolves_to("torch==2.13.0") == url


def test_a_pip_that_finds_nothing_gives_no_address(tmp_path: Path) -> None:
    assert fake_pip(tmp_path, "echo nothing; exit 1").resolves_to("torch==2.13.0") == ""


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if self.path == "/whl/cpu/" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_an_index_that_answers_is_used_and_a_missing_one_is_not(server: str) -> None:
    assert answers(f"{server}/whl/cpu/")
    assert not answers(f"{server}/gone/")


def test_a_silent_index_costs_no_more_than_the_time_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert not answers(url, timeout_s=0.2)  # without a limit it would wait for ever
    assert not answers(url, timeout_s=0.2)


def test_output_is_appended_to_the_log_and_only_the_new_part_returned(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    env = {"PATH": "/usr/bin:/bin"}
    assert run_logged([sys.executable, "-c", "print('first')"], log, env) == (0, "first\n")
    status, output = run_logged([sys.executable, "-c", "print('second'); exit(3)"], log, env)
    assert (status, output) == (3, "second\n")
    assert "first" in log.read_text()
