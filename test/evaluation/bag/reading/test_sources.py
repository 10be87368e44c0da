"""A manifest names bags with their truth and tags, and says of each wrong line what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolact_ros.errors import ConfigError, DataError
from yolact_ros.evaluation.bag.reading.sources import BagSource, read_sources
from yolact_ros.evaluation.bag.units.task import unique_names


def manifest(folder: Path, text: str) -> str:
    path = folder / "fleet.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_line_is_a_bag_with_topic_truth_and_tags(tmp_path: Path) -> None:
    text = (
        "path,topic,truth,site,weather\n"
        "a.mcap,/front,/truth,north,rain\n"
        "\n"
        "# the second week\n"
        "/data/b,,truth/b.json,south,\n"
    )
    found, unusable = read_sources([manifest(tmp_path, text)])
    assert found == [
        BagSource(tmp_path / "a.mcap", "/front", "/truth", {"site": "north", "weather": "rain"}),
        BagSource(Path("/data/b"), "", f"{tmp_path}/truth/b.json", {"site": "south"}),
    ]
    assert not unusable


def test_topic_and_truth_of_the_command_line_are_for_lines_without(tmp_path: Path) -> None:
    text = "path,truth\na,\nb,/mine@other\n"
    found, _ = read_sources([manifest(tmp_path, text)], "/camera", ["/truth"])
    assert [(bag.topic, bag.truth) for bag in found] == [
        ("/camera", "/truth"),
        ("/camera", f"/mine@{tmp_path}/other"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("b.mcap,/t,/truth", "expected 4 fields as in line 1, found 3"),
        ("b.mcap,/t,/truth,x,y", "expected 4 fields as in line 1, found 5"),
        (",/t,/truth,x", "no path; expected that of a bag"),
        ("b.mcap,front,/truth,x", "'front' is no topic: expected a name that starts with /"),
        ("a.mcap,,/truth,x", "the bag and topic of line 2 again; it counts once"),
        ("foo://x/b.mcap,,/truth,x", "foo:// is no storage that is known"),
        ("s3://key:hunter2@bucket/b,,/truth,x", "no user or password is read"),
        ('"b.mcap"x,,/truth,x', "not CSV"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_and_the_rest_goes_on(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f"path,topic,truth,site\na.mcap,,/truth,x\n{line}\nz.mcap,,/truth,x\n"
    path = manifest(tmp_path, text)
    found, unusable = read_sources([path])
    assert [bag.path.name for bag in found] == ["a.mcap", "z.mcap"]
    assert list(unusable) == [f"{path}:3"]
    told = unusable[f"{path}:3"]
    assert told.startswith(f"{path}:3: ")
    assert reason in told
    assert "hunter2" not in told


@pytest.mark.parametrize("header", ["bag,site", "path,site,site", "path,,site", ""])
def test_a_manifest_without_a_good_header_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(DataError, match=r"fleet.csv.*: expected .*names of columns"):
        read_sources([manifest(tmp_path, f"{header}\n")])


def test_a_manifest_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_sources([str(tmp_path / "none.csv")])
    (tmp_path / "fleet.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not text in UTF-8"):
        read_sources([str(tmp_path / "fleet.csv")])


def test_a_pattern_finds_its_bags_in_order_and_one_without_a_bag_is_told(tmp_path: Path) -> None:
    for name in ("b", "a", "c.txt"):
        (tmp_path / name).mkdir()
    found, _ = read_sources([f"{tmp_path}/?", f"{tmp_path}/[ab]*", f"{tmp_path}/*.txt"])
    assert [bag.path.name for bag in found[-1:]] == ["c.txt"]
    found, unusable = read_sources([f"{tmp_path}/*", f"{tmp_path}/*.mcap"])
    assert [bag.path.name for bag in found] == ["a", "b", "c.txt"]
    assert list(unusable) == [f"{tmp_path}/*.mcap"]


def test_truths_are_one_for_all_or_one_each() -> None:
    with pytest.raises(ConfigError, match="2 truths for 3 bags"):
        read_sources(["a", "b", "c"], truth=["x", "y"])


def test_no_two_bags_leave_their_results_in_one_folder() -> None:
    bags = [BagSource(Path(f"{n}", name)) for n, name in enumerate(("a", "a_1", "a", "a_2", "b"))]
    names = unique_names(bags)
    assert len(set(names)) == len(names)
    assert names[-1] == "b"
