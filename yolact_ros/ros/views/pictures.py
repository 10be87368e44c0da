"""The views that are images: the overlay, raw and compressed, and the label image."""

from __future__ import annotations

import cv2
from sensor_msgs.msg import CompressedImage, Image

from yolact_ros.ros.conversions import to_compressed_image_message, to_image_message
from yolact_ros.ros.views.frame import ViewFrame
from yolact_ros.ros.views.view import View, stateless
from yolact_ros.visualization import label_image

__all__ = ["COMPRESSED_OVERLAY", "LABEL_IMAGE", "OVERLAY"]

JPEG_QUALITY = 85


def _overlay(frame: ViewFrame) -> Image:
    return to_image_message(frame.header, frame.overlay_bgr, "bgr8")


def _compressed_overlay(frame: ViewFrame) -> CompressedImage:
    _, file = cv2.imencode(".jpg", frame.overlay_bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    # The format string of image_transport, which rviz and rqt read.
    return to_compressed_image_message(frame.header, file, "bgr8; jpeg compressed bgr8")


def _label_image(frame: ViewFrame) -> Image:
    labels = label_image(frame.prediction)
    return to_image_message(frame.header, labels, "mono8" if labels.itemsize == 1 else "mono16")


OVERLAY = View("overlay", Image, stateless(_overlay))
COMPRESSED_OVERLAY = View("overlay/compressed", CompressedImage, stateless(_compressed_overlay))
LABEL_IMAGE = View("label_image", Image, stateless(_label_image))
