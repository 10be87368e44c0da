"""A whole training run: data check, training, validation, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from yolact_ros.errors import ConfigError
from yolact_ros.training.check import CheckedData, read_and_check
from yolact_ros.training.processes import join_processes, leave_processes
from yolact_ros.training.settings import TrainingSettings
from yolact_ros.training.state import STATE_FILE
from yolact_ros.training.trainer import Trainer, Validate

__all__ = ["check_data", "train"]


def check_data(settings: TrainingSettings, say: Callable[[str], None]) -> CheckedData:
    """Read and check the data of a run, and say what is there and what was left out.

    Raises:
        DataError: the data cannot be used, or have defects and ``settings.strict`` is set.
    """
    names = settings.network.class_names
    data = read_and_check(settings.sources, settings.validation, names, strict=settings.strict)
    say(data.describe(names))
    if data.defects:
        say(f"left out or mended:\n{data.defects.report()}")
    return data


def train(
    settings: TrainingSettings, *, resume: bool = False, say: Callable[[str], None] = print
) -> Path:
    """Run training to its end; under torchrun as one of its processes.

    Args:
        resume: go on from the checkpoint in ``settings.output``; a new run needs a folder
            without one.

    Returns:
        Path of the exported network: the best by validation AP, else the last.

    Raises:
        DataError, ConfigError, CheckpointError: something that the user can cure.
    """
    if not resume and (settings.output / STATE_FILE).exists():
        raise ConfigError(
            f"{settings.output} holds a training run: go on with it (--resume), or name another "
            "folder (--output) for a new one"
        )
    processes = join_processes(settings.device)
    try:
        speak = say if processes.is_main else lambda _line: None
        data = check_data(settings, speak)
        validate: Validate | None = None
        draw = None
        if data.validation and processes.is_main:
            # Imported here: these need the inference side, which training itself does not.
            from yolact_ros.training.validation import PictureWriter, Validator

            chosen = data.validation
            if settings.validation_images:
                chosen = chosen[: settings.validation_images]
            if settings.validate_every:
                validate = Validator(chosen, settings.network.class_names)
            draw = PictureWriter(settings.output / "pictures", chosen).write
        trainer = Trainer(
            settings, data.training, processes=processes, validate=validate, draw=draw, say=speak
        )
        if resume:
            trainer.resume()
        last = trainer.run()
        best = settings.output / "best.safetensors"
        path = best if best.exists() else last
        speak(f"exported {path}")
        return path
    finally:
        leave_processes(processes)
