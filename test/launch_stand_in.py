"""Stand-ins for launch and launch_ros where they are not installed: they record arguments.

They are no launch system: the tests with the real one are in the same file and run where it is.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Recorded:
    """Keeps what it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


class LaunchDescription(Recorded):
    @property
    def entities(self) -> list[Any]:
        return list(self.args[0])


class DeclareLaunchArgument(Recorded):
    @property
    def name(self) -> str:
        return str(self.args[0])


class OpaqueFunction(Recorded):
    pass


class SetEnvironmentVariable(Recorded):
    pass


class IfCondition(Recorded):
    pass


class Node(Recorded):
    pass


class LaunchContext:
    """Values of the launch arguments."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values


class LaunchConfiguration(Recorded):
    def perform(self, context: LaunchContext) -> str:
        return context.values[self.args[0]]


MODULES = {
    "launch": {"LaunchContext": LaunchContext, "LaunchDescription": LaunchDescription},
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument,
        "IncludeLaunchDescription": Recorded,
        "OpaqueFunction": OpaqueFunction,
        "SetEnvironmentVariable": SetEnvironmentVariable,
        "ExecuteProcess": Recorded,
    },
    "launch.conditions": {"IfCondition": IfCondition},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": Recorded},
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
}


@contextmanager
def launch_stand_in() -> Iterator[None]:
    """Within it, ``import launch`` gives the stand-ins."""
    before = {name: sys.modules.get(name) for name in MODULES}
    for name, members in MODULES.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
