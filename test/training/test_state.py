from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from yolact_ros.errors import CheckpointError
from yolact_ros.evaluation.output_folder import write_text
from yolact_ros.training.state import load_state, save_state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 3, "network": {"w": torch.arange(4.0)}, "best": 0.25})
    state = load_state(path)
    assert state["step"] == 3
    assert torch.equal(state["network"]["w"], torch.arange(4.0))
    assert os.listdir(tmp_path) == ["state.pt"]


def test_a_kill_while_writing_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 3})

    def killed(value: object, file: object) -> None:
        file.write(b"half a file")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(path, {"step": 4})
    assert load_state(path)["step"] == 3


def test_a_missing_state_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="start without --resume"):
        load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("content", [b"", b"what is this", b"PK\x03\x04"])
def test_a_file_that_is_no_state_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a training state"):
        load_state(path)


def test_other_torch_files_are_no_state(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="it has no step"):
        load_state(tmp_path / "state.pt")


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(tmp_path) == ["a.csv"]
