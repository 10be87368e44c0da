"""Networks: architecture, initialisation and checkpoints."""

from yolact_ros.models.build import build_network
from yolact_ros.models.imagenet import initialize_from_imagenet
from yolact_ros.models.yolact import Yolact

__all__ = ["Yolact", "build_network", "initialize_from_imagenet"]
