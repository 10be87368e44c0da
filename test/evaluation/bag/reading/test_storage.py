"""Reading bags: every storage and compression, and what is left of damaged ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bag_samples import (
    IMAGE_TOPIC,
    TRUTH_TOPIC,
    Message,
    image_messages,
    stamp_ns,
    truth_messages,
    write_bag,
)

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.reading.storage import Bag

NUM_FRAMES = 400


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    # 400 frames of 18 kB are several chunks of 1 MiB.
    pairs = zip(image_messages(NUM_FRAMES), truth_messages(NUM_FRAMES), strict=True)
    return [message for pair in pairs for message in pair]


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def sound_bag(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[Message],
) -> Path:
    return write_bag(tmp_path_factory.mktemp("bag") / "drive", messages, storage=request.param)


@pytest.fixture
def bag_copy(sound_bag: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_bag, tmp_path / "drive"))


def storage_file(bag: Path) -> Path:
    return next(file for file in bag.iterdir() if file.suffix in (".mcap", ".db3"))


def read_images(path: Path) -> tuple[list[int], Bag]:
    with Bag(path) as bag:
        return [message.log_time_ns for message in bag.messages({IMAGE_TOPIC})], bag


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", ["none", "file", "message", "storage"])
def test_every_storage_and_compression_gives_the_same_bytes(
    tmp_path: Path, storage: str, compression: str
) -> None:
    if (storage, compression) == ("sqlite3", "storage"):
        pytest.skip("rosbags has no such combination")
    written = image_messages(3)
    path = write_bag(tmp_path / "b", written, storage=storage, compression=compression)
    with Bag(path) as bag:
        read = list(bag.messages({IMAGE_TOPIC}))
    assert [(m.log_time_ns, bytes(m.data)) for m in read] == [(m[2], m[3]) for m in written]
    assert len(bag.problems) == 0


def test_a_single_file_is_a_bag_too(sound_bag: Path) -> None:
    times, bag = read_images(storage_file(sound_bag))
    assert times == [stamp_ns(i) for i in range(NUM_FRAMES)]
    assert len(bag.problems) == 0


def test_only_the_named_topic_is_read_in_order(sound_bag: Path) -> None:
    with Bag(sound_bag) as bag:
        assert set(bag.topics) == {IMAGE_TOPIC, TRUTH_TOPIC}
        assert bag.topics[IMAGE_TOPIC].message_count == NUM_FRAMES
        assert {m.topic.name for m in bag.messages({TRUTH_TOPIC})} == {TRUTH_TOPIC}
    assert read_images(sound_bag)[0] == [stamp_ns(i) for i in range(NUM_FRAMES)]


def test_a_bag_without_metadata_is_read_whole(bag_copy: Path) -> None:
    (bag_copy / "metadata.yaml").unlink()
    times, bag = read_images(bag_copy)
    assert times == [stamp_ns(i) for i in range(NUM_FRAMES)]
    assert bag.problems.counts == {"missing metadata": 1}


def test_a_bag_with_broken_metadata_is_read_whole(bag_copy: Path) -> None:
    (bag_copy / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    times, bag = read_images(bag_copy)
    assert times == [stamp_ns(i) for i in range(NUM_FRAMES)]
    assert bag.problems.counts["damaged bag"] == 1


def test_a_truncated_bag_is_read_up_to_the_cut(bag_copy: Path) -> None:
    file = storage_file(bag_copy)
    with file.open("r+b") as stream:
        stream.truncate(int(file.stat().st_size * 0.6))
    times, bag = read_images(bag_copy)
    assert NUM_FRAMES * 0.5 < len(times) < NUM_FRAMES * 0.65
    assert times == [stamp_ns(i) for i in range(len(times))]
    place = " ".join(problem["place"] for problem in bag.problems.examples)
    assert file.name in place
    assert "byte" in place or "row" in place


def test_damage_in_the_middle_loses_only_what_is_there(bag_copy: Path) -> None:
    file = storage_file(bag_copy)
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(size // 2)
        stream.write(bytes(64 * 1024))
    times, bag = read_images(bag_copy)
    # Zeroed pixels are no damage that a reader can see; lost records are.
    assert len(times) > NUM_FRAMES * 0.6
    assert times == sorted(set(times))
    assert times[-1] == stamp_ns(NUM_FRAMES - 1)
    assert len(bag.problems) > 0 or len(times) == NUM_FRAMES


def test_a_damaged_compressed_chunk_is_passed_over(
    tmp_path: Path, messages: list[Message]
) -> None:
    random_bytes = [
        (topic, kind, time, data[:-9000] + bytes((7 * i + j * j) % 251 for j in range(9000)))
        for i, (topic, kind, time, data) in enumerate(m for m in messages if m[0] == IMAGE_TOPIC)
    ]
    path = write_bag(tmp_path / "b", random_bytes, compression="storage")
    file = storage_file(path)
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(b"\xff" * 4096)
    times, bag = read_images(path)
    assert NUM_FRAMES * 0.5 < len(times) < NUM_FRAMES
    assert times[-1] == stamp_ns(NUM_FRAMES - 1)
    assert "damaged chunk" in bag.problems.counts


def test_a_missing_part_of_a_bag_is_listed_and_the_rest_read(
    tmp_path: Path, messages: list[Message]
) -> None:
    first = write_bag(tmp_path / "drive", messages[:100])
    second = write_bag(tmp_path / "part", messages[100:200])
    metadata = (first / "metadata.yaml").read_text()
    storage_file(first).rename(first / "drive_0.mcap")
    storage_file(second).rename(first / "drive_2.mcap")
    (first / "metadata.yaml").write_text(
        metadata.replace("- drive.mcap", "- drive_0.mcap\n  - drive_1.mcap\n  - drive_2.mcap")
    )
    times, bag = read_images(first)
    assert times == [stamp_ns(i) for i in range(100)]
    assert "drive_1.mcap" in bag.problems.examples[0]["reason"]


def test_a_truncated_compressed_file_is_unpacked_as_far_as_it_goes(
    tmp_path: Path, messages: list[Message]
) -> None:
    path = write_bag(tmp_path / "drive", messages, compression="file")
    file = next(path.glob("*.zstd"))
    with file.open("r+b") as stream:
        stream.truncate(int(file.stat().st_size * 0.7))
    times, bag = read_images(path)
    assert 0 < len(times) < NUM_FRAMES
    assert times == [stamp_ns(i) for i in range(len(times))]
    assert "truncated file" in bag.problems.counts


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.mcap", None, "no such bag"),
        ("old.bag", b"#ROSBAG V2.0", "rosbags-convert"),
        ("text.mcap", b"hello world, not a bag", "nothing in it can be read"),
        ("text.db3", b"hello world, not a bag", "nothing in it can be read"),
        ("empty.mcap", b"", "nothing in it can be read"),
    ],
)
def test_what_is_no_bag_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as error:
        Bag(path)
    assert name in str(error.value)


def test_an_empty_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no .mcap or .db3 file"):
        Bag(tmp_path)


def test_a_channel_of_another_serialization_does_not_hide_the_images(
    tmp_path: Path, messages: list[Message]
) -> None:
    path = write_bag(tmp_path / "drive", messages[:6])
    file = storage_file(path)
    # Same length, so that every offset stays right: rosbags refuses the whole file.
    file.write_bytes(file.read_bytes().replace(b"ros2msg", b"flatbuf"))
    times, bag = read_images(file)
    assert times == [stamp_ns(i) for i in range(3)]
    assert bag.problems.counts["damaged bag"] == 1
