"""A family of networks that this test makes up gets all that is shared, by its decoder alone."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from yolact_ros.config import ImageNormalization, NetworkConfig
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.network import Network
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.structures import NetworkOutput

CELL_PX = 8
SIDE_PX = 64
BRIGHT, DARK = 255, 0


@dataclass(frozen=True, kw_only=True)
class LampConfig(NetworkConfig):
    family: ClassVar[str] = "lamps"


class LetterboxLampConfig(LampConfig):
    keeps_aspect_ratio: ClassVar[bool] = True


class LampDecoder(OutputDecoder):
    """Boxes are corners in pixels of the input, classes independent logits."""

    def decode(self, output: NetworkOutput) -> tuple[Tensor, Tensor]:
        return output.box_offsets.float() / SIDE_PX, output.class_logits.float().sigmoid()


class WideLampDecoder(LampDecoder):
    """Each box reaches half into the next cell."""

    def decode(self, output: NetworkOutput) -> tuple[Tensor, Tensor]:
        boxes_xyxy, scores = super().decode(output)
        return boxes_xyxy + torch.tensor([0, 0, CELL_PX / 2, 0]) / SIDE_PX, scores


class WideSeparateLampDecoder(WideLampDecoder):
    overlaps = False


class LampNetwork(Network):
    """Finds bright cells: each is a lamp, and a little less a window."""

    def __init__(self, config: NetworkConfig, decoder: OutputDecoder | None = None) -> None:
        super().__init__()
        self.config = config
        self._decoder = decoder or LampDecoder()
        self.register_buffer("gains", torch.tensor([8.0, 4.0]), persistent=False)

    def forward(self, images: Tensor) -> NetworkOutput:
        grey = images.mean(dim=1, keepdim=True)
        cells = F.avg_pool2d(grey, CELL_PX)
        logits = (cells.flatten(1)[:, :, None] - 0.5) * self.gains
        starts = torch.arange(SIDE_PX // CELL_PX) * CELL_PX
        y, x = torch.meshgrid(starts, starts, indexing="ij")
        corners = torch.stack((x, y, x + CELL_PX, y + CELL_PX), dim=2).reshape(1, -1, 4).float()
        return NetworkOutput(
            box_offsets=corners.expand(len(images), -1, -1),
            class_logits=logits,
            coefficients=torch.ones_like(logits[:, :, :1]) * 10,
            prototypes=(F.avg_pool2d(grey, 4) - 0.5).permute(0, 2, 3, 1),
        )

    @property
    def decoder(self) -> OutputDecoder:
        return self._decoder

    def with_input_size(self, input_size_px: int) -> LampNetwork:
        view = copy.copy(self)
        view.config = self.config.with_input_size(input_size_px)
        return view


def lamp_network(
    config_class: type[LampConfig] = LampConfig, decoder: OutputDecoder | None = None
) -> LampNetwork:
    config = config_class(
        name="lamps",
        input_size_px=SIDE_PX,
        class_names=("lamp", "window"),
        num_prototypes=1,
        normalization=ImageNormalization((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    )
    return LampNetwork(config, decoder).eval()


def dark_image(height_px: int, width_px: int) -> np.ndarray:
    return np.full((height_px, width_px, 3), DARK, np.uint8)


@pytest.mark.parametrize("on_device", [False, True], ids=["on the host", "in fixed shapes"])
@pytest.mark.parametrize("runtime", ["eager", "openvino", "onnxruntime"])
def test_boxes_classes_and_masks_are_found_in_every_runtime(runtime: str, on_device: bool) -> None:
    pytest.importorskip(runtime) if runtime != "eager" else None
    network = lamp_network()
    image = dark_image(128, 256)
    image[32:48, 64:96] = BRIGHT  # one cell of the input, at row 2, column 2
    opened = open_runtime(
        runtime, network, device=torch.device("cpu"), precision="fp32", cache_folder=None
    )
    with Predictor(network, device="cpu", runtime=opened, on_device=on_device) as predictor:
        (lamp, window) = predictor.predict(image)
    assert (lamp.class_name, window.class_name) == ("lamp", "window")
    assert lamp.score == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-5)
    assert window.score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
    assert lamp.box_xyxy == pytest.approx((64, 32, 96, 48))
    bright = image[:, :, 0] == BRIGHT
    # The prototypes are four times coarser than the input, so edges are rounded.
    assert (lamp.mask & bright).sum() > 0.85 * (lamp.mask | bright).sum()


@pytest.mark.parametrize(("height_px", "width_px"), [(128, 256), (256, 128), (128, 128), (33, 64)])
def test_a_letterbox_puts_boxes_and_masks_where_they_are_in_the_image(
    height_px: int, width_px: int
) -> None:
    network = lamp_network(LetterboxLampConfig)
    scale = max(height_px, width_px) / SIDE_PX
    left_px = round((SIDE_PX - width_px / scale) / 2 - 0.1)
    top_px = round((SIDE_PX - height_px / scale) / 2 - 0.1)
    # The cell of the input at row 4, column 4, in pixels of the image.
    x_min, y_min = (32 - left_px) * scale, (32 - top_px) * scale
    x_max, y_max = x_min + CELL_PX * scale, y_min + CELL_PX * scale
    image = dark_image(height_px, width_px)
    image[round(y_min) : round(y_max), round(x_min) : round(x_max)] = BRIGHT
    with Predictor(network, device="cpu") as predictor:
        lamp = predictor.predict(image)[0]
        followed_xyxy = predictor.detect(image).boxes_xyxy[0]
    assert lamp.box_xyxy == pytest.approx((x_min, y_min, x_max, y_max), abs=1e-3)
    np.testing.assert_allclose(followed_xyxy, lamp.box_xyxy, atol=1e-3)
    bright = image[:, :, 0] == BRIGHT
    assert (lamp.mask & bright).sum() > 0.85 * (lamp.mask | bright).sum()


def test_the_border_of_a_letterbox_is_grey_whatever_was_there_before() -> None:
    network = lamp_network(LetterboxLampConfig)
    with Predictor(network, device="cpu") as predictor:
        bright = np.full((64, 64, 3), BRIGHT, np.uint8)
        predictor.settings = PredictionSettings(top_k=200, score_threshold=0.5)
        assert len(predictor.predict(bright)) > 64
        assert len(predictor.predict(dark_image(32, 64))) == 0


@pytest.mark.parametrize(
    ("decoder", "found_px"),
    [(WideLampDecoder(), [0]), (WideSeparateLampDecoder(), [0, 8, 16])],
    ids=["NMS", "no NMS"],
)
def test_boxes_compete_only_in_a_family_that_says_so(
    decoder: OutputDecoder, found_px: list[int]
) -> None:
    settings = PredictionSettings(top_k=3, nms_threshold=0.1, class_ids=(0,))
    image = dark_image(64, 64)
    image[:8, :40] = BRIGHT
    with Predictor(lamp_network(decoder=decoder), device="cpu", settings=settings) as predictor:
        found = predictor.predict(image)
    np.testing.assert_allclose(found.boxes_xyxy[:, 0], found_px)


def test_a_class_filter_and_damaged_outputs_are_the_same_in_every_family() -> None:
    settings = PredictionSettings(class_ids=(1,))
    image = dark_image(64, 64)
    image[:8, :8] = BRIGHT
    network = lamp_network()
    with Predictor(network, device="cpu", settings=settings) as predictor:
        assert [instance.class_name for instance in predictor.predict(image)] == ["window"]
        network.gains[0] = np.nan
        with pytest.raises(Exception, match="class scores"):
            predictor.predict(image)
