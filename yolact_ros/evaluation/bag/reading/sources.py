"""The bags that a user names: one by one, by a pattern, or as the lines of a manifest."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from yolact_ros.errors import ConfigError, DataError, YolactError
from yolact_ros.evaluation.bag.reading.location import BagPath, RemotePath, location

__all__ = ["BagSource", "check_topic_name", "read_sources"]

PATH, TOPIC, TRUTH = "path", "topic", "truth"


def check_topic_name(name: str) -> None:
    """Refuse what is no name of a topic.

    Raises:
        ConfigError: it does not start with a slash.
    """
    if not name.startswith("/"):
        raise ConfigError(f"{name!r} is no topic: expected a name that starts with /")


@dataclass(frozen=True)
class BagSource:
    """A bag to evaluate.

    Attributes:
        path: of the bag, or its address.
        topic: of images; empty takes the only one.
        truth: a COCO file or a topic; empty for none.
        tags: what groups of bags have in common, such as site or weather: name and value.
    """

    path: BagPath
    topic: str = ""
    truth: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def absolute(self) -> BagSource:
        """The same for a process that runs in another folder."""
        path = self.path if isinstance(self.path, RemotePath) else self.path.absolute()
        return replace(self, path=path, truth=_placed(self.truth, Path.cwd()))


def read_sources(
    texts: Sequence[str], topic: str = "", truth: Sequence[str] = ()
) -> tuple[list[BagSource], dict[str, str]]:
    """Find the bags that arguments name.

    Args:
        texts: paths and addresses, with ``*`` for several, and manifests: files of the suffix
            ``.csv`` with a column ``path``, maybe ``topic`` and ``truth``, and a tag each other.
            Paths in a manifest are relative to its folder.
        topic: where a manifest names none.
        truth: likewise; one for all, or one for each of ``texts``.

    Returns:
        The bags, and why others cannot be used, by their place.

    Raises:
        ConfigError: another number of truths than of bags.
        DataError: a manifest cannot be read at all.
    """
    if len(truth) not in (0, 1, len(texts)):
        raise ConfigError(
            f"{len(truth)} truths for {len(texts)} bags: give one for all or one each"
        )
    sources: list[BagSource] = []
    unusable: dict[str, str] = {}
    for number, text in enumerate(texts):
        default = BagSource(Path(), topic, truth[number % len(truth)] if truth else "")
        try:
            found = _found(text, default, unusable)
        except YolactError as error:
            if len(texts) == 1:
                raise
            unusable[text] = str(error)
        else:
            sources += found
    return sources, unusable


def _found(text: str, default: BagSource, unusable: dict[str, str]) -> list[BagSource]:
    path = location(text)
    if path.suffix == ".csv":
        return list(_manifest(path, default, unusable))
    paths: list[BagPath] = [path]
    if isinstance(path, RemotePath):
        if "*" in text:
            paths = [*path.glob()]
    elif "*" in text and not path.exists():
        paths = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not paths:
        raise DataError(f"{path}: no bag is of this pattern")
    return [replace(default, path=path) for path in paths]


def _manifest(path: BagPath, default: BagSource, unusable: dict[str, str]) -> Iterator[BagSource]:
    rows = csv.reader(io.StringIO(_text(path)), strict=True)
    lines: dict[tuple[BagPath, str], int] = {}
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            row = [cell.strip() for cell in next(rows)]
        except StopIteration:
            break
        except csv.Error as error:
            unusable[f"{path}:{line}"] = f"{path}:{line}: not CSV: {error}"
            continue
        if not any(row) or row[0].startswith("#"):
            continue
        if header is None:
            header = row
            if PATH not in header or "" in header or len(set(header)) < len(header):
                raise DataError(
                    f"{path}:{line}: expected names of columns, each once: path, maybe topic and "
                    f"truth, and a tag each other; found {', '.join(row)}"
                )
            continue
        try:
            source = _line(dict(zip(header, row, strict=False)), path.parent, default)
            if len(row) != len(header):
                raise DataError(f"expected {len(header)} fields as in line 1, found {len(row)}")
            same = lines.setdefault((source.path, source.topic), line)
            if same != line:
                raise DataError(f"the bag and topic of line {same} again; it counts once")
        except YolactError as error:
            unusable[f"{path}:{line}"] = f"{path}:{line}: {error}"
        else:
            yield source
    if header is None:
        raise DataError(f"{path}: expected a line with the names of columns, found none")


def _line(values: Mapping[str, str], folder: BagPath, default: BagSource) -> BagSource:
    name = values.get(PATH, "")
    if not name:
        raise DataError("no path; expected that of a bag")
    topic = values.get(TOPIC, "") or default.topic
    if topic:
        check_topic_name(topic)
    truth = values.get(TRUTH, "")
    return BagSource(
        path=location(name) if "://" in name else folder / name,
        topic=topic,
        truth=_placed(truth, folder) if truth else default.truth,
        tags={
            key: value
            for key, value in values.items()
            if value and key not in (PATH, TOPIC, TRUTH)
        },
    )


def _placed(truth: str, folder: BagPath) -> str:
    """A truth whose file or bag is named from ``folder``."""
    topic, at, name = truth.partition("@") if truth.startswith("/") else ("", "", truth)
    if not name or "://" in name:
        return truth
    placed = folder / name
    return f"{topic}{at}{placed.url if isinstance(placed, RemotePath) else placed}"


def _text(path: BagPath) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8: {error}") from error
