"""YOLACT instance segmentation for ROS 2 under a fixed frame budget.

from yolact_ros import Predictor, draw_overlay

predictor = Predictor.load("bundled")
prediction = predictor("photo.jpg")
prediction[0].mask, prediction[0].box_xyxy, prediction[0].class_name, prediction[0].score
"""

import importlib
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolact_ros.inference.predictor import Predictor
    from yolact_ros.inference.settings import PredictionSettings
    from yolact_ros.prediction import Instance, Prediction
    from yolact_ros.visualization import draw_overlay

__all__ = ["Instance", "Prediction", "PredictionSettings", "Predictor", "draw_overlay"]

# The generated interfaces are installed as yolact_ros.msg and yolact_ros.srv, on a colcon underlay
# possibly in another directory than these modules: search every yolact_ros directory on sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

# Imported when they are first used: launch files and readers of messages need no torch.
_MODULE_OF = {
    "Instance": "yolact_ros.prediction",
    "Prediction": "yolact_ros.prediction",
    "PredictionSettings": "yolact_ros.inference.settings",
    "Predictor": "yolact_ros.inference.predictor",
    "draw_overlay": "yolact_ros.visualization",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
