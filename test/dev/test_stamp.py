"""Set-up remembers what was done for which inputs."""

from __future__ import annotations

from pathlib import Path

from devtool.stamp import Stamp, fingerprint


def test_a_step_is_done_only_for_the_inputs_it_was_done_for(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "stamps", "torch")
    assert not stamp.matches("a")
    stamp.begin()
    stamp.finish("a")
    assert stamp.matches("a")
    assert not stamp.matches("b")


def test_a_step_that_begins_again_is_no_longer_done(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path, "torch")
    stamp.begin()
    stamp.finish("a")
    stamp.begin()
    assert not stamp.matches("a")


def test_a_killed_step_is_remembered_and_a_finished_or_failed_one_is_not(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path, "torch")
    assert not stamp.was_cut_short()
    stamp.begin()
    assert stamp.was_cut_short()
    stamp.give_up()
    assert not stamp.was_cut_short()
    stamp.begin()
    stamp.finish("a")
    assert not stamp.was_cut_short()


def test_fingerprint_changes_with_every_input(tmp_path: Path) -> None:
    file = tmp_path / "torch.txt"
    missing = fingerprint("3.11", files=[file])
    file.write_text("torch==2.13.0\n")
    locked = fingerprint("3.11", files=[file])
    file.write_text("torch==2.14.0\n")
    newer = fingerprint("3.11", files=[file])
    renamed = file.rename(tmp_path / "other.txt")
    values = {missing, locked, newer, fingerprint("3.11", files=[renamed]), fingerprint("3.12")}
    assert len(values) == 5


def test_fingerprint_of_the_same_inputs_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "torch.txt"
    file.write_text("torch==2.13.0\n")
    assert fingerprint("x", (3, 11), files=[file]) == fingerprint("x", (3, 11), files=[file])
