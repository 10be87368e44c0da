"""Names that users give: every usual kind of file, and one error that names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yolact_ros.class_names import find_class_names, read_class_names
from yolact_ros.errors import ConfigError


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("parts.txt", "bolt\nhex nut\n"),
        ("parts.names", "bolt\r\nhex nut\r\n"),
        ("parts.txt", b"\xef\xbb\xbfbolt\nhex nut"),
        ("parts.txt", "bolt\nhex nut\n".encode("utf-16")),
        ("parts.txt", "# of the new camera\n\n  bolt \n\nhex nut\n\n"),
        ("parts.lst", "bolt\nhex nut\n"),
        ("parts.yaml", "[bolt, hex nut]"),
        ("parts.yml", "- bolt\n- hex nut\n"),
        ("data.yaml", "path: ../parts\nnc: 2\nnames: [bolt, hex nut]\n"),
        ("data.yaml", "names:\n  0: bolt\n  1: hex nut\n"),
        ("data.yaml", "names: {1: hex nut, 0: bolt}"),
        ("parts.yaml", "class_names: [bolt, hex nut]"),
        ("parts.yaml", b"\xef\xbb\xbfnames:\r\n- bolt\r\n- hex nut\r\n"),
        ("parts.json", '["bolt", "hex nut"]'),
        (
            "coco.json",
            json.dumps(
                {
                    "images": [],
                    "categories": [{"id": 7, "name": "hex nut"}, {"id": 2, "name": "bolt"}],
                }
            ),
        ),
    ],
)
def test_every_usual_kind_of_file_is_read(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert read_class_names(written(tmp_path / name, content)) == ("bolt", "hex nut")


def test_words_of_yaml_stay_as_they_are_written(tmp_path: Path) -> None:
    path = written(
        tmp_path / "words.yaml", "names: [no, yes, on, off, 007, 1e3, null, ~, 2024-01-01]"
    )
    assert read_class_names(path) == (
        "no", "yes", "on", "off", "007", "1e3", "null", "~", "2024-01-01",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "", "has no class names; expected one name a line"),
        ("a.txt", "# nothing\n\n", "has no class names"),
        ("a.txt", "bolt\nnut\nbolt\nnut\npin\n", "bolt, nut more than once"),
        ("a.txt", b"\xff\x00bolt", "is no text in UTF-8"),
        ("a.txt", b"bolt\nn\x00ut\n", "is no class name, expected text in one line"),
        ("a.yaml", "nc: 3", "has no class names"),
        ("a.yaml", "names: [", "cannot be read"),
        ("a.yaml", "names: {0: bolt, 2: nut}", "the indices are 0, 2, not 0, 1, 2"),
        ("a.yaml", "names: {bolt: 0, nut: 1}", "cannot be read"),
        ("a.yaml", "names: [[bolt], nut]", "['bolt'] is no class name"),
        ("a.yaml", "names: [bolt, '']", "'' is no class name"),
        ("a.json", "[1, 2]", "1 is no class name"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.json", '{"categories": 3}', "has no class names"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(ConfigError) as caught:
        read_class_names(path)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)


def test_names_are_given_as_they_are_or_as_one_file(tmp_path: Path) -> None:
    path = written(tmp_path / "parts.txt", "bolt\nnut\n")
    assert find_class_names(()) is None
    from_file = find_class_names((str(path),))
    assert from_file is not None
    assert (from_file.names, from_file.source) == (("bolt", "nut"), str(path))
    listed = find_class_names(("bolt", " nut "))
    assert listed is not None
    assert listed.names == ("bolt", "nut")
    single = find_class_names(("person",))
    assert single is not None
    assert single.names == ("person",)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the class names in .*none\.txt: No such"):
        find_class_names((str(tmp_path / "none.txt"),))


def test_names_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match="bolt more than once"):
        find_class_names(("bolt", "nut", "bolt"))
