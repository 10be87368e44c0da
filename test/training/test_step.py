from __future__ import annotations

import copy
import math
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import multiprocessing
from training_steps import distributed_main, make_network, make_stepper, make_steps, train

from yolact_ros.config import YolactConfig
from yolact_ros.models import Yolact
from yolact_ros.training.annotations import DataSource, read_source
from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.loader import step_parts
from yolact_ros.training.processes import Processes
from yolact_ros.training.step import StepResult


def assert_same_training(
    config: YolactConfig,
    a: tuple[dict[str, torch.Tensor], list[StepResult]],
    b: tuple[dict[str, torch.Tensor], list[StepResult]],
) -> None:
    for first, second in zip(a[1], b[1], strict=True):
        assert first.losses == pytest.approx(second.losses, rel=1e-4)
    start = make_network(config).state_dict()
    for key, value in a[0].items():
        learnt = value.double() - start[key].double()
        difference = value.double() - b[0][key].double()
        assert float(difference.norm()) <= 0.01 * float(learnt.norm()), key


def test_steps_lower_the_loss_of_their_images(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    network = make_network(tiny_config).requires_grad_(True).train()
    parts = make_steps(shapes, network, Processes(), 1)[0]
    stepper = make_stepper(network, Processes(), optimizer="adamw", learning_rate=3e-3)
    totals = [sum(stepper.step(parts).losses.values()) for _ in range(12)]
    assert totals[-1] < 0.8 * totals[0]


def test_accumulated_parts_learn_what_the_whole_batch_does(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    assert_same_training(
        tiny_config, train(shapes, tiny_config), train(shapes, tiny_config, accumulate=2)
    )


def test_two_processes_learn_what_one_does(shapes: DataSource, tiny_config: YolactConfig) -> None:
    alone = train(shapes, tiny_config)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, socket.socket() as taken:
        # Keeps the port from others; torch, which sets this too, can have it beside.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        results = manager.dict()
        multiprocessing.spawn(
            distributed_main, (shapes, tiny_config, port, results), nprocs=2, join=True
        )
        for rank in range(2):
            weights, steps = results[rank]
            assert_same_training(
                tiny_config, alone, ({k: torch.from_numpy(v) for k, v in weights.items()}, steps)
            )


def break_the_loss(network: Yolact, part: Batch) -> Callable[[], None]:
    part.images[1, 0, 5, 5] = torch.nan
    return lambda: part.images[1, 0, 5, 5].zero_()


def break_a_gradient(network: Yolact, part: Batch) -> Callable[[], None]:
    spoil = network.proto_net[0].weight.register_hook
    return spoil(lambda gradient: gradient.index_fill(0, torch.tensor(1), math.inf)).remove


@pytest.mark.parametrize(
    ("what", "break_it"), [("the loss", break_the_loss), ("a gradient", break_a_gradient)]
)
def test_what_is_not_finite_changes_nothing_and_names_the_images(
    shapes: DataSource,
    tiny_config: YolactConfig,
    what: str,
    break_it: Callable[[Yolact, Batch], Callable[[], None]],
) -> None:
    network = make_network(tiny_config)
    parts = make_steps(shapes, network, Processes(), 1)[0]
    stepper = make_stepper(network, Processes())
    stepper.step(parts)
    before = copy.deepcopy(network.state_dict())
    mend_it = break_it(network, parts[0])
    result = stepper.step(parts)
    assert result.skipped
    assert result.why == f"{what} is not finite with {', '.join(parts[0].names)}"
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    mend_it()
    assert not stepper.step(parts).skipped


def test_gradients_beyond_fp16_lower_the_scale_and_blame_no_image(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    network = make_network(tiny_config)
    parts = make_steps(shapes, network, Processes(), 1)[0]
    stepper = make_stepper(network, Processes())
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = copy.deepcopy(network.state_dict())
    result = stepper.step(parts)
    assert result.why.startswith("gradients times 1.70141e+38 overflow fp16, 8.50706e+37 is next;")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    while (result := stepper.step(parts)).skipped:
        assert "shapes" not in result.why
    assert stepper.scaler.get_scale() > 1
    assert not all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_images_without_any_object_are_no_reason_to_skip(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    network = make_network(tiny_config)
    records, _ = read_source(shapes, tiny_config.class_names)
    records = [replace(record, objects=()) for record in records]
    images = TrainingImages(records, tiny_config, keep_empty=True)
    with step_parts(
        images,
        first_step=0,
        steps=1,
        batch_size=2,
        accumulate=1,
        processes=Processes(),
        workers=0,
    ) as steps:
        parts = next(steps)
    result = make_stepper(network, Processes()).step(parts)
    assert not result.skipped
    assert result.losses["semantic"] > 0 == result.losses["class"]
    # Other processes would wait for a gradient that is missing here.
    without = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
