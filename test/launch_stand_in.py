"""Stand-ins for launch and launch_ros where they are not installed.

They keep what actions were made with, visit a launch file as launch does, and call the handlers
of processes that end. The same cases run with the real launch where it is
(``test/launch/real_launch.py``).
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LAUNCH = Path(__file__).parents[1] / "launch"
SHARED = ("yolact_ros.ros.launching.actions", "yolact_ros.ros.launching.arguments")


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


class ExecuteProcess(Recorded):
    @property
    def command(self) -> list[str]:
        return list(self.kwargs["cmd"])


class Node(ExecuteProcess):
    pass


class Shutdown(Recorded):
    @property
    def reason(self) -> str:
        return str(self.kwargs["reason"])


class ShutdownProcess(Recorded):
    pass


class EmitEvent(Recorded):
    def ends(self, process: ExecuteProcess) -> bool:
        """Whether it ends that process."""
        event = self.kwargs["event"]
        return isinstance(event, ShutdownProcess) and event.kwargs["process_matcher"](process)


class OnProcessExit(Recorded):
    pass


class RegisterEventHandler(Recorded):
    @property
    def handler(self) -> OnProcessExit:
        handler: OnProcessExit = self.args[0]
        return handler


def matches_action(process: ExecuteProcess) -> Callable[[ExecuteProcess], bool]:
    return lambda other: other is process


class LaunchContext:
    """Values of the launch arguments."""

    is_shutdown = False

    def __init__(self, values: dict[str, str]) -> None:
        self.launch_configurations = values
        self.argv = [f"{name}:={value}" for name, value in values.items()]


class LaunchConfiguration(Recorded):
    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self.args[0]]


MODULES = {
    "launch": {"LaunchContext": LaunchContext, "LaunchDescription": LaunchDescription},
    "launch.launch_context": {"LaunchContext": LaunchContext},
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument,
        "EmitEvent": EmitEvent,
        "ExecuteProcess": ExecuteProcess,
        "OpaqueFunction": OpaqueFunction,
        "RegisterEventHandler": RegisterEventHandler,
        "SetEnvironmentVariable": SetEnvironmentVariable,
        "Shutdown": Shutdown,
    },
    "launch.event_handlers": {"OnProcessExit": OnProcessExit},
    "launch.events": {"matches_action": matches_action},
    "launch.events.process": {"ShutdownProcess": ShutdownProcess},
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
}


@contextmanager
def launch_stand_in() -> Iterator[None]:
    """Within it, ``import launch`` gives the stand-ins, also to what the launch files share."""
    names = (*MODULES, *SHARED)
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
    """What a launch file starts, in its order, and the values of all arguments."""
    context = LaunchContext(dict(arguments))
    started: list[Any] = []
    try:
        for action in _visit(_description(LAUNCH / name), context):
            started.append(action)
    except Exception:
        # launch forgets what it has started when a later action raises.
        orphans = [action for action in started if isinstance(action, ExecuteProcess)]
        assert not orphans, f"processes go on without launch: {orphans}"
        raise
    unknown = set(arguments) - set(declared(name)) - {"ros_namespace"}
    assert not unknown, f"{name} declares no {unknown}"
    return started, context


def after_exit(
    process: ExecuteProcess, actions: Iterable[Any], context: LaunchContext, returncode: int
) -> list[Any]:
    """What launch does after a process has ended, by its own handler and those of others."""
    event = SimpleNamespace(returncode=returncode)
    handlers = [
        action.handler.kwargs["on_exit"]
        for action in actions
        if isinstance(action, RegisterEventHandler)
        and action.handler.kwargs["target_action"] is process
    ]
    handlers += [process.kwargs["on_exit"]] if "on_exit" in process.kwargs else []
    return [action for handler in handlers for action in handler(event, context)]


def declared(name: str) -> dict[str, DeclareLaunchArgument]:
    """The arguments of a launch file."""
    return {
        entity.name: entity
        for entity in _description(LAUNCH / name)
        if isinstance(entity, DeclareLaunchArgument)
    }


def _description(path: Path) -> list[Any]:
    entities: list[Any] = load(path).generate_launch_description().entities
    return entities


def _visit(entities: Iterable[Any], context: LaunchContext) -> Iterator[Any]:
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument):
            default = entity.kwargs["default_value"]
            assert default is not None or entity.name in context.launch_configurations, (
                f"{entity.name} is missing"
            )
            context.launch_configurations.setdefault(entity.name, default)
        elif isinstance(entity, OpaqueFunction):
            yield from _visit(entity.kwargs["function"](context), context)
        else:
            yield entity
