"""The mode that forbids waiting does forbid it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from no_waiting import NoWaiting
from torch import Tensor

VALUES = torch.tensor([3.0, 0.0, 5.0])


@pytest.mark.parametrize(
    "waits",
    [
        lambda values: values[0].item(),
        lambda values: int(values[0]),
        lambda values: bool(values[0] > 1),
        lambda values: values.nonzero(),
        lambda values: torch.where(values > 1),
        lambda values: values[values > 1],
        lambda values: values.masked_select(values > 1),
        lambda values: values.unique(),
        lambda values: values.repeat_interleave(values.long()),
        lambda values: values.clone().index_put_((values > 1,), values[0]),
        lambda values: torch.equal(values, values),
    ],
)
def test_what_waits_for_a_device_is_refused(waits: Callable[[Tensor], object]) -> None:
    waits(VALUES)
    with NoWaiting(), pytest.raises(AssertionError, match="waits for the device"):
        waits(VALUES)


def test_what_does_not_wait_is_let_through() -> None:
    with torch.inference_mode(), NoWaiting():
        rows = VALUES.topk(2).indices
        found = VALUES[rows].where(VALUES[rows] > 4, 0)
    assert found.tolist() == [5.0, 0.0]
