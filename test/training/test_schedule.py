from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from yolact_ros.training.settings import TrainingSettings
from yolact_ros.training.trainer import learning_rate

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "unit.npz")


def test_the_papers_run_equals_the_recorded_rule(tiny_settings: TrainingSettings) -> None:
    settings = replace(tiny_settings, steps=800_000, batch_size=8)
    rates = [learning_rate(int(step), settings) for step in GOLDEN["lr/iterations"]]
    np.testing.assert_allclose(rates, GOLDEN["lr/base_bs8"], rtol=1e-6)


def test_a_short_run_is_the_papers_run_in_small(tiny_settings: TrainingSettings) -> None:
    settings = replace(tiny_settings, steps=2000, batch_size=8)
    assert settings.warmup_length == 100
    rates = {step: learning_rate(step, settings) for step in (0, 100, 699, 700, 1500, 1875)}
    assert rates == pytest.approx(
        {0: 1e-4, 100: 1e-3, 699: 1e-3, 700: 1e-4, 1500: 1e-5, 1875: 1e-7}
    )


def test_sgd_rates_grow_with_the_batch_and_adamw_rates_do_not(
    tiny_settings: TrainingSettings,
) -> None:
    sgd = replace(tiny_settings, steps=1000, batch_size=32)
    assert learning_rate(300, sgd) == pytest.approx(4e-3)
    assert learning_rate(0, sgd) == pytest.approx(1e-4)
    assert learning_rate(300, replace(sgd, optimizer="adamw")) == pytest.approx(1e-3)


def test_cosine_falls_from_the_peak_to_zero(tiny_settings: TrainingSettings) -> None:
    settings = replace(
        tiny_settings, schedule="cosine", steps=1100, warmup_steps=100, batch_size=8
    )
    assert learning_rate(100, settings) == pytest.approx(1e-3)
    assert learning_rate(600, settings) == pytest.approx(5e-4)
    assert learning_rate(1100, settings) == pytest.approx(0, abs=1e-9)
