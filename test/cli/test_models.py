"""``yolact models``: the table, and fetching and verifying through the command line."""

from __future__ import annotations

import json

import pytest
import torch
from golden_networks import smallest
from weight_files import weights_file

from yolact_ros.cli.main import main
from yolact_ros.evaluation.benchmark import model_costs
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.models.costs import ModelCost, keep_costs, read_costs
from yolact_ros.models.network import Network
from yolact_ros.models.zoo import ModelStatus, list_models

FILE = "yolact_base_54_800000.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("YOLACT_ROS_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def usb(tmp_path):
    folder = tmp_path / "usb"
    folder.mkdir()
    (folder / FILE).write_bytes(weights_file(smallest("yolact_base")))
    return folder


def test_list_shows_name_accuracy_and_state(capsys, cache):
    assert main(["models", "list"]) == 0
    output = capsys.readouterr().out
    row = next(line for line in output.splitlines() if line.startswith("yolact_base "))
    assert row.split()[1:6] == ["29.8", "-", "-", "not", "downloaded"]
    assert str(cache) in output


def test_what_models_cost_here_is_measured_once(capsys, monkeypatch):
    measured = []

    def measure(status: ModelStatus) -> ModelCost:
        measured.append(status.entry.name)
        return ModelCost(status.entry.file, 123.4, 567.8, "openvino bf16")

    monkeypatch.setattr(model_costs, "measure_cost", measure)
    assert main(["models", "list", "--measure"]) == 0
    every_name = [status.entry.name for status in list_models()]
    assert measured == every_name
    assert main(["models", "list", "--measure", "--json"]) == 0
    assert measured == every_name
    output = capsys.readouterr().out
    row = next(line for line in output.splitlines() if line.startswith("yolact_base "))
    assert row.split()[1:4] == ["29.8", "123", "568"]
    # A name whose file is another one now has to be measured again.
    keep_costs({**read_costs(), "yolact_base": ModelCost("old.pth", 1.0, 1.0, "eager fp32")})
    assert main(["models", "list"]) == 0
    row = capsys.readouterr().out.split("yolact_base ")[1]
    assert row.split()[1:3] == ["-", "-"]


def test_a_model_that_is_not_downloaded_is_measured_with_random_weights(monkeypatch):
    monkeypatch.setattr(model_costs, "open_runtime", open_eager)
    entry = next(s for s in list_models() if s.entry.name == "bundled").entry
    cost = model_costs.measure_cost(ModelStatus(entry, None, "not downloaded"))
    assert cost.file == entry.file
    assert cost.runtime == "eager fp32"
    assert cost.whole_ms > 1
    assert cost.memory_mib >= 0


def open_eager(
    name: str, network: Network, *, device: torch.device, cache_folder: None
) -> Runtime:
    assert (name, cache_folder) == ("auto", None)
    return EagerRuntime(network, device=device)


def test_list_as_json_has_the_addresses_and_paths(capsys, usb, cache):
    main(["models", "fetch", "yolact_base", "--mirror", str(usb)])
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["yolact_base"]["path"] == str(cache / FILE)
    assert rows["yolact_im700"]["path"] is None
    assert rows["yolact_im700"]["url"].startswith("https://")


def test_fetch_prints_the_path_and_then_that_it_was_there(capsys, usb, cache):
    assert main(["models", "fetch", "yolact_base", "--url", str(usb / FILE)]) == 0
    assert capsys.readouterr().out == f"yolact_base: {cache / FILE}\n"
    assert main(["models", "fetch", "yolact_base"]) == 0
    assert capsys.readouterr().out == f"yolact_base: {cache / FILE} (was there already)\n"


def test_verify_checks_what_is_here_and_names_what_is_damaged(capsys, usb, cache):
    main(["models", "fetch", "yolact_base", "--mirror", str(usb)])
    capsys.readouterr()
    assert main(["models", "verify"]) == 0
    assert f"yolact_base: {cache / FILE}: ok" in capsys.readouterr().out
    (cache / FILE).write_bytes(b"weightS")
    assert main(["models", "verify", "yolact_base"]) == 2
    assert "damaged or changed" in capsys.readouterr().err


def test_a_failed_fetch_is_one_line_without_a_progress_bar(capsys, tmp_path):
    assert main(["models", "fetch", "yolact_base", "--mirror", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("yolact: error: file://")
    assert error.count("\n") == 1


def test_one_address_cannot_serve_several_models(capsys, usb):
    with pytest.raises(SystemExit) as caught:
        main(["models", "fetch", "yolact_base", "yolact_im700", "--url", str(usb / FILE)])
    assert caught.value.code == 2
    assert "exactly one NAME" in capsys.readouterr().err


def test_fetch_needs_a_name_or_all(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["models", "fetch"])
    assert caught.value.code == 2
