"""What an ONNX file holds: a YOLO segmentation network, or why it cannot be used."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from yolo_onnx import write_yolo_onnx

from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.checkpoint import read_config, read_model
from yolact_ros.models.yolo_seg import YoloSegConfig
from yolact_ros.models.yolo_seg_file import YoloSegFile
from yolact_ros.models.zoo import find_model


def read(path: Path, **options: object) -> YoloSegFile:
    model = read_model(path, **options)  # type: ignore[arg-type]
    assert isinstance(model, YoloSegFile)
    return model


def other_file(
    path: Path,
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    *,
    metadata: dict[str, str] | None = None,
    opset: int = 17,
    operator: tuple[str, str] = ("", "Identity"),
    kind: int = TensorProto.FLOAT,
) -> Path:
    """A file with these inputs and outputs that does nothing."""
    domain, name = operator
    nodes = [
        helper.make_node(name, [next(iter(inputs))], [output], domain=domain) for output in outputs
    ]
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info(key, kind, sides) for key, sides in inputs.items()],
        [helper.make_tensor_value_info(key, kind, sides) for key, sides in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


IMAGES = {"images": [1, 3, 64, 64]}
RAW, PROTOTYPES = [1, 116, 84], [1, 32, 16, 16]


def test_an_export_says_what_it_is(tmp_path: Path) -> None:
    path = write_yolo_onnx(tmp_path / "parts-seg.onnx", (64, 96))
    model = read(path)
    assert model.config == YoloSegConfig(
        name="parts-seg",
        input_size_px=96,
        input_height_px=64,
        input_width_px=96,
        class_names=("red", "blue"),
        num_prototypes=2,
    )
    assert model.names_from == "the file itself"
    assert model.remarks == ()
    assert str(model.config.input_shape) == "96x64"
    assert read_config(path) == model.config
    assert find_model(str(path)) == path


def test_free_axes_rows_and_half_precision_are_seen(tmp_path: Path) -> None:
    free = read(write_yolo_onnx(tmp_path / "free.onnx", None, metadata={"imgsz": "[480, 640]"}))
    assert free.config.has_free_axes
    assert str(free.config.input_shape) == "multiples of 32 up to 640x640"
    assert read(write_yolo_onnx(tmp_path / "rows.onnx", rows=True)).config.num_rows == 64
    half = read(write_yolo_onnx(tmp_path / "half.onnx", half=True)).config
    assert (half.precision, half.num_rows) == ("fp16", 0)


@pytest.mark.parametrize("names", ["['red', 'blue']", "{0: 'red', 1: 'blue'}"])
def test_names_are_read_from_lists_and_mappings(tmp_path: Path, names: str) -> None:
    path = write_yolo_onnx(tmp_path / "a.onnx", metadata={"names": names})
    assert read(path).config.class_names == ("red", "blue")


def test_without_metadata_shapes_say_all_but_the_names(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("names", "stride", "task", "imgsz"))
    path = write_yolo_onnx(tmp_path / "a.onnx", metadata=nothing)
    model = read(path)
    assert model.config.class_names == ("class_0", "class_1")
    assert "a.txt beside it" in model.remarks[0]
    assert model.config.stride_px == 32
    assert read(path, class_names=("x", "y")).config.class_names == ("x", "y")
    (tmp_path / "a.txt").write_text("left\nright\n")
    assert read(path).config.class_names == ("left", "right")


def test_free_axes_without_a_size_need_one(tmp_path: Path) -> None:
    path = write_yolo_onnx(tmp_path / "a.onnx", None, metadata={"imgsz": None})
    with pytest.raises(CheckpointError, match=r"give it with input_size \(--input-size\)"):
        read(path)
    assert read(path, input_size_px=96).config.input_size_px == 96


def test_rows_without_names_need_them(tmp_path: Path) -> None:
    path = write_yolo_onnx(tmp_path / "a.onnx", rows=True, metadata={"names": None})
    with pytest.raises(CheckpointError, match=r"how many classes .*--class-names"):
        read(path)
    assert read(path, class_names=("x", "y", "z")).config.num_classes == 3


def test_other_numbers_of_names_and_prototypes_are_refused(tmp_path: Path) -> None:
    path = write_yolo_onnx(tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match=r"3 .*2"):
        read(path, class_names=("x", "y", "z"))
    with pytest.raises(CheckpointError, match="has 2 prototypes, but num_prototypes is 32"):
        read(path).build(num_prototypes=32)


@pytest.mark.parametrize("names", ["{0: 'red', 2: 'blue'}", "red, blue", "{0: open('x')}", "(("])
def test_damaged_names_name_the_cure(tmp_path: Path, names: str) -> None:
    path = write_yolo_onnx(tmp_path / "a.onnx", metadata={"names": names})
    with pytest.raises(CheckpointError, match=r"class names cannot be read .*--class-names"):
        read(path)


@pytest.mark.parametrize("task", ["detect", "pose", "obb", "classify"])
def test_other_tasks_are_named(tmp_path: Path, task: str) -> None:
    path = other_file(
        tmp_path / "a.onnx", IMAGES, {"output0": [1, 84, 84]}, metadata={"task": task}
    )
    with pytest.raises(CheckpointError, match=f"for the task '{task}', which gives no masks"):
        read(path)


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (IMAGES, {"output0": [1, 84, 84]}, "detects boxes only and has no prototypes"),
        (
            IMAGES,
            {"num": [1, 1], "boxes": [1, 100, 4], "scores": [1, 100], "masks": [1, 100, 40, 40]},
            "its outputs are others",
        ),
        (IMAGES, {"scores": [1, 1000]}, "its outputs are others"),
        (
            {"image": [1, 3, 64, 64], "shape": [1, 2]},
            {"output0": RAW, "output1": PROTOTYPES},
            "its inputs are others",
        ),
        ({"images": [4, 3, 64, 64]}, {"output0": RAW, "output1": PROTOTYPES}, "no single image"),
        ({"images": [1, 1, 64, 64]}, {"output0": RAW, "output1": PROTOTYPES}, "three colours"),
        (
            {"images": [1, 3, "height", 64]},
            {"output0": RAW, "output1": PROTOTYPES},
            "one side of its input is free",
        ),
        (IMAGES, {"output0": [1, 36, 84], "output1": PROTOTYPES}, "has not 4 . classes . 32"),
        (
            IMAGES,
            {"output0": RAW, "output1": [1, "k", 16, 16]},
            "number of its prototypes is free",
        ),
    ],
)
def test_other_networks_are_refused_with_what_was_found(
    tmp_path: Path,
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    reason: str,
) -> None:
    path = other_file(tmp_path / "a.onnx", inputs, outputs)
    with pytest.raises(CheckpointError, match=reason) as raised:
        read(path)
    message = str(raised.value)
    assert all(name in message for name in (str(path), *inputs, *outputs))
    assert "taken are segmentation networks of YOLO v8 to 26" in message


def test_another_type_of_pixels_is_refused(tmp_path: Path) -> None:
    path = other_file(
        tmp_path / "a.onnx",
        IMAGES,
        {"output0": RAW, "output1": PROTOTYPES},
        kind=TensorProto.UINT8,
    )
    with pytest.raises(CheckpointError, match="its input is of type 2"):
        read(path)


def test_operators_of_one_runtime_are_named(tmp_path: Path) -> None:
    path = other_file(
        tmp_path / "a.onnx", IMAGES, {"output0": RAW}, operator=("TRT", "EfficientNMS_TRT")
    )
    with pytest.raises(CheckpointError, match=r"TRT\.EfficientNMS_TRT.*without NMS"):
        read(path)


@pytest.mark.parametrize("opset", [7, 999])
def test_operators_of_another_time_are_refused(tmp_path: Path, opset: int) -> None:
    path = other_file(tmp_path / "a.onnx", IMAGES, {"output0": RAW}, opset=opset)
    with pytest.raises(CheckpointError, match=rf"ONNX opset {opset}, .* export it with opset=17"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not onnx", b"\x08\x07" * 50, b"\xff" * 99])
def test_a_file_that_is_no_onnx_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is no ONNX file"):
        read(path)


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    path = write_yolo_onnx(tmp_path / "a.onnx")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CheckpointError, match=r"a\.onnx is no ONNX file or is damaged"):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read(tmp_path / "a.onnx")


def test_two_files_of_the_same_name_have_networks_of_their_own(tmp_path: Path) -> None:
    """Or a compiled network of the one would be taken for the other's."""
    (tmp_path / "other").mkdir()
    first = read(write_yolo_onnx(tmp_path / "a.onnx")).build()
    second = read(
        write_yolo_onnx(tmp_path / "other" / "a.onnx", metadata={"author": "another"})
    ).build()
    assert first.config == second.config
    assert not first.digest.equal(second.digest)
    assert first.state_dict().keys() == {"digest"}
