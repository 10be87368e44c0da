"""The model behind the node: its networks at the input sizes that the parameters ask for."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from yolact_ros.class_names import class_ids_of
from yolact_ros.inference.fair_lock import FairLock
from yolact_ros.inference.predictor import Predictor, StageTimes, choose_device
from yolact_ros.inference.quality.levels import quality_levels
from yolact_ros.inference.quality.plan import OverrunPolicy
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import read_model
from yolact_ros.models.network import Network
from yolact_ros.models.zoo import find_model
from yolact_ros.openmp import release_threads
from yolact_ros.prediction import Prediction
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.runtime_choice import ChoiceCancelledError, RuntimeChoice

__all__ = ["ModelRunner"]


class ModelRunner:
    """One model on one device, at the input sizes that the parameters ask for.

    :meth:`ready`, what it returns and :meth:`predict_at_best` belong to the worker's thread,
    which holds :attr:`lock` for each image, and :meth:`build` to one other. Input sizes
    for which the device has no memory are left out, as long as one fits.

    With the runtime ``auto`` it starts with eager where the fastest is not known yet, and
    :meth:`build` finds and opens that.

    Raises:
        YolactError: no such model, a wrong file, a device that is not there or has no memory,
            ``classes`` or ``input_size`` that the model cannot have.

    Attributes:
        name, path: of the model as the user named it, and of its file.
        config: of the network, with the model's own input size.
        remarks: what the user should know about the file, one sentence each.
        class_names: the index is the class id.
        provisional: whether eager runs until :meth:`build` has chosen the fastest runtime.
        left_out: why, by the input size in pixels for which the device had no memory.
    """

    def __init__(self, fixed: FixedParameters, live: LiveParameters) -> None:
        self.name = fixed.model
        self.path = find_model(self.name)
        file = read_model(
            self.path, class_names=fixed.class_names, input_size_px=max(live.input_size, default=0)
        )
        network = file.build(num_prototypes=fixed.num_prototypes)
        self._network: Network | None = network
        self.config = network.config
        self.remarks = file.remarks
        self.device = choose_device(fixed.device)
        self._choice = RuntimeChoice(fixed, self.path, self.device)
        self._cameras = max(len(fixed.cameras), 1)
        self.class_names = self.config.class_names
        self.left_out: Mapping[int, str] = {}
        self.check(live)
        self._swap_lock = threading.Lock()
        self._next: BudgetRunner | None = None
        self._used: tuple[BudgetRunner, LiveParameters, bool] | None = None
        self._asked_px = self._sizes_px(live)
        self._not_chosen = ""
        self.provisional = not all(
            self._choice.is_final(network.with_input_size(size_px)) for size_px in self._asked_px
        )
        self._runner = self._open(live, spare=True)

    @property
    def runtime(self) -> str:
        """What runs the networks, in which precision, and why where it was chosen; for people."""
        note = " until the fastest is chosen" if self.provisional else self._not_chosen
        return (self._next or self._runner).best_predictor.runtime + note

    @property
    def lock(self) -> FairLock:
        """Taken by the worker for each image; runs that are measured come between two."""
        return self._choice.lock

    @property
    def input_size_px(self) -> int:
        """Side of the network input in use."""
        return self._runner.budget.level.input_size_px

    @property
    def input_sizes_px(self) -> tuple[int, ...]:
        """Sides of the network inputs that are ready, best first."""
        return (self._next or self._runner).input_sizes_px

    def check(self, live: LiveParameters) -> None:
        """Whether the model can work with these parameters.

        Raises:
            ConfigError: it has no such class, or the input sizes do not fall.
        """
        class_ids_of(live.classes, self.class_names)
        quality_levels(self._sizes_px(live), live.top_k)

    def build(self, live: LiveParameters) -> None:
        """Warm up what should be used beside what is; the next frame takes it.

        That is other input sizes, or the fastest runtime in the place of a provisional one. What
        could not be had is tried again once other sizes were asked for.

        Raises:
            YolactError: the device has no room, or the runtime cannot run one of them; what is in
                use stays.
        """
        sizes_px, choosing = self._sizes_px(live), self.provisional
        if sizes_px == self._asked_px and not choosing:
            return
        self._asked_px = sizes_px
        if sizes_px == self.input_sizes_px and not choosing:
            self.left_out = {}
            return
        # All anew: a predictor in use must not be warmed up at the same time.
        try:
            runner = self._open(live, spare=choosing, beside=True)
        except ChoiceCancelledError:
            return
        except Exception as error:
            if choosing:
                self._not_chosen = f", since a faster one could not be had: {error}"
                self.provisional = False
            raise
        with self._swap_lock:
            superseded, self._next = self._next, runner
            self._not_chosen, self.provisional = "", False
        if superseded is not None:
            superseded.close()

    def ready(self, live: LiveParameters, *, masks: bool) -> BudgetRunner:
        """What works on the next frame, with the parameters of this moment."""
        runner = self._current()
        if (used := (runner, live, masks)) != self._used:
            runner.configure(
                self._settings(live, masks=masks),
                budget_ms=live.frame_budget_ms,
                policy=OverrunPolicy(live.overrun_policy),
                tracker=live.tracker_settings,
            )
            self._used = used
        return runner

    def predict_at_best(
        self, image_bgr: NDArray[np.uint8], live: LiveParameters
    ) -> tuple[Prediction, StageTimes, int]:
        """Find the instances at the best level, without a budget, which learns nothing of it.

        Args:
            image_bgr (uint8[H, W, 3]): the image.
            live: what is reported; masks are always made.

        Returns:
            the instances, what the stages took, and the side of the network input in pixels.

        Raises:
            DeviceMemoryError: the device has no memory left.
            Else as :meth:`Predictor.predict`.
        """
        predictor = self._current().best_predictor
        size_px = predictor.input_size_px
        settings = predictor.settings
        predictor.settings = self._settings(live, masks=True)
        try:
            with _memory_errors(self.device, size_px):
                return *predictor.predict_timed(image_bgr), size_px
        finally:
            predictor.settings = settings

    def cancel(self) -> None:
        """Let a :meth:`build` that measures runtimes end soon, without a result."""
        self._choice.cancel()

    def close(self) -> None:
        """Free the networks and their memory on the device."""
        for runner in (self._runner, self._next):
            if runner is not None:
                runner.close()
        self._network = None
        _free_memory()

    def _current(self) -> BudgetRunner:
        """The runner to use from now on: the one that :meth:`build` left, if it did."""
        if self._next is not None:
            with self._swap_lock:
                old, self._runner, self._next = self._runner, self._next, None
            old.close()
        return self._runner

    def _settings(self, live: LiveParameters, *, masks: bool) -> PredictionSettings:
        return PredictionSettings(
            score_threshold=live.score_threshold,
            top_k=live.top_k,
            nms_threshold=live.nms_threshold,
            class_ids=class_ids_of(live.classes, self.class_names),
            masks=masks,
        )

    def _sizes_px(self, live: LiveParameters) -> tuple[int, ...]:
        return tuple(size_px or self.config.input_size_px for size_px in live.input_size)

    def _open(
        self, live: LiveParameters, *, spare: bool = False, beside: bool = False
    ) -> BudgetRunner:
        """Predictors of all input sizes, warmed up.

        The smallest comes first: it is the one that must be there when time or memory is short.

        Args:
            spare: leave out those for which the device has no memory, as long as one fits.
            beside: there is time to choose the fastest runtime, since another runs.
        """
        predictors: dict[int, Predictor] = {}
        left_out: dict[int, str] = {}
        try:
            for size_px in reversed(self._sizes_px(live)):
                try:
                    predictors[size_px] = self._load(size_px, beside)
                except DeviceMemoryError as error:
                    if not (spare and predictors):
                        raise
                    left_out[size_px] = str(error)
            best_first = dict(reversed(predictors.items()))
            runner = BudgetRunner(
                best_first,
                self._settings(live, masks=live.mask_encoding != "none"),
                budget_ms=live.frame_budget_ms,
                policy=OverrunPolicy(live.overrun_policy),
                tracker=live.tracker_settings,
            )
            with _memory_errors(self.device, next(iter(best_first))):
                runner.warm_up(cameras=self._cameras)
        except BaseException:
            for predictor in predictors.values():
                predictor.close()
            _free_memory()
            raise
        self.left_out = left_out
        release_threads()
        return runner

    def _load(self, size_px: int, beside: bool) -> Predictor:
        """A predictor that has run once."""
        assert self._network is not None
        with _memory_errors(self.device, size_px):
            network = self._network.with_input_size(size_px)
            open_it = self._choice.open_fastest if beside else self._choice.open
            runtime = open_it(network)
            predictor = Predictor(network, device=self.device, runtime=runtime)
            try:
                predictor.warm_up()
            except BaseException:
                predictor.close()
                raise
        return predictor


@contextmanager
def _memory_errors(device: torch.device, size_px: int) -> Iterator[None]:
    """Turn torch's error over device memory into one that names the cure."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"{device} has no memory for an input of {size_px} px; use a smaller input_size or "
            "end other programs on the device"
        ) from error


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
