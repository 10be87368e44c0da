"""Stand-ins for launch and launch_ros where they are not installed: they record arguments.

They are no launch system: the tests with the real one are in the same file and run where it is.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LAUNCH = Path(__file__).parents[1] / "launch"
SHARED = "yolact_ros.ros.launching"


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


class IncludeLaunchDescription(Recorded):
    @property
    def path(self) -> Path:
        return Path(self.args[0].args[0])


class OpaqueFunction(Recorded):
    pass


class SetEnvironmentVariable(Recorded):
    pass


class ExecuteProcess(Recorded):
    @property
    def command(self) -> list[str]:
        return list(self.kwargs["cmd"])


class Shutdown(Recorded):
    @property
    def reason(self) -> str:
        return str(self.kwargs["reason"])


class TimerAction(Recorded):
    pass


class Node(Recorded):
    pass


class LaunchContext:
    """Values of the launch arguments."""

    is_shutdown = False

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values


class LaunchConfiguration(Recorded):
    def perform(self, context: LaunchContext) -> str:
        return context.values[self.args[0]]


MODULES = {
    "launch": {"LaunchContext": LaunchContext, "LaunchDescription": LaunchDescription},
    "launch.launch_context": {"LaunchContext": LaunchContext},
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument,
        "IncludeLaunchDescription": IncludeLaunchDescription,
        "OpaqueFunction": OpaqueFunction,
        "SetEnvironmentVariable": SetEnvironmentVariable,
        "ExecuteProcess": ExecuteProcess,
        "Shutdown": Shutdown,
        "TimerAction": TimerAction,
    },
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": Recorded},
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
}


@contextmanager
def launch_stand_in() -> Iterator[None]:
    """Within it, ``import launch`` gives the stand-ins, also to what the launch files share."""
    names = (*MODULES, SHARED)
    before = {name: sys.modules.pop(name, None) for name in names}
    for name, members in MODULES.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def load(path: Path) -> Any:
    """A launch file as a module."""
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launched(name: str, /, **arguments: str) -> tuple[list[Any], LaunchContext]:
    """What a launch file starts, in its order, and the values of all arguments.

    As in launch, an included file sees the values of the one that includes it.
    """
    context = LaunchContext(dict(arguments))
    actions = list(_visit(_description(LAUNCH / name), context))
    unknown = set(arguments) - set(declared(name))
    assert not unknown, f"{name} and what it includes declare no {unknown}"
    return actions, context


def declared(name: str) -> dict[str, DeclareLaunchArgument]:
    """The arguments of a launch file and of the files that it includes."""
    found: dict[str, DeclareLaunchArgument] = {}
    for file in (LAUNCH / name, LAUNCH / "yolact.launch.py"):
        for entity in _description(file):
            if isinstance(entity, DeclareLaunchArgument):
                found.setdefault(entity.name, entity)
    return found


def _description(path: Path) -> list[Any]:
    entities: list[Any] = load(path).generate_launch_description().entities
    return entities


def _visit(entities: Iterable[Any], context: LaunchContext) -> Iterator[Any]:
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument):
            default = entity.kwargs["default_value"]
            assert default is not None or entity.name in context.values, (
                f"{entity.name} is missing"
            )
            context.values.setdefault(entity.name, default)
        elif isinstance(entity, IncludeLaunchDescription):
            for argument, value in entity.kwargs["launch_arguments"]:
                given = isinstance(value, LaunchConfiguration)
                context.values[argument] = value.perform(context) if given else value
            yield from _visit(_description(entity.path), context)
        elif isinstance(entity, OpaqueFunction):
            yield from _visit(entity.kwargs["function"](context), context)
        else:
            yield entity
