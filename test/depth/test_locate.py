"""Places of objects against scenes with known geometry."""

from __future__ import annotations

import numpy as np
import pytest
from depth_scenes import (
    CAMERA,
    PERFECT,
    Ball,
    Box,
    Sensor,
    Thing,
    crop,
    look,
    mask_of,
    motorcycle,
    turn,
    visible_points,
)

from yolact_ros.depth import (
    CameraModel,
    DepthSettings,
    NoPlace,
    ObjectPlace,
    Place,
    depth_in_metres,
    locate_objects,
)
from yolact_ros.depth.layers import find_layer, sides_of_jumps, to_metres, to_steps
from yolact_ros.errors import ConfigError, DepthError

SETTINGS = DepthSettings()
WALL = Box((0.0, 0.0, 12.0), (60.0, 60.0, 0.0))


def place_of(thing: Thing, sensor: Sensor = PERFECT, **options: object) -> ObjectPlace:
    things = [thing, WALL]
    view = look(things, CAMERA)
    depth_m = sensor(view.depth_m, CAMERA)
    (place,) = locate_objects([crop(mask_of(view, 0))], depth_m, CAMERA, SETTINGS, **options)
    assert isinstance(place, ObjectPlace), place
    return place


def truth(thing: Thing) -> tuple[float, np.ndarray, np.ndarray]:
    """Distance, middle and sides of the box of the visible surface."""
    points = visible_points([thing, WALL], 0, CAMERA)
    low, high = points.min(0), points.max(0)
    return float(np.median(np.linalg.norm(points, axis=1))), (low + high) / 2, high - low


THINGS = {
    f"{kind} at {z:g} m": thing
    for z in (0.3, 1.0, 4.0, 8.0)
    for kind, thing in {
        "a plate": Box((0.2 * z, -0.1 * z, z), (0.15 * z, 0.1 * z, 0)),
        "a turned plate": Box((-0.2 * z, 0.1 * z, z), (0.15 * z, 0.1 * z, 0), turn(40)),
        "a ball": Ball((0.1 * z, 0.0, z), 0.08 * z),
    }.items()
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_exact_depth_gives_the_exact_place(thing: Thing) -> None:
    place, (distance, middle, sides) = place_of(thing), truth(thing)
    assert place.distance_m == pytest.approx(distance, rel=0.005)
    np.testing.assert_allclose(place.box_size_m[:2], sides[:2], rtol=0.03)
    np.testing.assert_allclose(place.box_center_m[:2], middle[:2], atol=0.02 * sides.max())
    np.testing.assert_array_equal(place.box_rotation, np.eye(3))
    if isinstance(thing, Box):
        assert place.box_size_m[2] == pytest.approx(sides[2], abs=0.02 * sides.max())


@pytest.mark.parametrize("thing", [t for n, t in THINGS.items() if " 8 m" not in n])
def test_a_stereo_camera_with_holes_and_flying_pixels_is_nearly_as_good(thing: Thing) -> None:
    place, (distance, _, sides) = place_of(thing, Sensor()), truth(thing)
    assert place.distance_m == pytest.approx(distance, rel=0.01)
    np.testing.assert_allclose(place.box_size_m[:2], sides[:2], rtol=0.05)


def test_points_are_the_readings_and_their_statistics_agree_with_a_loop_over_pixels() -> None:
    thing = THINGS["a turned plate at 1 m"]
    place = place_of(thing, with_points=True)
    assert place.points_m is not None
    assert place.points_m.shape == (place.num_points, 3)
    ranges = sorted(float(np.sqrt(x * x + y * y + z * z)) for x, y, z in place.points_m.tolist())
    assert place.distance_m == pytest.approx(ranges[len(ranges) // 2], abs=1e-3)
    np.testing.assert_allclose(place.centroid_m, np.mean(place.points_m, axis=0), atol=1e-5)
    for x, y, z in place.points_m[::50].tolist():
        ray = np.array([[x / z, y / z]])
        assert thing.depth_m(ray)[0] == pytest.approx(z, abs=1e-5)


def test_without_being_asked_there_are_no_points() -> None:
    assert place_of(THINGS["a ball at 1 m"]).points_m is None


@pytest.mark.parametrize("yaw_deg", [-30, 40, 50])
def test_an_upright_box_stands_as_its_object_does(yaw_deg: float) -> None:
    thing = Box((0.3, 0.0, 2.0), (0.4, 0.6, 0.4), turn(yaw_deg))
    place = place_of(thing, gravity=np.array([0.0, 9.8, 0.0]))
    np.testing.assert_allclose(place.box_rotation.T @ place.box_rotation, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(place.box_rotation[:, 2], [0, -1, 0], atol=1e-9)
    assert place.box_rotation[2, 0] > 0.7
    assert np.linalg.det(place.box_rotation) == pytest.approx(1)
    assert place.box_size_m[2] == pytest.approx(0.6, rel=0.03)
    # Two sides are visible, so the ground plan is the object's own.
    np.testing.assert_allclose(np.sort(place.box_size_m[:2]), [0.4, 0.4], rtol=0.12)


def test_a_camera_that_looks_straight_down_has_upright_boxes_too() -> None:
    place = place_of(Box((0.1, 0.2, 2.0), (0.3, 0.5, 0.0)), gravity=np.array([0, 0, 1.0]))
    np.testing.assert_allclose(place.box_rotation[:, 2], [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(place.box_size_m, [0.5, 0.3, 0.0], atol=0.01)


def leaked(mask: np.ndarray) -> np.ndarray:
    return np.roll(mask, 25, axis=1) | mask


def test_a_mask_that_leaks_on_the_background_moves_nothing() -> None:
    thing = Box((0.0, 0.0, 2.0), (0.3, 0.3, 0.0))
    view = look([thing, WALL], CAMERA)
    depth_m = Sensor(shadow=False)(view.depth_m, CAMERA)
    (place,) = locate_objects([crop(leaked(mask_of(view, 0)))], depth_m, CAMERA, SETTINGS)
    assert isinstance(place, ObjectPlace)
    assert place.distance_m == pytest.approx(2.0, rel=0.01)
    np.testing.assert_allclose(place.box_size_m[:2], [0.3, 0.3], rtol=0.03)


def test_something_thin_before_the_object_is_not_the_object() -> None:
    thing, bar = Box((0, 0, 3.0), (0.6, 0.6, 0)), Box((0, 0, 1.5), (0.06, 5.0, 0))
    view = look([thing, bar, WALL], CAMERA)
    mask = np.zeros((480, 640), np.bool_)
    rows, columns = np.nonzero(mask_of(view, 0))
    mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    depth_m = Sensor()(view.depth_m, CAMERA)
    (place,) = locate_objects([crop(mask)], depth_m, CAMERA, SETTINGS)
    assert isinstance(place, ObjectPlace)
    assert place.centroid_m[2] == pytest.approx(3.0, rel=0.01)
    np.testing.assert_allclose(place.box_size_m[:2], [0.6, 0.6], rtol=0.03)


def test_a_pole_of_three_pixels_has_a_place() -> None:
    place = place_of(Box((0.0, 0.0, 2.0), (0.01, 0.5, 0.0)), Sensor(holes=0, shadow=False))
    assert place.distance_m == pytest.approx(2.0, rel=0.02)
    assert place.box_size_m[1] == pytest.approx(0.5, rel=0.03)


def test_half_of_the_readings_missing_changes_little() -> None:
    place = place_of(THINGS["a plate at 1 m"], Sensor(holes=0.5))
    distance, _, sides = truth(THINGS["a plate at 1 m"])
    assert place.distance_m == pytest.approx(distance, rel=0.01)
    np.testing.assert_allclose(place.box_size_m[:2], sides[:2], rtol=0.03)


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (640, 478)])
def test_a_depth_image_of_another_size_gives_the_same_place(size: tuple[int, int]) -> None:
    thing = Box((0.2, -0.1, 2.0), (0.4, 0.3, 0.0))
    view = look([thing, WALL], CAMERA)
    small = look([thing, WALL], CAMERA.resized(*size))
    depth_m = PERFECT(small.depth_m, CAMERA)
    (place,) = locate_objects([crop(mask_of(view, 0))], depth_m, CAMERA, SETTINGS)
    assert isinstance(place, ObjectPlace)
    np.testing.assert_allclose(place.box_size_m, [0.4, 0.3, 0.0], atol=0.012)
    np.testing.assert_allclose(place.box_center_m, [0.2, -0.1, 2.0], atol=0.01)


def test_a_lens_that_bends_the_image_is_honoured() -> None:
    lens = CameraModel(640, 480, 400, 400, 320, 240, (-0.25, 0.06, 0.0, 0.0, 0.0))
    thing = Box((0.9, 0.5, 2.0), (0.4, 0.3, 0.0))
    view = look([thing, WALL], lens)
    (place,) = locate_objects(
        [crop(mask_of(view, 0))], PERFECT(view.depth_m, lens), lens, SETTINGS
    )
    assert isinstance(place, ObjectPlace)
    np.testing.assert_allclose(place.box_size_m[:2], [0.4, 0.3], rtol=0.03)
    np.testing.assert_allclose(place.box_center_m, [0.9, 0.5, 2.0], atol=0.01)


def test_objects_without_enough_depth_say_why() -> None:
    mask = np.zeros((480, 640), np.bool_)
    mask[100:120, 200:220] = True
    depth_m = np.full((480, 640), np.nan, np.float32)
    empty = crop(np.zeros_like(mask))
    zeros = depth_in_metres(np.zeros((480, 640), np.uint16), "16UC1")
    assert _reasons([crop(mask), empty], zeros) == [
        "too few depth pixels (0 of 256)",
        "no depth pixel is in its mask",
    ]
    depth_m[110, 210:213] = 1.0
    assert _reasons([crop(mask)], depth_m) == ["too few depth pixels (3 of 256)"]
    depth_m[:] = 50.0
    assert _reasons([crop(mask)], depth_m) == ["too few depth pixels (0 of 256)"]


def _reasons(masks: list, depth_m: np.ndarray) -> list[str]:
    places: tuple[Place, ...] = locate_objects(masks, depth_m, CAMERA, SETTINGS)
    return [place.reason for place in places if isinstance(place, NoPlace)]


def test_depth_of_another_field_of_view_is_refused() -> None:
    with pytest.raises(DepthError, match="the same ratio"):
        locate_objects([], np.zeros((360, 640), np.float32), CAMERA, SETTINGS)


@pytest.mark.parametrize(
    "fields",
    [{"min_depth_m": 0}, {"max_depth_m": float("inf")}, {"min_depth_m": 5, "max_depth_m": 4},
     {"erosion_px": -1}, {"min_pixels": 2}, {"min_share": 1.1}, {"noise_per_m": 0}],
)  # fmt: skip
def test_settings_out_of_range_are_named(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        DepthSettings(**fields)


def test_steps_are_the_integral_of_one_over_the_sensor_s_resolution() -> None:
    depths = np.linspace(0.4, 6, 200001)
    slow = np.concatenate(
        ([0], np.cumsum(np.diff(depths) / np.hypot(0.01 * depths, 0.0025 * depths**2)[1:]))
    )
    steps = to_steps(depths.astype(np.float32), 0.0025)
    np.testing.assert_allclose(steps - steps[0], slow, atol=0.02)
    assert to_metres(float(steps[777]), 0.0025) == pytest.approx(depths[777], rel=1e-4)


def test_the_layer_is_the_largest_or_a_nearer_one_that_is_nearly_as_large() -> None:
    near, far = np.full(70, 10.5, np.float32), np.full(100, 90.5, np.float32)
    assert find_layer(np.concatenate((near, far))) == (10, 11)
    assert find_layer(np.concatenate((near[:50], far))) == (90, 91)


def test_a_pixel_at_a_jump_belongs_to_the_nearer_side() -> None:
    steps = np.float32([[10, 10, 10, 22, 60, 60], [10, 10, 10, 50, 60, 60]])
    jumps, sides = sides_of_jumps(steps, np.ones_like(steps, np.bool_))
    np.testing.assert_array_equal(jumps[0], [False, False, True, True, True, False])
    np.testing.assert_array_equal(sides, [[10, 10, 10, 10, 60, 60], [10, 10, 10, 60, 60, 60]])


def test_the_motorcycle_in_a_garage_is_not_the_floor_and_not_the_shelf() -> None:
    """Its whole box is the mask, a third of which shows what is behind."""
    try:
        _, depth_m, camera = motorcycle()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    mask = np.zeros(depth_m.shape, np.bool_)
    mask[132:182, 512:570] = True
    (headlight,) = locate_objects([crop(mask)], depth_m, camera, SETTINGS)
    assert isinstance(headlight, ObjectPlace)
    on_the_glass = float(np.nanmedian(depth_m[143:169, 528:554]))
    assert headlight.centroid_m[2] == pytest.approx(on_the_glass, rel=0.03)
