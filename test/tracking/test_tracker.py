"""Objects keep their ids, in the time of the stamps and not in frames."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from track_worlds import Detector, Scene, Thing, away, draw, going, times

from yolact_ros.errors import ConfigError
from yolact_ros.tracking import TRACKERS, Tracker, TrackerName, TrackerSettings
from yolact_ros.tracking.association import pairwise_box_iou
from yolact_ros.tracking.motion import correct, initial_state, predict

SIZE_PX = (480, 640)
SCORE_THRESHOLD = 0.3
EVERY = (False,)
EVERY_THIRD_DROPPED = (False, False, True)
CAMERAS = [
    pytest.param(30, EVERY, id="30 Hz"),
    pytest.param(30, EVERY_THIRD_DROPPED, id="30 Hz, every third dropped"),
    pytest.param(10, EVERY, id="10 Hz"),
    pytest.param(10, EVERY_THIRD_DROPPED, id="10 Hz, every third dropped"),
]
CROSSING = Scene([Thing(going((60, 200), (130, 10))), Thing(going((580, 260), (-130, 0)))])
BEHIND_A_WALL = Scene([Thing(going((60, 240), (150, 0)))], walls=[(250, 340)])
GONE_FOR_A_MOMENT = Scene(
    [Thing(away(going((100, 240), (60, 0)), 1.5, 2.1)), Thing(going((500, 200), (0, 20)))]
)
SHAKEN_CAMERA = Scene(
    [Thing(going((120, 240), (20, 0))), Thing(going((320, 240), (20, 0)))],
    seconds=3.0,
    camera=lambda time_s: (90 * np.sin(2 * np.pi * time_s), 0),
)


def ids_of(
    scene: Scene,
    tracker: Tracker,
    stamps: Sequence[float],
    *,
    images: bool = False,
    detector: Detector | None = None,
) -> dict[int, list[int]]:
    """The ids that each thing had one after the other, without repetitions."""
    given: dict[int, list[int]] = {}
    for view, boxes, scores, class_ids in (detector or Detector()).views(scene, stamps):
        reported = int((scores > SCORE_THRESHOLD).sum())
        tracks = tracker.update(
            boxes,
            class_ids,
            1.7e9 + view.time_s,
            image_size_px=SIZE_PX,
            num_reported=reported,
            image_bgr=draw(scene, view.time_s) if images else None,
        )
        overlaps = pairwise_box_iou(view.boxes_xyxy.astype(float), boxes.astype(float))
        for thing, row in zip(view.ids.tolist(), overlaps[:, :reported], strict=True):
            if row.size and row.max() > 0.5:
                ids = given.setdefault(thing, [])
                found = int(tracks.ids[row.argmax()])
                if not ids or ids[-1] != found:
                    ids.append(found)
    return given


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize(("rate_hz", "drop"), CAMERAS)
@pytest.mark.parametrize("scene", [CROSSING, GONE_FOR_A_MOMENT], ids=["crossing", "gone"])
def test_two_objects_keep_their_ids_at_any_frame_rate(
    name: TrackerName, rate_hz: float, drop: Sequence[bool], scene: Scene
) -> None:
    tracker = Tracker(TrackerSettings(name))

    assert ids_of(scene, tracker, times(4, rate_hz, drop)) == {1: [1], 2: [2]}


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize(("rate_hz", "drop"), CAMERAS)
def test_an_object_that_goes_behind_a_wall_comes_out_with_its_id(
    name: TrackerName, rate_hz: float, drop: Sequence[bool]
) -> None:
    tracker = Tracker(TrackerSettings(name))

    assert ids_of(BEHIND_A_WALL, tracker, times(3.5, rate_hz, drop)) == {1: [1]}


@pytest.mark.parametrize(("rate_hz", "drop"), CAMERAS)
def test_botsort_follows_objects_under_a_shaken_camera(
    rate_hz: float, drop: Sequence[bool]
) -> None:
    stamps = times(3, rate_hz, drop)

    seen = ids_of(SHAKEN_CAMERA, Tracker(TrackerSettings("botsort")), stamps, images=True)

    assert seen == {1: [1], 2: [2]}


def test_without_the_motion_of_the_camera_shaken_objects_lose_their_ids_at_10_hz() -> None:
    seen = ids_of(SHAKEN_CAMERA, Tracker(TrackerSettings("bytetrack")), times(3, 10))

    assert seen != {1: [1], 2: [2]}


@pytest.mark.parametrize("rate_hz", [10, 30])
@pytest.mark.parametrize(("buffer_ms", "ids"), [(1300, {1: [1]}), (700, {1: [1, 0, 2]})])
def test_the_buffer_is_time_not_frames(
    rate_hz: float, buffer_ms: float, ids: dict[int, list[int]]
) -> None:
    scene = Scene([Thing(away(going((300, 240), (10, 0)), 1.0, 2.0))])
    tracker = Tracker(TrackerSettings("bytetrack", buffer_ms))

    assert ids_of(scene, tracker, times(3, rate_hz)) == ids


def test_a_detection_below_the_threshold_keeps_an_object_and_begins_none() -> None:
    tracker = Tracker(TrackerSettings("bytetrack"))
    box, other = [100.0, 100, 160, 220], [400.0, 100, 460, 220]

    seen = [
        tracker.update(
            np.array(boxes), np.zeros(len(boxes), np.int64), time_s,
            image_size_px=SIZE_PX, num_reported=reported,
        ).ids.tolist()
        for time_s, boxes, reported in (
            (0.0, [box], 1),
            (0.6, [box, other], 0),  # both below the threshold
            (1.2, [box, other], 0),
            (1.8, [box, other], 1),
        )
    ]  # fmt: skip

    # Without the low scores it would be gone at 1.8 s: the buffer is one second.
    assert seen == [[1], [1, 0], [1, 0], [1, 0]]


def test_ocsort_does_not_look_at_detections_below_the_threshold() -> None:
    tracker = Tracker(TrackerSettings("ocsort"))
    box = np.array([[100.0, 100, 160, 220]])
    none = np.zeros(1, np.int64)

    tracker.update(box, none, 0.0, image_size_px=SIZE_PX)
    low = tracker.update(box, none, 0.1, image_size_px=SIZE_PX, num_reported=0)

    assert low.ids.tolist() == [0]


def test_an_object_of_the_first_image_has_an_id_and_a_later_one_when_it_is_found_twice() -> None:
    tracker = Tracker(TrackerSettings())
    first, second = [100.0, 100, 160, 220], [400.0, 100, 460, 220]

    seen = [
        tracker.update(
            np.array(boxes), np.zeros(len(boxes), np.int64), time_s, image_size_px=SIZE_PX
        )
        for time_s, boxes in ((0.0, [first]), (0.1, [first, second]), (0.2, [second, first]))
    ]

    assert [tracks.ids.tolist() for tracks in seen] == [[1], [1, 0], [2, 1]]
    assert [tracks.ages.tolist() for tracks in seen] == [[1], [2, 0], [2, 3]]


def test_what_is_found_once_and_not_in_the_next_image_is_no_object() -> None:
    tracker = Tracker(TrackerSettings())
    there, nothing = np.array([[100.0, 100, 160, 220]]), np.zeros((0, 4))

    seen = [
        tracker.update(
            boxes, np.zeros(len(boxes), np.int64), time_s, image_size_px=SIZE_PX
        ).ids.tolist()
        for time_s, boxes in ((0.0, nothing), (0.1, there), (0.2, nothing), (0.3, there))
    ]

    assert seen == [[], [0], [], [0]]


@pytest.mark.parametrize(
    ("time_s", "size_px"),
    [
        pytest.param(4.9, SIZE_PX, id="a stamp that runs backwards"),
        pytest.param(5.1, (240, 320), id="another image size"),
        pytest.param(6.1, SIZE_PX, id="a pause longer than the buffer"),
    ],
)
def test_all_is_forgotten_and_no_id_comes_again(time_s: float, size_px: tuple[int, int]) -> None:
    tracker = Tracker(TrackerSettings())
    box, classes = np.array([[100.0, 100, 160, 220]]), np.zeros(1, np.int64)

    before = tracker.update(box, classes, 5.0, image_size_px=SIZE_PX)
    after = tracker.update(box, classes, time_s, image_size_px=size_px)

    assert before.ids.tolist() == [1]
    assert after.ids.tolist() == [2]


def test_the_same_stamp_again_is_no_step_back() -> None:
    tracker = Tracker(TrackerSettings())
    box, classes = np.array([[100.0, 100, 160, 220]]), np.zeros(1, np.int64)

    seen = [tracker.update(box, classes, 5.0, image_size_px=SIZE_PX).ids[0] for _ in range(3)]

    assert seen == [1, 1, 1]


def test_trackers_that_share_their_ids_use_none_twice() -> None:
    ids = itertools.count(1)
    box, classes = np.array([[100.0, 100, 160, 220]]), np.zeros(1, np.int64)

    seen = [
        Tracker(TrackerSettings(), ids).update(box, classes, 0.0, image_size_px=SIZE_PX).ids[0]
        for _ in range(3)
    ]

    assert seen == [1, 2, 3]


def test_of_two_detections_in_one_place_the_object_takes_the_one_of_its_class() -> None:
    tracker = Tracker(TrackerSettings())
    cup, bowl = 41, 45
    place = [100.0, 100, 160, 160]

    tracker.update(np.array([place]), np.array([cup]), 0.0, image_size_px=SIZE_PX)
    both = tracker.update(
        np.array([place, [102.0, 100, 162, 160]]),
        np.array([bowl, cup]),
        0.1,
        image_size_px=SIZE_PX,
    )
    alone = tracker.update(np.array([place]), np.array([bowl]), 0.2, image_size_px=SIZE_PX)

    assert both.ids.tolist() == [0, 1]
    assert alone.ids[0] != 0  # a class that changes does not end an object


def test_empty_images_cost_nobody_an_id() -> None:
    tracker = Tracker(TrackerSettings())
    nothing, no_class = np.zeros((0, 4)), np.zeros(0, np.int64)
    box, classes = np.array([[100.0, 100, 160, 220]]), np.zeros(1, np.int64)

    tracker.update(nothing, no_class, 0.0, image_size_px=SIZE_PX)
    seen = [
        tracker.update(boxes, class_ids, time_s, image_size_px=SIZE_PX).ids.tolist()
        for time_s, boxes, class_ids in (
            (0.1, box, classes),
            (0.2, box, classes),
            (0.3, nothing, no_class),
            (0.4, box, classes),
        )
    ]

    assert seen == [[0], [1], [], [1]]


@pytest.mark.parametrize("name", TRACKERS)
def test_the_same_images_give_the_same_ids(name: TrackerName) -> None:
    detector = Detector(jitter=0.05, miss=0.2, false_alarms=1.0)

    runs = [
        ids_of(CROSSING, Tracker(TrackerSettings(name)), times(4, 10), detector=detector)
        for _ in range(2)
    ]

    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "sort"}, "tracker is 'sort', expected one of bytetrack, ocsort, botsort"),
        ({"buffer_ms": -1.0}, "track_buffer_ms is -1.0"),
        ({"buffer_ms": float("nan")}, "track_buffer_ms is nan"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrackerSettings(**values)  # type: ignore[arg-type]


def test_images_that_come_too_far_apart_are_counted_until_one_is_in_time() -> None:
    tracker = Tracker(TrackerSettings(buffer_ms=500))
    box, classes = np.array([[100.0, 100, 160, 220]]), np.zeros(1, np.int64)

    pauses = []
    for time_s in (0.0, 1.0, 2.0, 2.1, 2.0):
        tracker.update(box, classes, time_s, image_size_px=SIZE_PX)
        pauses.append(tracker.pauses)

    assert pauses == [0, 1, 2, 0, 0]


def square(x: float) -> np.ndarray:
    return np.array([[x - 20, 100.0, x + 20, 140.0]])


def seen_at(tracker: Tracker, time_s: float, *middles: float) -> list[int]:
    boxes = np.concatenate([square(x) for x in middles]) if middles else np.zeros((0, 4))
    classes = np.zeros(len(boxes), np.int64)
    return tracker.update(boxes, classes, time_s, image_size_px=SIZE_PX).ids.tolist()


def moving_right(name: TrackerName) -> Tracker:
    """It has followed an object that goes right at 100 pixels a second and is at 200 at 1 s."""
    tracker = Tracker(TrackerSettings(name, 3000))
    for step in range(11):
        seen_at(tracker, step / 10, 100 + 10 * step)
    return tracker


def test_ocsort_finds_an_object_again_where_it_was_seen_last() -> None:
    found = {}
    for name in ("ocsort", "bytetrack"):
        tracker = moving_right(name)  # type: ignore[arg-type]
        for step in range(11, 17):
            seen_at(tracker, step / 10)
        found[name] = seen_at(tracker, 1.7, 200)

    # It stopped while it was hidden; the prediction went on to 270.
    assert found == {"ocsort": [1], "bytetrack": [0]}


def test_ocsort_prefers_what_lies_in_the_direction_of_the_motion() -> None:
    found = {name: seen_at(moving_right(name), 1.1, 222, 199) for name in TRACKERS}

    # 210 is expected: the second is nearer, and behind where the object was.
    assert found["ocsort"] == [1, 0]
    assert found["bytetrack"] == [0, 1]


def test_an_object_that_ocsort_finds_again_is_as_if_it_had_gone_straight() -> None:
    tracker = Tracker(TrackerSettings("ocsort", 3000))
    seen_at(tracker, 0.0, 200)
    for time_s in (0.1, 0.2):
        seen_at(tracker, time_s)
    seen_at(tracker, 0.3, 215)

    expected = initial_state(square(200))
    for step in (1, 2, 3):
        expected = correct(predict(expected, 0.1), square(200 + 5 * step))
    np.testing.assert_allclose(tracker._objects.motion.centers, expected.centers)
    np.testing.assert_allclose(tracker._objects.motion.velocities, expected.velocities)
