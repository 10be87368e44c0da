"""What a network's config refuses, wherever it comes from."""

from __future__ import annotations

import re
from typing import Any

import pytest

from yolact_ros.config import variant
from yolact_ros.errors import ConfigError
from yolact_ros.models.families import config_from_dict


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("class_names", [False], "class_names is (False,), expected text for every name"),
        ("class_names", [""], "class_names is ('',), expected text for every name"),
        ("class_names", "abc", "class_names is 'abc', expected a list"),
        ("class_names", [], "expected at least one name"),
        ("class_names", ["nut", "nut"], "expected names without repetition"),
        ("name", None, "name is None, expected text"),
        ("input_size_px", "320", "input_size_px is '320', expected a whole number"),
        ("input_size_px", 16, "input_size_px is 16, expected 64..2048"),
        ("num_prototypes", True, "num_prototypes is True, expected a whole number"),
        ("prior_reference_size_px", 0, "prior_reference_size_px is 0, expected 64..2048"),
        ("square_priors", 1, "square_priors is 1, expected true or false"),
        ("prior_scales_px", [1, 2, 3, 4, 5], "expected a list for every level"),
        ("prior_scales_px", [[float("inf")]] * 5, "equally many positive sizes"),
        ("prior_ratios", ["1"], "prior_ratios is ('1',), expected positive numbers"),
        ("deformable_interval", -1, "deformable_interval is -1"),
        ("normalization", None, "malformed"),
        ("normalization", {"mean_bgr": [0, 0, 0], "std_bgr": [1, 0, 1]}, "std_bgr is (1, 0, 1)"),
        ("normalization", {"mean_bgr": [0], "std_bgr": [1, 1, 1]}, "expected three numbers"),
    ],
)
def test_a_value_that_is_no_network_is_refused_by_name(
    field: str, value: Any, reason: str
) -> None:
    values = {**variant("yolact_light").to_dict(), field: value}
    with pytest.raises(ConfigError, match=re.escape(reason)):
        config_from_dict(values)
