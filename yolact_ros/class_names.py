"""Class names that the user gives: a list, or a file of one of the usual kinds."""

from __future__ import annotations

import codecs
import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yolact_ros.errors import ConfigError

__all__ = [
    "ClassNames",
    "class_ids_of",
    "class_names_beside",
    "find_class_names",
    "read_class_names",
]

TEXT_SUFFIXES = (".txt", ".names")
YAML_SUFFIXES = (".yaml", ".yml")
SUFFIXES = (*TEXT_SUFFIXES, *YAML_SUFFIXES, ".json")
LIST_KEYS = ("names", "class_names", "classes", "categories")
BACKGROUND = ("background", "__background__", "_background_")
EXPECTED = (
    "expected one name a line (.txt, .names), a list or `names:` in YAML, or a COCO annotation "
    "file"
)


@dataclass(frozen=True)
class ClassNames:
    """Names and where they are from.

    Attributes:
        names: the index is the class id.
        source: for people: a path, or what the names were given as.
    """

    names: tuple[str, ...]
    source: str

    def check_count(self, num_classes: int, weights: str) -> None:
        """Whether these are names for the classes of some weights.

        Raises:
            ConfigError: another number of names.
        """
        if len(self.names) == num_classes:
            return
        hint = ""
        if len(self.names) == num_classes + 1 and self.names[0].lower() in BACKGROUND:
            hint = f" (leave {self.names[0]} out, it is no class of the network)"
        raise ConfigError(
            f"{self.source} has {_count(self.names)}, but {weights} has {num_classes} "
            f"class{'es' * (num_classes != 1)}: "
            f"give one name for every class, in the order of training{hint}, with class_names "
            "(--class-names)"
        )


def find_class_names(words: Sequence[str]) -> ClassNames | None:
    """The names that an option or parameter gives: themselves, or those in the one file named.

    Args:
        words: names, or one path of a file; empty for None.

    Raises:
        ConfigError: no such file, a file without names, or a name twice.
    """
    if not words:
        return None
    path = Path(words[0]).expanduser()
    if len(words) == 1 and (path.suffix.lower() in SUFFIXES or path.is_file()):
        return ClassNames(read_class_names(path), str(path))
    source = "the list of class names"
    return ClassNames(_checked(words, source), source)


def class_names_beside(weights: Path) -> ClassNames | None:
    """The names in ``parts.txt`` (.names, .yaml, .yml) for ``parts.pth``, None without the file.

    A file without any names, such as a YAML file of settings, is not meant.

    Raises:
        ConfigError: as :func:`read_class_names`.
    """
    for suffix in (*TEXT_SUFFIXES, *YAML_SUFFIXES):
        path = weights.with_suffix(suffix)
        if path.is_file() and (names := _names_in(path)):
            return ClassNames(_checked(names, str(path)), str(path))
    return None


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names in a file, by its suffix.

    * ``.yaml``, ``.yml``: a list, or a list or mapping of index to name under ``names`` (as in
      Ultralytics' data.yaml), ``class_names``, ``classes`` or ``categories``. Words stay as they
      are written: ``no`` and ``007`` are names.
    * ``.json``: the same, or the categories of a COCO annotation file in order of their ids.
    * all else: one a line; empty lines and lines that start with ``#`` do not count.

    Raises:
        ConfigError: not readable, no names in it, or a name twice.
    """
    names = _names_in(path)
    if not names:
        raise ConfigError(f"{path} has no class names; {EXPECTED}")
    return _checked(names, str(path))


def class_ids_of(classes: Iterable[str], class_names: Sequence[str]) -> tuple[int, ...] | None:
    """Indices of the classes to keep, None for all.

    Args:
        classes: names to keep; empty keeps all.

    Raises:
        ConfigError: the model has no such class; the message proposes the nearest name.
    """
    chosen = tuple(classes)
    for name in chosen:
        if name not in class_names:
            close = difflib.get_close_matches(name, class_names, n=1)
            guess = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(class_names)}"
            raise ConfigError(f"classes: the model has no class {name!r}; {guess}")
    return tuple(sorted({class_names.index(name) for name in chosen})) or None


def _names_in(path: Path) -> list[Any]:
    text = _read_text(path)
    try:
        if path.suffix.lower() in YAML_SUFFIXES:
            # The base loader makes text of every value; the safe one makes False of `no`.
            return _listed(yaml.load(text, Loader=yaml.BaseLoader))
        if path.suffix.lower() == ".json":
            return _listed(json.loads(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path}: cannot be read ({reason}); {EXPECTED}") from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the class names in {path}: {error.strerror}") from error
    # Windows' PowerShell writes UTF-16 with a byte order mark.
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8; {EXPECTED}") from error


def _listed(content: Any) -> list[Any]:
    """The list of names in what YAML or JSON holds; empty where there is none."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in LIST_KEYS if key in content), None)
    if isinstance(content, Mapping):
        content = _in_order_of_index(content)
    if not isinstance(content, list):
        return []
    if content and all(isinstance(item, Mapping) and "name" in item for item in content):
        if all(type(item.get("id")) is int for item in content):
            content = sorted(content, key=lambda item: int(item["id"]))
        return [item["name"] for item in content]
    return content


def _in_order_of_index(names: Mapping[Any, Any]) -> list[Any]:
    by_index = {int(key): name for key, name in names.items()}
    if sorted(by_index) != list(range(len(names))):
        raise ValueError(f"the indices are {', '.join(map(str, names))}, not 0, 1, 2, ...")
    return [by_index[index] for index in range(len(names))]


def _checked(names: Sequence[Any], source: str) -> tuple[str, ...]:
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ConfigError(f"{source}: {name!r} is no class name, expected text in one line")
    checked = tuple(name.strip() for name in names)
    repeated = [name for name, count in Counter(checked).items() if count > 1]
    if repeated:
        raise ConfigError(
            f"{source}: {', '.join(repeated)} more than once, expected every class name once"
        )
    return checked


def _count(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} names ({shown})" if len(names) != 1 else f"1 name ({shown})"
