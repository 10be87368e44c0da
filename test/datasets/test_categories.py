"""Classes and categories by their names."""

from __future__ import annotations

import pytest

from yolact_ros.datasets.categories import default_category_ids, match_categories
from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.errors import DataError


def test_classes_are_matched_by_name() -> None:
    categories = [CocoCategory(1, "person"), CocoCategory("w", "Wine_Glass")]
    assert match_categories(["wine glass", "dog", "person"], categories) == ("w", None, 1)
    with pytest.raises(
        DataError, match=r"share no class name: the model has dog, .* person, Wine"
    ):
        match_categories(["dog"], categories)


def test_the_exact_name_comes_first() -> None:
    categories = [CocoCategory(1, "person"), CocoCategory(2, "Person")]
    assert match_categories(["person", "Person"], categories) == (1, 2)


def test_a_class_that_can_be_two_categories_names_both() -> None:
    categories = [CocoCategory(1, "PERSON"), CocoCategory(2, "Person")]
    with pytest.raises(DataError, match=r"'person' .*'PERSON' \(id 1\), 'Person' \(id 2\)"):
        match_categories(["person"], categories)


def test_classes_of_coco_get_cocos_ids_and_others_are_numbered() -> None:
    assert default_category_ids(["dog", "person"]) == (18, 1)
    assert default_category_ids(["dog", "my part"]) == (1, 2)
