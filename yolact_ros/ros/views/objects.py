"""Where the objects of a frame are, as messages: our own, vision_msgs, points and markers."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from yolact_ros.depth import NoPlace, ObjectPlace
from yolact_ros.msg import Object3D, Object3DArray
from yolact_ros.ros.camera_info import CameraInfoListener
from yolact_ros.ros.conversions import to_header_message
from yolact_ros.ros.views.detections import VISION_MSGS_INSTALLED
from yolact_ros.ros.views.markers import MarkerHistory
from yolact_ros.ros.views.view import View, ViewFrame, stateless
from yolact_ros.visualization import caption, colors_of

if VISION_MSGS_INSTALLED:
    from vision_msgs.msg import (
        BoundingBox3D,
        Detection3D,
        Detection3DArray,
        ObjectHypothesisWithPose,
    )

__all__ = [
    "OBJECT_NAMESPACES",
    "OBJECT_VIEWS",
    "POINTS",
    "LocatedFrame",
    "to_object_array",
    "to_point_cloud",
]

BOXES, LABELS, VELOCITIES = OBJECT_NAMESPACES = ("boxes_3d", "labels_3d", "velocities")
LIFETIME_S = 1
LINE_M = 0.01
LETTER_M = 0.1
ARROW_M = (0.03, 0.06, 0.1)  # shaft, head's diameter and length
LEAST_SPEED_M_S = 0.05  # an arrow that is shorter shows noise
NS_PER_S = 1_000_000_000
# Corners of a box of two metres, as signs of its axes, and the pairs of them that its edges join.
CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
EDGES = [
    (first, second)
    for first in range(8)
    for second in range(first)
    if np.abs(CORNERS[first] - CORNERS[second]).sum() == 2
]
POINT_FIELDS = (("x", PointField.FLOAT32), ("y", PointField.FLOAT32), ("z", PointField.FLOAT32))
POINT_TYPE = np.dtype([("xyz", np.float32, 3), ("instance", np.uint32)])


@dataclass(frozen=True, eq=False)
class LocatedFrame:
    """A processed frame with the places of its objects.

    Attributes:
        velocities (float64[3] each): metres a second in ``velocity_frame``; None where not known.
        depth_stamp_ns: of the depth image, 0 where there was none.
        velocity_frame: the fixed frame; empty where tf does not lead to it.
        to_fixed (float64[3, 3] | None): rotation from the camera's frame to that one.
    """

    view: ViewFrame
    places: Sequence[ObjectPlace | NoPlace]
    velocities: Sequence[NDArray[np.float64] | None]
    depth_stamp_ns: int = 0
    velocity_frame: str = ""
    to_fixed: NDArray[np.float64] | None = None

    def track_id(self, index: int) -> int:
        """Of an instance; 0 where it is not tracked."""
        ids = self.view.prediction.track_ids
        return int(ids[index]) if len(ids) else 0


def to_object_array(frame: LocatedFrame) -> Object3DArray:
    """Every instance with its place, or the reason why it has none."""
    return Object3DArray(
        header=to_header_message(frame.view.header),
        objects=[_object(frame, index) for index in range(len(frame.places))],
        depth_stamp=Time(
            sec=frame.depth_stamp_ns // NS_PER_S, nanosec=frame.depth_stamp_ns % NS_PER_S
        ),
        box_upright=frame.to_fixed is not None,
        velocity_frame=frame.velocity_frame,
    )


def _object(frame: LocatedFrame, index: int) -> Object3D:
    prediction, place = frame.view.prediction, frame.places[index]
    message = Object3D(
        class_id=int(prediction.class_ids[index]),
        class_name=prediction.class_name(index),
        score=float(prediction.scores[index]),
        track_id=frame.track_id(index),
    )
    if isinstance(place, NoPlace):
        message.reason = place.reason
        return message
    message.located = True
    message.centroid = _point(place.centroid_m)
    message.box_pose = _box_pose(place)
    message.box_size = _vector(place.box_size_m)
    message.distance = float(place.distance_m)
    message.spread = float(place.spread_m)
    message.num_points = place.num_points
    velocity = frame.velocities[index]
    if velocity is not None:
        message.velocity_known = True
        message.velocity = _vector(velocity)
    return message


def _detections_3d(frame: LocatedFrame) -> Detection3DArray:
    """The boxes of the objects that have a place."""
    header = to_header_message(frame.view.header)
    prediction = frame.view.prediction
    detections = []
    for index, place in enumerate(frame.places):
        if isinstance(place, NoPlace):
            continue
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id = str(int(prediction.class_ids[index]))
        result.hypothesis.score = float(prediction.scores[index])
        result.pose.pose = _box_pose(place)
        box = BoundingBox3D(center=_box_pose(place), size=_vector(place.box_size_m))
        track_id = frame.track_id(index)
        name = str(track_id) if track_id else ""
        detections.append(Detection3D(header=header, results=[result], bbox=box, id=name))
    return Detection3DArray(header=header, detections=detections)


def to_point_cloud(frame: LocatedFrame) -> PointCloud2:
    """The points of all objects; the field ``instance`` is the index in the instances."""
    parts = []
    for index, place in enumerate(frame.places):
        if isinstance(place, ObjectPlace) and place.points_m is not None:
            part = np.empty(len(place.points_m), POINT_TYPE)
            part["xyz"], part["instance"] = place.points_m, index
            parts.append(part)
    points = np.concatenate(parts) if parts else np.empty(0, POINT_TYPE)
    fields = (*POINT_FIELDS, ("instance", PointField.UINT32))
    return PointCloud2(
        header=to_header_message(frame.view.header),
        height=1,
        width=len(points),
        fields=[
            PointField(name=name, offset=4 * place, datatype=kind, count=1)
            for place, (name, kind) in enumerate(fields)
        ],
        is_bigendian=False,
        point_step=POINT_TYPE.itemsize,
        row_step=points.nbytes,
        data=array("B", points.tobytes()),
        is_dense=True,
    )


class ObjectMarkers:
    """Makes the 3D markers of one camera: boxes, id and distance, and where objects go."""

    def __init__(self, _camera_info: CameraInfoListener) -> None:
        self._history = MarkerHistory()

    def __call__(self, frame: LocatedFrame) -> MarkerArray:
        """The markers of one frame; the id is the index in the instances."""
        header = to_header_message(frame.view.header)
        view = frame.view
        colors = colors_of(view.prediction, view.palette, view.color_by)
        markers = []
        for index, place in enumerate(frame.places):
            if isinstance(place, NoPlace):
                continue
            for marker in _markers(frame, index, place):
                blue, green, red = (value / 255 for value in colors[index])
                marker.header, marker.id = header, index
                marker.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
                marker.lifetime = Duration(sec=LIFETIME_S)
                markers.append(marker)
        return self._history.complete(markers, header)


def _markers(frame: LocatedFrame, index: int, place: ObjectPlace) -> list[Marker]:
    half = place.box_size_m / 2
    corners = place.box_center_m + (CORNERS * half) @ place.box_rotation.T
    points = [_point(corner) for corner in corners]
    box = Marker(ns=BOXES, type=Marker.LINE_LIST, action=Marker.ADD)
    box.scale.x = LINE_M
    box.points = [points[end] for edge in EDGES for end in edge]
    label = Marker(ns=LABELS, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
    label.scale.z = LETTER_M
    label.text = f"{caption(frame.view.prediction, index)} {place.distance_m:.2f} m"
    # Above the box, as the camera sees it: y points down.
    label.pose.position = _point(
        np.array([place.box_center_m[0], corners[:, 1].min() - LETTER_M, place.box_center_m[2]])
    )
    markers = [box, label]
    velocity = frame.velocities[index]
    if velocity is not None and frame.to_fixed is not None:
        seen = frame.to_fixed.T @ velocity
        if np.linalg.norm(seen) >= LEAST_SPEED_M_S:
            arrow = Marker(ns=VELOCITIES, type=Marker.ARROW, action=Marker.ADD)
            arrow.scale = Vector3(**dict(zip("xyz", ARROW_M, strict=True)))
            # As long as the way of a second.
            arrow.points = [_point(place.centroid_m), _point(place.centroid_m + seen)]
            markers.append(arrow)
    for marker in markers:
        marker.pose.orientation.w = 1.0
    return markers


def _box_pose(place: ObjectPlace) -> Pose:
    x, y, z, w = _quaternion(place.box_rotation)
    return Pose(position=_point(place.box_center_m), orientation=Quaternion(x=x, y=y, z=z, w=w))


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation matrix (Markley 2008: the largest of four rows is exact)."""
    r, trace = rotation, float(np.trace(rotation))
    rows = np.array(
        [
            [1 + 2 * r[0, 0] - trace, r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], 1 + 2 * r[1, 1] - trace, r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], 1 + 2 * r[2, 2] - trace, r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1 + trace],
        ]
    )
    row = rows[int(np.argmax(np.linalg.norm(rows, axis=1)))]
    x, y, z, w = (row / np.linalg.norm(row)).tolist()
    return x, y, z, w


def _point(values: NDArray[np.floating]) -> Point:
    x, y, z = (float(value) for value in values)
    return Point(x=x, y=y, z=z)


def _vector(values: NDArray[np.floating]) -> Vector3:
    x, y, z = (float(value) for value in values)
    return Vector3(x=x, y=y, z=z)


POINTS = View("points", PointCloud2, stateless(to_point_cloud), uses_camera_info=True)
DETECTIONS_3D = (
    (View("detections_3d", Detection3DArray, stateless(_detections_3d), uses_camera_info=True),)
    if VISION_MSGS_INSTALLED
    else ()
)
OBJECT_VIEWS: tuple[View, ...] = (
    View("objects", Object3DArray, stateless(to_object_array), uses_camera_info=True),
    *DETECTIONS_3D,
    POINTS,
    View("object_markers", MarkerArray, ObjectMarkers, uses_camera_info=True),
)
