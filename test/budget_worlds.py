"""Machines and competing loads to try the frame budget on, drawn at random."""

from __future__ import annotations

from collections.abc import Callable

from budget_simulation import LoadStep, World
from hypothesis import Phase, settings
from hypothesis import strategies as st

BUDGET_MS = 33.3
simulated = settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],  # shrinking simulations takes minutes
)


def few(now_ms: float) -> int:
    return 3


def many(now_ms: float) -> int:
    return 40


def changing(now_ms: float) -> int:
    return int(now_ms / 700.0) % 17


FOUND: tuple[Callable[[float], int], ...] = (few, many, changing)
RATES_HZ = (10.0, 15.0, 30.0, 60.0)


@st.composite
def networks(draw: st.DrawFn, best_share: float = 0.8) -> dict[int, float]:
    """Network costs of 1..4 sizes; with masks the best takes ``best_share`` of the budget."""
    sizes_px = [550, 450, 350, 250][: draw(st.integers(1, 4))]
    best_ms = draw(st.floats(0.3, best_share)) * BUDGET_MS - 2.0
    return {size_px: best_ms * (size_px / 550) ** 2 for size_px in sizes_px}


@st.composite
def loads(draw: st.DrawFn, most: int = 12, highest: float = 4.0) -> tuple[LoadStep, ...]:
    """A competing load that comes, goes, changes and drifts at any time."""
    steps = []
    start_ms = 0.0
    for _ in range(draw(st.integers(0, most))):
        start_ms += draw(st.floats(100.0, 15000.0))
        slowdown = draw(st.one_of(st.just(1.0), st.floats(1.0, highest)))
        drift = draw(st.sampled_from([0.0, 0.0, 0.1, -0.1]))
        steps.append(LoadStep(start_ms, slowdown, drift))
    return tuple(steps)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any machine: noise, spikes, heavy tails, a load that slows the sizes unevenly."""
    return World(
        network_ms=draw(networks()),
        load=draw(loads()),
        noise=draw(st.sampled_from([0.0, 0.03, 0.1, 0.2])),
        spike_every=draw(st.sampled_from([0, 0, 30, 100, 300])),
        spike_slowdown=draw(st.floats(1.5, 8.0)),
        tail=draw(st.sampled_from([0.0, 0.0, 3.0, 6.0])),
        unevenness=draw(st.sampled_from([0.0, 0.0, 0.5])),
        found=draw(st.sampled_from(FOUND)),
        seed=draw(st.integers(0, 10_000)),
    )
