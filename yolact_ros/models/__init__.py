"""Networks: architecture, initialisation and checkpoints."""

from yolact_ros.models.imagenet import initialize_from_imagenet
from yolact_ros.models.yolact import Yolact, build_network

__all__ = ["Yolact", "build_network", "initialize_from_imagenet"]
