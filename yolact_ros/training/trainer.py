"""The training loop: steps, averages, checkpoints, validation; a kill costs no accuracy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from yolact_ros.errors import ConfigError
from yolact_ros.evaluation.output_folder import write_json
from yolact_ros.inference.predictor import choose_device
from yolact_ros.models.checkpoint import save_checkpoint
from yolact_ros.models.families import make_network
from yolact_ros.models.network import Network
from yolact_ros.models.weight_file import CONFIG_KEY
from yolact_ros.training.annotations import ImageRecord
from yolact_ros.training.cpu_speed import speed_up_on_cpu
from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.journal import Journal, open_tensorboard
from yolact_ros.training.loader import step_parts
from yolact_ros.training.processes import Processes
from yolact_ros.training.settings import TrainingSettings
from yolact_ros.training.start import freeze, start_network
from yolact_ros.training.state import STATE_FILE, load_state, save_state
from yolact_ros.training.step import AveragedWeights, NetworkWithLosses, Stepper, make_optimizer

__all__ = ["Trainer", "Validate", "learning_rate"]

Validate = Callable[[Network, int], dict[str, float]]
"""Scores a network in evaluation mode after so many steps; ``mask_ap`` decides which is best."""

MIN_IMAGES_FOR_BATCH_NORM = 6
BEST_METRIC = "mask_ap"
PAPER_BATCH_SIZE = 8
# 280k, 600k, 700k and 750k of 800k steps.
PAPER_MILESTONES = (0.35, 0.75, 0.875, 0.9375)
MILESTONE_FACTOR = 0.1


class Trainer:
    """One training run in one process.

    Args:
        validate: called on the main process every ``validate_every`` steps, if given.
        draw: likewise every ``pictures_every`` steps, with network and step.

    Raises:
        ConfigError: the batch cannot be cut into the parts asked for.
        RuntimeUnavailableError: no such device here.
        CheckpointError: the weights to start from cannot be used.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        records: Sequence[ImageRecord],
        *,
        processes: Processes | None = None,
        validate: Validate | None = None,
        draw: Callable[[Network, int], None] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._settings = settings
        self._processes = processes or Processes()
        self._validate = validate
        self._draw = draw
        self._say = say
        parts = settings.accumulate * self._processes.count
        if settings.batch_size % parts:
            raise ConfigError(
                f"training: batch_size {settings.batch_size} cannot be cut into {parts} equal "
                f"parts ({self._processes.count} processes, accumulate {settings.accumulate})"
            )
        self._device = _choose_device(settings.device, self._processes)
        self.network, remarks = start_network(settings)
        for remark in remarks:
            self._say(remark)
        self._frozen_batch_norm = settings.freeze_batch_norm == "yes" or (
            settings.freeze_batch_norm == "auto"
            # Random weights come without statistics, and activations would grow layer by layer.
            and settings.start_from != "nothing"
            and settings.batch_size // parts < MIN_IMAGES_FOR_BATCH_NORM
        )
        if self._frozen_batch_norm:
            self._say("batch norms keep their statistics, scale and shift")
        self._prepare_network()
        self._images = TrainingImages(
            records,
            settings.network,
            first_sizes_px=settings.first_sizes_px,
            augment=settings.augment,
            source_weights={source.name: source.weight for source in settings.sources},
            keep_empty=settings.keep_empty,
            seed=settings.seed,
            max_side_px=settings.max_side_px,
            cache=settings.cache_images,
        )
        self._optimizer = make_optimizer(
            self.network,
            kind=settings.optimizer,
            backbone_rate=settings.backbone_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        self._stepper = Stepper(
            NetworkWithLosses(self.network, settings.loss, settings.precision),
            self._optimizer,
            processes=self._processes,
            device=self._device,
            scale_gradients=settings.precision == "fp16" and self._device.type == "cuda",
        )
        self._average = AveragedWeights(self.network, settings.ema_decay)
        self.step = 0
        self.skipped_steps = 0
        self.best = -1.0

    def resume(self) -> None:
        """Go on from the run folder's last checkpoint.

        Raises:
            CheckpointError: there is none, or it is of another network.
        """
        state = load_state(self._settings.output / STATE_FILE)
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average.load(state["average"])
        self._stepper.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        self.step = int(state["step"])
        self.skipped_steps = int(state["skipped_steps"])
        self.best = float(state["best"])
        self._say(f"resumes after step {self.step}")

    def run(self, *, stop_after: int | None = None) -> Path:
        """Train to the end, or for ``stop_after`` steps; returns the exported network's path."""
        settings = self._settings
        last_step = settings.steps
        if stop_after is not None:
            last_step = min(last_step, self.step + stop_after)
        if self._processes.is_main:
            settings.output.mkdir(parents=True, exist_ok=True)
            write_json(settings.output / "settings.json", settings.to_dict())
        with step_parts(
            self._images,
            first_step=self.step,
            steps=last_step,
            batch_size=settings.batch_size,
            accumulate=settings.accumulate,
            processes=self._processes,
            workers=settings.workers,
        ) as stream:
            self._train_on(stream)
        self._save()
        path = settings.output / "last.safetensors"
        if self._processes.is_main:
            self._export(path, self.averaged_network(), {"steps": self.step})
        self._processes.wait()
        return path

    def averaged_network(self) -> Network:
        """A copy of the network with the averaged weights, in evaluation mode."""
        network = make_network(self._settings.network).to(self._device)
        averaged = self._settings.ema_decay > 0
        network.load_state_dict(self._average.values if averaged else self.network.state_dict())
        return network.eval()

    def _prepare_network(self) -> None:
        network = self.network.to(self._device)
        # torch's type stubs of Module.to lack this documented form.
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.train()
        freeze(network, batch_norm=self._frozen_batch_norm, blocks=self._settings.freeze_blocks)
        if self._device.type == "cpu":
            speed_up_on_cpu(network)

    def _train_on(self, stream: Iterator[list[Batch]]) -> None:
        settings = self._settings
        main = self._processes.is_main
        tensorboard = open_tensorboard(settings.output, self.step) if main else None
        journal = Journal(settings.output, "training", self.step, tensorboard) if main else None
        scores = Journal(settings.output, "validation", self.step, tensorboard) if main else None
        recent = _Recent()
        # None: only on a terminal.
        bar = tqdm(
            stream,
            initial=self.step,
            total=settings.steps,
            unit="step",
            disable=None if main else True,
        )
        for parts in bar:
            rate = learning_rate(self.step, settings)
            for group in self._optimizer.param_groups:
                group["lr"] = rate * group["rate"]
            result = self._stepper.step(parts)
            self.step += 1
            recent.steps += 1
            if result.skipped:
                self.skipped_steps += 1
                self._say(f"step {self.step} skipped ({self.skipped_steps} so far): {result.why}")
            else:
                self._average.update(self.network)
                recent.add(result.losses)
            # At the end too: a run shorter than the intervals leaves the same files.
            last = self.step == settings.steps
            if (last or self.step % settings.log_every == 0) and recent.count:
                row = recent.take(settings.batch_size)
                if journal is not None:
                    journal.write(self.step, {"learning_rate": rate, **row})
                    self._say(_line(self.step, settings.steps, row))
            if scores is not None and _due(self.step, settings.validate_every, last):
                self._score(scores)
            if main and self._draw and _due(self.step, settings.pictures_every, last):
                self._draw(self.averaged_network(), self.step)
            if _due(self.step, settings.checkpoint_every):
                self._save()
        if tensorboard is not None:
            tensorboard.close()

    def _score(self, scores: Journal) -> None:
        if self._validate is None:
            return
        network = self.averaged_network()
        values = self._validate(network, self.step)
        scores.write(self.step, values)
        self._say("  ".join(f"{name} {value:.3f}" for name, value in values.items()))
        if values.get(BEST_METRIC, -1.0) > self.best:
            self.best = values[BEST_METRIC]
            path = self._settings.output / "best.safetensors"
            self._export(path, network, {"steps": self.step, **values})

    def _export(self, path: Path, network: Network, results: dict[str, Any]) -> None:
        """Write weights, config and a short model card as float16 safetensors, atomically."""
        card = {
            "trained_on": ", ".join(source.name for source in self._settings.sources),
            "started_from": self._settings.start_from,
            "batch_size": self._settings.batch_size,
            "results": results,
        }
        save_checkpoint(path, network, {"model_card": card}, torch.float16)

    def _save(self) -> None:
        if not self._processes.is_main:
            return
        state: dict[str, Any] = {
            "step": self.step,
            CONFIG_KEY: self.network.config.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.state(),
            "scaler": self._stepper.scaler.state_dict(),
            "random": torch.get_rng_state(),
            "skipped_steps": self.skipped_steps,
            "best": self.best,
        }
        save_state(self._settings.output / STATE_FILE, state)


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Learning rate of optimiser step ``step``, counted from 0.

    Warm-up is linear from ``warmup_rate`` of the full rate. SGD rates grow with the batch, in
    proportion to the paper's 8 images; as in its code the start of the warm-up does not.
    """
    peak = settings.learning_rate
    scale = settings.batch_size / PAPER_BATCH_SIZE if settings.optimizer == "sgd" else 1.0
    length = settings.warmup_length
    if step < length:
        start = peak * settings.warmup_rate
        return start + (peak * scale - start) * step / length
    if settings.schedule == "cosine":
        progress = (step - length) / max(1, settings.steps - length)
        return peak * scale * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    passed = sum(step >= round(share * settings.steps) for share in PAPER_MILESTONES)
    return peak * scale * MILESTONE_FACTOR**passed


class _Recent:
    """Means of the losses since the last line of the journal.

    Attributes:
        steps: all of them, also those that were skipped, whose losses do not count.
        count: those whose losses count.
    """

    def __init__(self) -> None:
        self.steps = self.count = 0
        self._sums: dict[str, float] = {}
        self._since = time.monotonic()

    def add(self, losses: dict[str, float]) -> None:
        self.count += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self, batch_size: int) -> dict[str, float]:
        now = time.monotonic()
        means = {name: value / self.count for name, value in self._sums.items()}
        row = {
            **means,
            "total": sum(means.values()),
            "images_per_s": self.steps * batch_size / (now - self._since),
        }
        self.steps = self.count = 0
        self._sums, self._since = {}, now
        return row


def _line(step: int, steps: int, row: dict[str, float]) -> str:
    terms = "  ".join(f"{name} {value:.3f}" for name, value in row.items())
    return f"step {step}/{steps}  {terms}"


def _due(step: int, every: int, last: bool = False) -> bool:
    """Whether something is done after this step, or after the last one; 0 is never."""
    return every > 0 and (last or step % every == 0)


def _choose_device(name: str, processes: Processes) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{processes.local_rank}"
    return choose_device(name)
