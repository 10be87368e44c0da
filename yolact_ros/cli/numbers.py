"""Numbers on the command line that no command can work with."""

from __future__ import annotations

import argparse

from yolact_ros.errors import ConfigError

__all__ = ["require_not_negative", "require_positive"]

TOO_LARGE = 1_000_000


def require_positive(args: argparse.Namespace, *names: str) -> None:
    """Check options by their attributes' names; None, an option that was not given, is good.

    Raises:
        ConfigError: one is zero, negative, not a number or absurdly large.
    """
    for name in names:
        value = getattr(args, name)
        if value is not None and not 0 < value < TOO_LARGE:
            raise ConfigError(f"{_option(name)} is {value:g}, expected a positive number")


def require_not_negative(args: argparse.Namespace, *names: str) -> None:
    """:func:`require_positive`, where zero has a meaning."""
    for name in names:
        value = getattr(args, name)
        if value is not None and not 0 <= value < TOO_LARGE:
            raise ConfigError(f"{_option(name)} is {value:g}, expected 0 or more")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
