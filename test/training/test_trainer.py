from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_networks import smallest

from yolact_ros.errors import ConfigError
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.checkpoint import save_checkpoint
from yolact_ros.training.annotations import read_source
from yolact_ros.training.dataset import Batch
from yolact_ros.training.processes import Processes
from yolact_ros.training.settings import TrainingSettings
from yolact_ros.training.step import StepResult
from yolact_ros.training.trainer import Trainer


def make_trainer(settings: TrainingSettings, **options: object) -> Trainer:
    records, _ = read_source(settings.sources[0], settings.network.class_names)
    return Trainer(settings, records, **options)  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_weights(a: Trainer, b: Trainer) -> None:
    for first, second in (
        (a.network.state_dict(), b.network.state_dict()),
        (a.averaged_network().state_dict(), b.averaged_network().state_dict()),
    ):
        assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize(("optimizer", "stopped_at"), [("sgd", 3), ("adamw", 1)])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights_bit_for_bit(
    tiny_settings: TrainingSettings, tmp_path: Path, stopped_at: int, optimizer: str
) -> None:
    settings = replace(tiny_settings, optimizer=optimizer)
    whole = make_trainer(settings)
    whole.run()
    again = replace(settings, output=tmp_path / "again")
    make_trainer(again).run(stop_after=stopped_at)
    torch.rand(7)  # the state must not depend on what else the process does
    resumed = make_trainer(again)
    resumed.resume()
    assert resumed.step == stopped_at
    resumed.run()
    assert_equal_weights(whole, resumed)
    assert [row["step"] for row in rows(again.output / "training.csv")] == ["2", "4", "6"]


def test_a_run_resumed_from_an_older_state_writes_each_row_once(
    tiny_settings: TrainingSettings,
) -> None:
    make_trainer(tiny_settings).run(stop_after=4)
    kept = (tiny_settings.output / "state.pt").read_bytes()
    whole = make_trainer(tiny_settings)
    whole.resume()
    whole.run()
    (tiny_settings.output / "state.pt").write_bytes(kept)
    resumed = make_trainer(tiny_settings)
    resumed.resume()
    resumed.run()
    assert [r["step"] for r in rows(tiny_settings.output / "training.csv")] == ["2", "4", "6"]
    assert_equal_weights(whole, resumed)


def test_training_lowers_the_loss(tiny_settings: TrainingSettings) -> None:
    settings = replace(tiny_settings, steps=18, optimizer="adamw", learning_rate=3e-3, log_every=6)
    make_trainer(settings).run()
    totals = [float(row["total"]) for row in rows(settings.output / "training.csv")]
    assert len(totals) == 3
    assert totals[-1] < totals[0]


def test_the_best_network_by_validation_is_kept(tiny_settings: TrainingSettings) -> None:
    scores = iter([0.2, 0.5, 0.4])
    asked: list[int] = []

    def validate(network: Yolact, step: int) -> dict[str, float]:
        assert not network.training
        asked.append(step)
        return {"mask_ap": next(scores), "box_ap": 0.1}

    trainer = make_trainer(replace(tiny_settings, validate_every=2), validate=validate)
    trainer.run()
    assert asked == [2, 4, 6]
    assert trainer.best == 0.5
    from yolact_ros.models.checkpoint import load_checkpoint

    best = load_checkpoint(tiny_settings.output / "best.safetensors")
    assert best.config == tiny_settings.network
    assert best.metadata["model_card"]["results"]["steps"] == 4
    table = rows(tiny_settings.output / "validation.csv")
    assert [float(row["mask_ap"]) for row in table] == [0.2, 0.5, 0.4]


def test_pictures_are_drawn_when_they_are_due(tiny_settings: TrainingSettings) -> None:
    drawn: list[int] = []
    settings = replace(tiny_settings, pictures_every=3)
    make_trainer(settings, draw=lambda network, step: drawn.append(step)).run()
    assert drawn == [3, 6]


def test_steps_that_are_not_finite_are_counted_and_named(
    tiny_settings: TrainingSettings,
) -> None:
    lines: list[str] = []
    trainer = make_trainer(
        replace(tiny_settings, learning_rate=1e30, warmup_steps=0), say=lines.append
    )
    trainer.run()
    assert trainer.skipped_steps > 0
    skipped = [line for line in lines if "the loss is not finite with" in line]
    assert len(skipped) == trainer.skipped_steps
    assert "shapes/00" in skipped[0]


@pytest.mark.parametrize(("accumulate", "count"), [(3, 1), (1, 3), (2, 4)])
def test_a_batch_that_cannot_be_shared_out_is_an_error(
    tiny_settings: TrainingSettings, accumulate: int, count: int
) -> None:
    settings = replace(tiny_settings, accumulate=accumulate)
    with pytest.raises(ConfigError, match="batch_size 4 cannot be cut"):
        make_trainer(settings, processes=Processes(0, count))


def batch_norm_states(trainer: Trainer) -> Sequence[bool]:
    norms = (m for m in trainer.network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    return [norm.training for norm in norms]


@pytest.mark.parametrize(
    ("start", "batch_size", "trains"),
    [("weights", 4, False), ("weights", 6, True), ("nothing", 4, True), ("nothing", 1, True)],
)
def test_batch_norms_train_from_six_images_on_and_where_they_have_no_statistics(
    tiny_settings: TrainingSettings, tmp_path: Path, start: str, batch_size: int, trains: bool
) -> None:
    if start == "weights":
        start = str(tmp_path / "start.safetensors")
        save_checkpoint(start, build_network(tiny_settings.network), {})
    settings = replace(
        tiny_settings, start_from=start, batch_size=batch_size, freeze_batch_norm="auto"
    )
    assert set(batch_norm_states(make_trainer(settings))) == {trains}


def test_a_deep_network_learns_from_nothing_with_few_images_a_step(
    tiny_settings: TrainingSettings,
) -> None:
    """With frozen batch norms the loss of this small one rises to 2500, of a whole one to NaN."""
    deep = smallest("yolact_resnet50", class_names=tiny_settings.network.class_names)
    settings = replace(tiny_settings, network=deep, freeze_batch_norm="auto", log_every=1)
    trainer = make_trainer(settings)
    trainer.run()
    assert trainer.skipped_steps == 0
    totals = [float(row["total"]) for row in rows(settings.output / "training.csv")]
    assert max(totals) < 200


def test_the_images_of_skipped_steps_count_in_the_speed(
    tiny_settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("yolact_ros.training.trainer.time.monotonic", lambda: next(clock))
    trainer = make_trainer(replace(tiny_settings, log_every=3))
    step, number = trainer._stepper.step, iter(range(6))

    def odd_ones_skipped(parts: Sequence[Batch]) -> StepResult:
        return replace(step(parts), why="it is odd" if next(number) % 2 else "")

    monkeypatch.setattr(trainer._stepper, "step", odd_ones_skipped)
    trainer.run()
    # Three steps of four images a tick of the clock, of which every second one was skipped.
    table = rows(tiny_settings.output / "training.csv")
    assert [float(row["images_per_s"]) for row in table] == [12, 12]


def test_bfloat16_trains_close_to_float32(tiny_settings: TrainingSettings) -> None:
    exact, rough = (
        make_trainer(tiny_settings),
        make_trainer(
            replace(tiny_settings, precision="bf16", output=tiny_settings.output / "bf16")
        ),
    )
    exact.run(stop_after=2)
    rough.run(stop_after=2)
    losses = [
        float(rows(path / "training.csv")[0]["total"])
        for path in (tiny_settings.output, tiny_settings.output / "bf16")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]
