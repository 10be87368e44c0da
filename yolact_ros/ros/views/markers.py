"""The instances as markers for rviz's 3D view.

An image has no depth, so the markers lie on a plane one metre in front of the camera, in the
frame of the image, which by convention looks along z with x to the right and y down. Each pixel is
where its ray meets the plane: seen from the camera's origin the markers cover what they mark, and
beside a point cloud they show the direction. The rays are those of the sibling camera_info; until
one comes the image is taken to be one metre wide on that plane (see CameraModel.assumed).
"""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from yolact_ros.depth import CameraModel
from yolact_ros.ops.outlines import mask_rings, trapezoids
from yolact_ros.ros.camera_info import CameraInfoListener
from yolact_ros.ros.conversions import to_header_message
from yolact_ros.ros.views.view import View, ViewFrame
from yolact_ros.visualization import caption, colors_of

__all__ = ["BOXES", "MARKERS", "MASKS", "NAMESPACES", "MarkerHistory", "MarkerRenderer"]

MASKS, OUTLINES, BOXES, LABELS, TRAILS = NAMESPACES = (
    "masks",
    "outlines",
    "boxes",
    "labels",
    "trails",
)
PLANE_M = 1.0
# Lower scores lie farther away, so that they do not fight for the same pixels of the screen; of
# one instance the outline lies before the mask, and the label before all.
STEP_M = 1e-3
OUTLINE_STEPS, BOX_STEPS, LABEL_STEPS = -0.3, -0.5, -0.7
# The instances of a camera that has gone disappear after this.
LIFETIME_S = 1
MASK_ALPHA = 0.45
# Sizes in pixels of an image whose shorter side has 480; they grow with it, as in the overlay.
REFERENCE_SIDE_PX = 480
TOLERANCE_PX = 1.5
OUTLINE_PX = 2.5
BOX_PX = 1.2
LETTER_PX = 22.0
LABEL_GAP_PX = 6.0
HALF_PX = 0.5


class MarkerHistory:
    """What the last frame of a camera showed, so that what is gone can be deleted."""

    def __init__(self) -> None:
        self._shown: frozenset[tuple[str, int]] = frozenset()

    def complete(self, markers: list[Marker], header: Header) -> MarkerArray:
        """The markers of a frame, and the deletion of those that only the last one had."""
        shown = frozenset((marker.ns, marker.id) for marker in markers)
        gone = [
            Marker(header=header, ns=namespace, id=index, action=Marker.DELETE)
            for namespace, index in sorted(self._shown - shown)
        ]
        self._shown = shown
        return MarkerArray(markers=[*markers, *gone])


class MarkerRenderer:
    """Makes the markers of one camera; those that only the last frame had are deleted."""

    def __init__(self, camera_info: CameraInfoListener) -> None:
        self._camera_info = camera_info
        self._history = MarkerHistory()

    def __call__(self, frame: ViewFrame) -> MarkerArray:
        """The markers of one frame; the id is the index in the instances."""
        prediction = frame.prediction
        size_px = (prediction.image_width_px, prediction.image_height_px)
        pen = _Pen(frame, self._camera_info.model_or_assumed(*size_px))
        markers: list[Marker] = []
        for index in range(len(prediction)):
            markers += pen.draw(index)
        return self._history.complete(markers, pen.header)


class _Pen:
    """Draws the instances of one frame."""

    def __init__(self, frame: ViewFrame, camera: CameraModel) -> None:
        self.header: Header = to_header_message(frame.header)
        self._frame = frame
        self._camera = camera
        prediction = frame.prediction
        self._scale = (
            min(prediction.image_width_px, prediction.image_height_px) / REFERENCE_SIDE_PX
        )
        self._metres_a_px = self._scale * PLANE_M / camera.fx
        self._colors = colors_of(prediction, frame.palette, frame.color_by)

    def draw(self, index: int) -> list[Marker]:
        """The markers of one instance."""
        prediction = self._frame.prediction
        tolerance_px = TOLERANCE_PX * self._scale
        crops = prediction.mask_crops
        rings = mask_rings(crops[index], tolerance_px) if crops else []
        drawn = [self._mask(index, rings), self._outline(index, rings)] if rings else []
        return [*drawn, *self._trail(index), self._box(index), self._label(index)]

    def _mask(self, index: int, rings: list[NDArray[np.float64]]) -> Marker:
        marker = self._marker(MASKS, index, Marker.TRIANGLE_LIST, MASK_ALPHA)
        marker.scale = Vector3(x=1.0, y=1.0, z=1.0)
        marker.points = _triangles(self._points(trapezoids(rings).reshape(-1, 2), index))
        return marker

    def _outline(self, index: int, rings: list[NDArray[np.float64]]) -> Marker:
        marker = self._marker(OUTLINES, index, Marker.LINE_LIST)
        marker.scale.x = OUTLINE_PX * self._metres_a_px
        points = self._points(np.concatenate(rings), index + OUTLINE_STEPS)
        marker.points = _sides(points, [len(ring) for ring in rings])
        return marker

    def _box(self, index: int) -> Marker:
        left, top, right, bottom = self._edges_px(index)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        marker = self._marker(BOXES, index, Marker.LINE_STRIP)
        marker.scale.x = BOX_PX * self._metres_a_px
        marker.points = self._points(np.array(corners), index + BOX_STEPS)
        return marker

    def _trail(self, index: int) -> list[Marker]:
        """The way that the object came, if it is tracked and moved."""
        track_ids = self._frame.prediction.track_ids
        points_px = self._frame.trails.get(int(track_ids[index])) if len(track_ids) else None
        if points_px is None or len(points_px) < 2:
            return []
        marker = self._marker(TRAILS, index, Marker.LINE_STRIP)
        marker.scale.x = OUTLINE_PX * self._metres_a_px
        marker.points = self._points(points_px.astype(np.float64) - HALF_PX, index + BOX_STEPS)
        return [marker]

    def _label(self, index: int) -> Marker:
        left, top, right, _ = self._edges_px(index)
        marker = self._marker(LABELS, index, Marker.TEXT_VIEW_FACING)
        marker.text = caption(self._frame.prediction, index)
        marker.scale.z = LETTER_PX * self._metres_a_px
        # rviz centres the text at its position.
        above = top - (LABEL_GAP_PX + LETTER_PX / 2) * self._scale
        (marker.pose.position,) = self._points(
            np.array([((left + right) / 2, above)]), index + LABEL_STEPS
        )
        return marker

    def _edges_px(self, index: int) -> list[float]:
        """Left, top, right and bottom edge; the centre of the first pixel is at 0."""
        edges: list[float] = self._frame.prediction.boxes_xyxy[index].tolist()
        return [edge - HALF_PX for edge in edges]

    def _marker(self, namespace: str, index: int, kind: int, alpha: float = 1.0) -> Marker:
        blue, green, red = (value / 255 for value in self._colors[index])
        marker = Marker(
            header=self.header,
            ns=namespace,
            id=index,
            type=kind,
            action=Marker.ADD,
            color=ColorRGBA(r=red, g=green, b=blue, a=alpha),
            lifetime=Duration(sec=LIFETIME_S),
        )
        marker.pose.orientation.w = 1.0
        return marker

    def _points(self, points_px: NDArray[np.float64], steps: float) -> list[Point]:
        """Points so many steps behind the plane, in metres."""
        distance_m = PLANE_M + steps * STEP_M
        rays_m = self._camera.rays(points_px) * distance_m
        return [Point(x=x, y=y, z=distance_m) for x, y in rays_m.tolist()]


def _triangles(corners: list[Point]) -> list[Point]:
    """Two triangles for every four corners of a trapezoid; both share the same point objects."""
    points: list[Point] = []
    for index in range(0, len(corners), 4):
        top_left, top_right, bottom_left, bottom_right = corners[index : index + 4]
        points += (top_left, bottom_left, top_right, top_right, bottom_left, bottom_right)
    return points


def _sides(points: list[Point], ring_lengths: list[int]) -> list[Point]:
    """Both ends of every side of the rings."""
    ends: list[Point] = []
    begin = 0
    for length in ring_lengths:
        ring = points[begin : begin + length]
        for index, point in enumerate(ring):
            ends += (ring[index - 1], point)
        begin += length
    return ends


MARKERS = View("markers", MarkerArray, MarkerRenderer, uses_camera_info=True)
