from __future__ import annotations

import pytest
import torch
from torch import nn

from yolact_ros.training.step import AveragedWeights


def test_the_average_forgets_early_values_fast_and_late_ones_slowly() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = AveragedWeights(model, decay=0.3)
    expected = float(model.weight)
    for update in range(1, 6):
        with torch.no_grad():
            model.weight.fill_(update)
        average.update(model)
        decay = min(0.3, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update
        assert float(average.values["weight"]) == pytest.approx(expected, rel=1e-6)


def test_counters_are_copied_and_statistics_averaged() -> None:
    model = nn.BatchNorm1d(2)
    average = AveragedWeights(model, decay=0.5)
    model(torch.tensor([[1.0, 2.0], [3.0, 8.0]]))
    average.update(model)
    assert int(average.values["num_batches_tracked"]) == 1
    assert 0 < float(average.values["running_mean"][1]) < float(model.running_mean[1])  # type: ignore[index]


def test_a_restored_average_goes_on_the_same_way() -> None:
    model = nn.Linear(3, 2)
    first = AveragedWeights(model, decay=0.9)
    first.update(model)
    with torch.no_grad():
        model.weight.add_(1)
    second = AveragedWeights(model, decay=0.9)
    second.load(first.state())
    first.update(model)
    second.update(model)
    assert second.updates == 2
    assert all(torch.equal(second.values[key], value) for key, value in first.values.items())
