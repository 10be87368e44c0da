"""The bytes of COCO files: encodings, and what is no annotation file at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from coco_content import truth_content

from yolact_ros.datasets.coco_file import parse_coco, read_categories, read_coco_file
from yolact_ros.errors import DataError


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: gzip.compress(text.encode()),
    ],
    ids=["UTF-8", "UTF-8 with BOM", "UTF-16 with BOM", "UTF-16", "gzip"],
)
def test_every_encoding_of_json_is_read(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(encode(json.dumps(truth_content())))
    assert read_coco_file(path) == parse_coco(truth_content())
    assert [row.name for row in read_categories(path)] == ["bolt", "nut"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (b"{", "not JSON"),
        (b'{"images": "\xe4"}', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"images": %s}' % (b"9" * 5000), "not JSON"),
        (b"\x1f\x8bgzip", "damaged gzip"),
        (gzip.compress(b"[]" * 1000, mtime=0)[:-9], "damaged gzip"),
        (b"null", "no list 'images'"),
        (b"[]", "a list of detections is a results file"),
        (b'{"images": [], "annotations": []}', "no list 'categories'"),
        (b'{"images": null, "annotations": [], "categories": []}', "no list 'images'"),
        (b'{"images": [], "annotations": {}, "categories": []}', "no list 'annotations'"),
    ],
)
def test_a_file_that_is_no_annotation_file_is_named(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(data)
    for read in (read_coco_file, read_categories):
        with pytest.raises(DataError, match=message) as error:
            read(path)
        assert "labels.json: " in str(error.value)
        assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_coco_file(path)
