"""What one parameter of the node is, and which values it takes."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from yolact_ros.errors import ConfigError

__all__ = ["ParameterSpec", "ParameterValue", "check_value", "in_words"]

ParameterValue = bool | int | float | str | tuple[str, ...] | tuple[int, ...]

CAMERA_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of the node.

    Attributes:
        default: its value, of the parameter's type; a tuple stands for a list, of whole numbers
            if it holds one, else of strings.
        change: "live" acts at the next frame, "configure" can change while the node is
            unconfigured, "start" only when the process starts.
        unit: of a number; empty where it has none.
        limits: least and largest value of a number, both included.
        choices: the values that a string can have; empty for a free one.
    """

    name: str
    default: ParameterValue
    description: str
    change: str = "live"
    unit: str = ""
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()

    @property
    def constraints(self) -> str:
        """The range, unit and choices for people, for example "0..1" or "one of raw, rle"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.limits is None:
            return ""
        return f"{self.limits[0]:g}..{self.limits[1]:g}{' ' + self.unit if self.unit else ''}"

    def is_within_limits(self, number: float) -> bool:
        """Whether a number may be the value."""
        return self.limits is None or self.limits[0] <= number <= self.limits[1]


def check_value(spec: ParameterSpec, value: object) -> ParameterValue:
    """The value in the parameter's type: whole numbers serve as real ones, None as empty list.

    Raises:
        ConfigError: another type, out of range, or none of the choices.
    """
    default = spec.default
    if isinstance(default, tuple):
        return _check_numbers(spec, value) if default else _check_names(spec, value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ConfigError(
            f"{spec.name} is {in_words(value)}, expected {_TYPE_NAMES[type(default)]}"
        )
    # NaN is not within limits.
    outside = isinstance(value, (int, float)) and not spec.is_within_limits(value)
    if outside or (spec.choices and value not in spec.choices):
        raise ConfigError(f"{spec.name} is {in_words(value)}, expected {spec.constraints}")
    return value


def in_words(value: object) -> str:
    """A value as YAML and ``ros2 param set`` write it."""
    if isinstance(value, (list, tuple, array)):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "empty"}[value]
    return repr(value)


_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}


def _check_numbers(spec: ParameterSpec, value: object) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, (list, tuple, array)) else ()
    if not numbers or any(type(number) is not int for number in numbers):
        raise ConfigError(f"{spec.name} is {in_words(value)}, expected a list of whole numbers")
    for number in numbers:
        if number != 0 and not spec.is_within_limits(number):
            raise ConfigError(f"{spec.name} has {number}, expected 0 or {spec.constraints}")
    return numbers


def _check_names(spec: ParameterSpec, value: object) -> tuple[str, ...]:
    values = [] if value is None else value
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) for v in values):
        raise ConfigError(f"{spec.name} is {in_words(value)}, expected a list of strings")
    # YAML on ROS 2 before Jazzy cannot say "empty list of strings"; [''] is the usual way round.
    names = tuple(name for name in values if name)
    if len(set(names)) != len(names):
        raise ConfigError(f"{spec.name} is {in_words(names)}, expected every name once")
    if spec.name == "cameras":
        for name in names:
            if not set(name) <= CAMERA_NAME_CHARACTERS or name[0].isdigit():
                raise ConfigError(
                    f"cameras: {name!r} cannot be part of a topic name; use lower-case letters, "
                    "digits and _, not a digit first"
                )
    return names
