"""The environment variables of a ready checkout."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from devtool.layout import Layout
from devtool.ros import RosSource

__all__ = ["base_environment", "build_environment", "ready_environment"]


def _prepend(env: dict[str, str], name: str, paths: Iterable[object]) -> None:
    """Put `paths` first in a path list, once each."""
    old = [entry for entry in env.get(name, "").split(os.pathsep) if entry]
    entries = dict.fromkeys([str(path) for path in paths] + old)
    env[name] = os.pathsep.join(entries)


def base_environment(layout: Layout, ros: RosSource, environ: Mapping[str, str]) -> dict[str, str]:
    """For programs of the environment that need no ROS: pip and the linters.

    A PYTHONPATH from outside is dropped: pip would count what lies there as installed.
    """
    env = dict(environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__"):
        env.pop(name, None)
    env["VIRTUAL_ENV"] = str(layout.venv)
    _prepend(env, "PATH", [layout.venv / "bin"])
    if not ros.sourced:
        # The wheels' start-up hook would otherwise run every Python program twice.
        env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
    return env


def build_environment(
    layout: Layout, ros: RosSource, environ: Mapping[str, str]
) -> dict[str, str]:
    """For colcon: the environment with ROS, without our own package."""
    env = base_environment(layout, ros, environ)
    if ros.sourced:
        if "PYTHONPATH" in environ:
            env["PYTHONPATH"] = environ["PYTHONPATH"]
        return env
    _prepend(env, "AMENT_PREFIX_PATH", [layout.venv])
    _prepend(env, "CMAKE_PREFIX_PATH", [layout.venv])
    bundled = sorted(layout.venv.glob("lib/python3*/site-packages/ros_*.libs"))
    _prepend(env, "LD_LIBRARY_PATH", [layout.venv / "lib", *bundled])
    # The wheels hold this middleware only.
    env["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    return env


def ready_environment(
    layout: Layout, ros: RosSource, environ: Mapping[str, str]
) -> dict[str, str]:
    """For everything that uses our package.

    The checkout stands before the colcon install on PYTHONPATH, so that edited modules count
    without a build; the messages are found in the install through the package's __path__.
    """
    env = build_environment(layout, ros, environ)
    _prepend(env, "AMENT_PREFIX_PATH", [layout.install])
    _prepend(env, "CMAKE_PREFIX_PATH", [layout.install])
    _prepend(env, "LD_LIBRARY_PATH", [layout.install / "lib"])
    _prepend(env, "PYTHONPATH", [layout.root, *layout.installed_python()])
    _prepend(env, "PATH", [layout.venv / "bin", layout.root / "scripts"])
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    if not any(environ.get(name) for name in names):
        profile = str(layout.root / "config" / "fastdds.xml")
        # Newer ones warn of the variable that Jazzy reads.
        env[names[ros.distro != "jazzy"]] = profile
    return env
