"""The loaded networks behind the node: from BGR pixels to a prediction within the budget."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from yolact_ros.config import YolactConfig
from yolact_ros.inference.budget import FrameBudget
from yolact_ros.inference.budgeted import BudgetedPredictor
from yolact_ros.inference.frame_plan import OverrunPolicy
from yolact_ros.inference.ladder import QualityLadder
from yolact_ros.inference.predictor import Predictor, choose_device
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime
from yolact_ros.inference.settings import PostprocessConfig
from yolact_ros.models import Yolact
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.zoo import find_model
from yolact_ros.ros.parameters import FixedParameters, LiveParameters, class_ids_of

__all__ = ["Engine", "ModelDescription"]


@dataclass(frozen=True)
class ModelDescription:
    """What runs, for diagnostics and logs.

    Attributes:
        name: as the user named it.
        path: its file.
        config: of the network, with the model's own input size.
        device: where it runs.
        runtime: what runs it, in which precision, and why where it was chosen.
    """

    name: str
    path: Path
    config: YolactConfig
    device: torch.device
    runtime: str


class _Rungs:
    """The predictors of one choice of input sizes, under a budget of their own."""

    def __init__(
        self, predictors: Mapping[int, Predictor], live: LiveParameters, *, masks: bool
    ) -> None:
        self.predictors = dict(predictors)
        ladder = QualityLadder.from_settings(tuple(predictors), live.top_k, masks=masks)
        self.budgeted = BudgetedPredictor(predictors, FrameBudget(ladder, live.frame_budget_ms))
        self._used: tuple[LiveParameters, bool] | None = None

    def use(self, live: LiveParameters, settings: PostprocessConfig) -> None:
        """Work with these parameters from the next frame on."""
        budget = self.budgeted.budget
        before = self._used[0] if self._used else None
        if before is None or before.frame_budget_ms != live.frame_budget_ms:
            budget.set_budget(live.frame_budget_ms)
        budget.policy = OverrunPolicy(live.overrun_policy)
        ladder = QualityLadder.from_settings(
            tuple(self.predictors), live.top_k, masks=settings.masks
        )
        if ladder != budget.ladder:
            budget.set_ladder(ladder)
        for predictor in self.predictors.values():
            predictor.settings = settings
        self._used = (live, settings.masks)

    def uses(self, live: LiveParameters, *, masks: bool) -> bool:
        """Whether :meth:`use` has nothing to change."""
        return self._used == (live, masks)


class Engine:
    """One model on one device, at the input sizes that the parameters ask for.

    :meth:`ready` and what it returns belong to the worker's thread, :meth:`build` to one other.

    Args:
        fixed: the model, its device and k.
        live: input sizes and what is reported.

    Raises:
        YolactError: no such model, a wrong file, a device that is not there, ``classes`` or
            ``input_size`` that the model cannot have.

    Attributes:
        description: of the model.
        class_names: the index is the class id.
    """

    def __init__(self, fixed: FixedParameters, live: LiveParameters) -> None:
        self._fixed = fixed
        path = find_model(fixed.model)
        own = load_network(path, num_prototypes=fixed.num_prototypes)
        device = choose_device(fixed.device)
        runtime = self._open_runtime(own, device)
        predictor = Predictor(own, device=device, runtime=runtime)
        self.description = ModelDescription(
            fixed.model, path, own.config, device, _in_words(runtime)
        )
        self.class_names = own.config.class_names
        self.check(live)
        self._rungs = self._warm(
            self._predictors(live, {own.config.input_size_px: predictor}), live
        )
        self._next: _Rungs | None = None

    @property
    def input_size_px(self) -> int:
        """Side of the network input in use."""
        return self._rungs.budgeted.budget.rung.input_size_px

    @property
    def input_sizes_px(self) -> tuple[int, ...]:
        """Sides of the network inputs that are ready, best first."""
        return tuple((self._next or self._rungs).predictors)

    def check(self, live: LiveParameters) -> None:
        """Whether the model can work with these parameters.

        Raises:
            ConfigError: it has no such class, or the input sizes do not fall.
        """
        class_ids_of(live.classes, self.class_names)
        QualityLadder.from_settings(self._sizes_px(live), live.top_k)

    def needs_build(self, live: LiveParameters) -> bool:
        """Whether the parameters ask for other input sizes than are ready."""
        return set(self._sizes_px(live)) != set((self._next or self._rungs).predictors)

    def build(self, live: LiveParameters) -> None:
        """Load and warm up other input sizes beside those in use; the next frame takes them.

        Raises:
            YolactError: the model's file is gone, or the device has no room.
        """
        if self.needs_build(live):
            # All anew: a predictor in use must not be warmed up at the same time.
            self._next = self._warm(self._predictors(live, {}), live)

    def ready(self, live: LiveParameters, *, masks: bool) -> BudgetedPredictor:
        """What works on the next frame, with the parameters of this moment."""
        if self._next is not None:
            old, self._rungs, self._next = self._rungs, self._next, None
            _close(old)
        if not self._rungs.uses(live, masks=masks):
            settings = PostprocessConfig(
                score_threshold=live.score_threshold,
                top_k=live.top_k,
                nms_threshold=live.nms_threshold,
                class_ids=class_ids_of(live.classes, self.class_names),
                masks=masks,
            )
            self._rungs.use(live, settings)
        return self._rungs.budgeted

    def close(self) -> None:
        """Free the networks and their memory on the device."""
        for rungs in (self._rungs, self._next):
            if rungs is not None:
                _close(rungs)
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _sizes_px(self, live: LiveParameters) -> Sequence[int]:
        own_px = self.description.config.input_size_px
        return tuple(size_px or own_px for size_px in live.input_size)

    def _predictors(
        self, live: LiveParameters, loaded: Mapping[int, Predictor]
    ) -> dict[int, Predictor]:
        def load(size_px: int) -> Predictor:
            model = load_network(self.description.path, input_size_px=size_px)
            device = self.description.device
            return Predictor(model, device=device, runtime=self._open_runtime(model, device))

        return {size: loaded.get(size) or load(size) for size in self._sizes_px(live)}

    def _open_runtime(self, model: Yolact, device: torch.device) -> Runtime:
        return open_runtime(
            self._fixed.runtime,
            model,
            device=device,
            precision=self._fixed.precision,
            cache_folder=default_engine_folder(),
        )

    def _warm(self, predictors: Mapping[int, Predictor], live: LiveParameters) -> _Rungs:
        rungs = _Rungs(predictors, live, masks=live.mask_encoding != "none")
        rungs.budgeted.warm_up()
        return rungs


def _close(rungs: _Rungs) -> None:
    rungs.budgeted.close()
    rungs.predictors.clear()


def _in_words(runtime: Runtime) -> str:
    reason = f" ({runtime.reason})" if runtime.reason else ""
    return f"{runtime.name} {runtime.precision}{reason}"
