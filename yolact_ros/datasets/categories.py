"""Classes of a model and categories of a data set, matched by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from yolact_ros.classes import COCO_CATEGORY_IDS, COCO_CLASSES
from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.values import Id
from yolact_ros.errors import DataError

__all__ = ["default_category_ids", "find_category", "match_categories", "normal_name"]


def normal_name(name: str) -> str:
    """A name as it is compared: "Wine_Glass" is "wine glass"."""
    return name.strip().lower().replace("_", " ")


def find_category(name: str, categories: Iterable[CocoCategory]) -> Id | None:
    """Id of the category of that name, in any letter case; None where there is none.

    Raises:
        DataError: several have the name.
    """
    alike = [row for row in categories if normal_name(row.name) == normal_name(name)]
    exact = [row for row in alike if row.name == name]
    found = exact or alike
    if len(found) > 1:
        listed = ", ".join(f"{row.name!r} (id {row.id!r})" for row in found)
        raise DataError(
            f"the class {name!r} can be any of the data set's categories {listed}; give them "
            "different names, or their annotations one category"
        )
    return found[0].id if found else None


def match_categories(
    class_names: Sequence[str], categories: Sequence[CocoCategory]
) -> tuple[Id | None, ...]:
    """Category id of each class of a model, by name; None where the data set has no such name.

    Raises:
        DataError: not one name is in both, or several categories have the name of one class.
    """
    matched = tuple(find_category(name, categories) for name in class_names)
    if all(category_id is None for category_id in matched):
        names = [row.name for row in categories]
        raise DataError(
            "the model and the data set share no class name: "
            f"the model has {_listed(class_names)}, the data set {_listed(names) or 'none'}"
        )
    return matched


def default_category_ids(class_names: Sequence[str]) -> tuple[int, ...]:
    """COCO's category ids where every class is one of COCO's, else 1, 2, ..."""
    coco_ids = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    if all(name in coco_ids for name in class_names):
        return tuple(coco_ids[name] for name in class_names)
    return tuple(range(1, len(class_names) + 1))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + ("..." if len(names) > 5 else "")
