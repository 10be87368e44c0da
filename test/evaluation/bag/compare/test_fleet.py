"""Many bags: by tag, by bag and from version to version, with whole bags drawn for intervals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bag_samples import (
    IMAGE_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    ShapeSource,
    box_instance,
    frame_bgr,
    image_message,
    rectangle,
    write_bag,
)

from yolact_ros.evaluation.bag.compare.bootstrap import bag_weights
from yolact_ros.evaluation.bag.compare.compare import Comparison, compare_runs
from yolact_ros.evaluation.bag.compare.compare_report import render_comparison
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.frame import FrameInstances
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading.messages import IMAGE, INSTANCE_ARRAY, serialize_instances
from yolact_ros.evaluation.bag.reading.sources import read_sources
from yolact_ros.evaluation.bag.summary import comparison_text

NUM_BAGS, NUM_FRAMES = 6, 5


class Silent:
    def start(self, title: str, total: int | None) -> object:
        return lambda count: None


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drives of 0.5 s, those with rain with a truth that is 12 px off, and two wrong lines."""
    folder = tmp_path_factory.mktemp("fleet")
    lines = ["path,weather,robot"]
    for number in range(NUM_BAGS):
        is_rain = number % 2 == 1
        messages = []
        for index in range(NUM_FRAMES):
            time_ns = START_NS + index * 100_000_000
            image = image_message(frame_bgr(index), time_ns)
            messages.append((IMAGE_TOPIC, IMAGE, time_ns, image))
            left, *rest = rectangle(index)
            found = (box_instance((left + 12 * is_rain, *rest)),)
            truth = FrameInstances(64, 96, found, time_ns, "camera")
            data = bytes(serialize_instances(truth))
            messages.append((TRUTH_TOPIC, INSTANCE_ARRAY, time_ns, data))
        write_bag(folder / f"drive_{number}", messages)
        lines.append(f"drive_{number},{'rain' if is_rain else 'sun'},robot_{number // 3}")
    lines += ["none,rain,robot_0", "drive_0,rain"]
    (folder / "fleet.csv").write_text("\n".join(lines) + "\n")
    return folder / "fleet.csv"


@pytest.fixture(scope="module")
def results(manifest: Path) -> list[Path]:
    """Of three versions of a model: each is 4 px further to the right, which is right in rain."""
    sources, unusable = read_sources([str(manifest)], "", [TRUTH_TOPIC])
    folders = []
    for version in range(3):
        output = manifest.parent / f"v{version}"
        options = EvaluationOptions(
            bags=tuple(sources),
            output=output,
            unusable=unusable,
            source=ShapeSource(shift_px=4 * version),
        )
        evaluate_bags(options, Silent())  # type: ignore[arg-type]
        folders.append(output)
    return folders


@pytest.fixture(scope="module")
def comparison(results: list[Path]) -> Comparison:
    return compare_runs(results, resamples=200)


def test_numbers_of_a_tag_are_those_of_its_bags(results: list[Path]) -> None:
    metrics = json.loads((results[0] / "metrics.json").read_text())
    groups = {(group["tag"], group["value"]): group for group in metrics["by_tag"]}
    assert list(groups) == [
        ("robot", "robot_0"), ("robot", "robot_1"), ("weather", "rain"), ("weather", "sun"),
    ]  # fmt: skip
    for (tag, value), group in groups.items():
        names = [name for name, own in metrics["tags"].items() if own[tag] == value]
        assert (len(names), group["bags"]) == (3, 3)
        assert group["frames"]["total"] == 3 * NUM_FRAMES
    assert groups["weather", "sun"]["accuracy"]["segm"]["ap"] == 1.0
    assert groups["weather", "rain"]["accuracy"]["segm"]["ap"] < 0.2


def test_what_cannot_be_used_is_listed_and_the_rest_is_scored(results: list[Path]) -> None:
    metrics = json.loads((results[0] / "metrics.json").read_text())
    assert len(metrics["bags"]) == NUM_BAGS
    reasons = [row["reason"] for row in metrics["bags_failed"]]
    assert any("none: no such bag" in reason for reason in reasons)
    assert any("fleet.csv:9: expected 3 fields" in reason for reason in reasons)
    page = (results[0] / "report.html").read_text()
    assert "Bags left out" in page
    assert "fleet.csv:9" in page
    text_tables = page.split('<table class="text">')
    assert any(
        table.strip().startswith("<tr><th>bag</th><th>reason</th>") for table in text_tables
    )


def test_the_worst_scenes_are_those_of_all_bags_with_their_pictures(results: list[Path]) -> None:
    metrics = json.loads((results[0] / "metrics.json").read_text())
    scenes = [row["caption"].partition(",")[0] for row in metrics["worst_frames"]]
    assert sorted(set(scenes)) == ["drive_1", "drive_3", "drive_5"]
    page = (results[0] / "report.html").read_text()
    assert page.count("data:image/jpeg") == len(scenes)


def test_whole_bags_are_drawn(comparison: Comparison) -> None:
    assert (comparison.num_bags, comparison.block_frames) == (NUM_BAGS, 0)
    bags = np.repeat([4, 7, 9], [2, 5, 1])
    for seed in range(20):
        weights = bag_weights(bags, np.random.default_rng(seed))
        per_bag = [set(weights[bags == bag].tolist()) for bag in (4, 7, 9)]
        assert all(len(values) == 1 for values in per_bag)
        assert sum(values.pop() for values in per_bag) == 3


def test_a_model_that_is_better_in_rain_alone_is_seen_to_be(comparison: Comparison) -> None:
    by_tag = {(group.tag, group.value): group for group in comparison.groups}
    rain, sun = by_tag["weather", "rain"], by_tag["weather", "sun"]
    assert rain.num_bags == 3
    assert rain.differences[2]["mask_ap"].low > 0
    assert sun.differences[2]["mask_ap"].high < 0
    whole = comparison.runs[2].differences["mask_ap"]
    assert whole.low < whole.value < whole.high


def test_the_page_names_tags_bags_frames_and_the_trend(comparison: Comparison) -> None:
    page = render_comparison(comparison, "yolact bag compare", [])
    assert "30 frames of 6 bags, the same for all" in page
    assert "resamples of bags" in page
    for text in ("<h2>Trend</h2>", "weather: rain", "Bags by their change", "drive_1 frame 0"):
        assert text in page, text
    assert "Quality of each frame" not in page  # every drive begins at 0 s
    assert "200 resamples of bags" in comparison_text(comparison)
    assert comparison.to_dict()["by_tag"][2]["value"] == "rain"


def test_two_versions_have_no_trend(results: list[Path]) -> None:
    page = render_comparison(compare_runs(results[:2], resamples=10), "", [])
    assert "<h2>Trend</h2>" not in page
