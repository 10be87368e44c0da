"""Preparing runtimes in a process of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from yolact_ros.inference.runtimes import openvino
from yolact_ros.inference.runtimes.preparation import prepare_apart
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.models.checkpoint import load_network

PATIENCE_S = 60.0


def prepare(model: Path, cache: Path, cancelled: threading.Event | None = None) -> dict[str, str]:
    return prepare_apart(
        model,
        input_size_px=96,
        precision="auto",
        cache_folder=cache,
        cancelled=cancelled or threading.Event(),
    )


def processes_with(word: str) -> list[str]:
    commands = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(file.read_text())
        except OSError:
            continue
    return [command for command in commands if word in command]


def test_what_was_prepared_is_opened_without_converting_it_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    cache = tmp_path / "cache"
    assert prepare(tiny_model, cache) == {}
    monkeypatch.setattr(openvino, "_convert", None)
    network = load_network(tiny_model, input_size_px=96)
    runtime = open_runtime("openvino", network, device=torch.device("cpu"), cache_folder=cache)
    assert runtime.input_size_px == 96
    runtime.close()


def test_cancelling_ends_the_process_and_leaves_nothing_half_built(
    tiny_model: Path, tmp_path: Path
) -> None:
    cancelled, cache = threading.Event(), tmp_path / "cache"

    def cancel_in_the_middle() -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not list(cache.glob(".building*")) and time.monotonic() < deadline_s:
            time.sleep(0.005)
        cancelled.set()

    watcher = threading.Thread(target=cancel_in_the_middle)
    watcher.start()
    prepare(tiny_model, cache, cancelled)
    assert cancelled.is_set()
    # The system takes a moment to clear away what was killed with the process.
    deadline_s = time.monotonic() + PATIENCE_S
    while processes_with(str(cache)):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert not list(cache.glob(".building*"))
    watcher.join()


def test_a_process_that_is_not_wanted_any_more_does_not_begin(
    tiny_model: Path, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    cancelled.set()
    begun_s = time.monotonic()
    reasons = prepare(tiny_model, tmp_path / "cache", cancelled)
    assert time.monotonic() - begun_s < PATIENCE_S
    assert set(reasons) == {"openvino", "ncnn", "compiled"}
    assert not (tmp_path / "cache").exists()


def test_a_process_that_fails_is_a_reason(tmp_path: Path) -> None:
    reasons = prepare(tmp_path / "gone.safetensors", tmp_path / "cache")
    begin = "the process that prepares it ended with exit status 1: "
    assert reasons["compiled"].startswith(begin)
    assert "gone.safetensors" in reasons["compiled"].removeprefix(begin)
