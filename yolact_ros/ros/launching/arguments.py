"""Arguments of the launch files: declared, read, and refused where they cannot be what they say.

A value that cannot be is a ConfigError, here and in all that reads arguments through this.
``ros2 launch`` runs on the system's Python, which need not have torch: nothing here imports it.
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration

from yolact_ros.errors import ConfigError

__all__ = [
    "Argument",
    "argument",
    "existing_path",
    "is_true",
    "name_part",
    "number",
    "parameters_file",
    "program_prefix",
    "read_bool",
    "read_list",
    "read_yaml",
    "topic_name",
    "whole_number",
]

Argument = tuple[str, str | None, str]
"""Name, default and description of a launch argument; None where one must be given."""

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def argument(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def is_true(context: LaunchContext, name: str) -> bool:
    """Value of a launch argument that is true or false."""
    return read_bool(name, argument(context, name))


def read_bool(name: str, text: str) -> bool:
    """True or false, in the spellings of launch and of YAML."""
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ConfigError(f"{name} is {text!r}, expected true or false")
    return word in _TRUE


def number(context: LaunchContext, name: str, least: float = 0.0) -> float:
    """A number that is at least ``least``."""
    text = argument(context, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise ConfigError(f"{name} is {text!r}, expected a number of at least {least:g}")
    return value


def whole_number(context: LaunchContext, name: str, least: int = 1) -> int:
    """A whole number that is at least ``least``."""
    text = argument(context, name)
    if not re.fullmatch(r"\d+", text) or int(text) < least:
        raise ConfigError(f"{name} is {text!r}, expected a whole number of at least {least}")
    return int(text)


def existing_path(context: LaunchContext, name: str, expected: str) -> str:
    """The path of something that exists, or "" where none is given.

    Args:
        expected: what it must be, for people.
    """
    path = argument(context, name)
    if path and not Path(path).exists():
        raise ConfigError(f"{name} {path} does not exist; expected {expected}")
    return path


def read_yaml(name: str, text: str, loader: type[Any] = yaml.SafeLoader) -> object:
    """What the text of an argument says in YAML."""
    try:
        value: object = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is {text!r}, which is no YAML; expected [1, 2]") from error
    return value


def read_list(name: str, text: str) -> list[str]:
    """The names in "[front, rear]" or "front,rear"."""
    # The base loader leaves words such as no and 007 as they are.
    is_list = text.lstrip().startswith("[")
    items = read_yaml(name, text, yaml.BaseLoader) if is_list else text.split(",")
    assert isinstance(items, list)
    return [str(item).strip() for item in items if str(item).strip()]


def topic_name(name: str, text: str) -> str:
    """The name of a topic, relative or from the root."""
    if not re.fullmatch(rf"(/|~/)?{_NAME}(/{_NAME})*", text):
        raise ConfigError(
            f"{name} is {text!r}, which cannot be a topic; expected letters, digits and _, not a "
            "digit first, between slashes"
        )
    return text


def name_part(name: str, text: str) -> str:
    """The name of a node."""
    if not re.fullmatch(_NAME, text):
        raise ConfigError(
            f"{name} is {text!r}, which cannot be a node's; expected letters, digits and _, not a "
            "digit first"
        )
    return text


def parameters_file(context: LaunchContext, name: str) -> str:
    """The path of a YAML file of ROS parameters."""
    path = existing_path(context, name, "a YAML file of ROS parameters, as config/yolact.yaml")
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{name} {path} cannot be read as YAML: {error}") from error
    nodes = content.values() if isinstance(content, dict) else []
    if "ros__parameters" not in str(content) or not all(isinstance(v, dict) for v in nodes):
        raise ConfigError(
            f"{name} {path} is no file of ROS parameters; expected `/**: ros__parameters:` and "
            "the parameters below, as in config/yolact.yaml"
        )
    return path


def program_prefix(context: LaunchContext, name: str) -> str | None:
    """What to put before a command, None for nothing."""
    text = argument(context, name)
    words = shlex.split(text)
    if not words:
        return None
    if shutil.which(words[0]) is None:
        raise ConfigError(f"{name} is {text!r}, and there is no program {words[0]} on PATH")
    return text
