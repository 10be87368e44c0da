"""Message definitions without a ROS install: ours from msg/*.msg, foreign ones from the bag."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.resources import find_resource, resource_folders

__all__ = [
    "COMPRESSED_IMAGE",
    "IMAGE",
    "INSTANCE_ARRAY",
    "default_typestore",
    "definitions_folder",
    "older_typestore",
    "typestore_from_definition",
]

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
INSTANCE_ARRAY = "yolact_ros/msg/InstanceArray"
# Of Instance.msg; bags from before have instances without them.
TRACK_FIELDS = ("uint32 track_id", "uint32 track_age")


def definitions_folder() -> Path:
    """The folder with this package's ``*.msg`` files: source checkout, colcon or pip install.

    Raises:
        DataError: no such folder; the message lists where it was looked for.
    """
    file = find_resource("msg/InstanceArray.msg")
    if file is None:
        looked = ", ".join(str(folder / "msg") for folder in resource_folders())
        raise DataError(f"InstanceArray.msg was not found in {looked}: reinstall yolact_ros")
    return file.parent


@cache
def default_typestore() -> Any:
    """A rosbags typestore with ROS 2 Jazzy's messages and this package's.

    Raises:
        DependencyError: rosbags is not installed.
        DataError: this package's message definitions are missing or malformed.
    """
    return _typestore(())


@cache
def older_typestore() -> Any:
    """:func:`default_typestore` as it was before objects were tracked.

    Raises:
        As there.
    """
    return _typestore(TRACK_FIELDS)


def _typestore(without: tuple[str, ...]) -> Any:
    typesys = require("rosbags.typesys", extra="bag")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for path in sorted(definitions_folder().glob("*.msg")):
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join(line for line in lines if line not in without)
        try:
            types.update(typesys.get_types_from_msg(text, f"yolact_ros/msg/{path.stem}"))
        except typesys.TypesysError as error:
            raise DataError(f"{path} is not a message definition: {error}") from error
    store.register(types)
    return store


def typestore_from_definition(message_type: str, definition: str, *, is_idl: bool) -> Any:
    """A typestore that reads one type as the bag's recorder defined it.

    Args:
        message_type: for example ``sensor_msgs/msg/Image``.
        definition: text stored in the bag, with the definitions it depends on.
        is_idl: the text is OMG IDL, otherwise ROS msg format.

    Raises:
        DataError: the text cannot be parsed or does not define ``message_type``.
    """
    typesys = require("rosbags.typesys", extra="bag")
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    try:
        if is_idl:
            types = _types_from_idl(typesys, definition)
        else:
            types = typesys.get_types_from_msg(definition, message_type)
        store.register(types)
        store.get_msgdef(message_type)
    except Exception as error:
        raise DataError(
            f"the bag's definition of {message_type} cannot be used: {error}"
        ) from error
    return store


def _types_from_idl(typesys: Any, definition: str) -> dict[str, Any]:
    separator = "=" * 80 + "\n"
    if not definition.startswith(f"{separator}IDL: "):
        return dict(typesys.get_types_from_idl(definition))
    types: dict[str, Any] = {}
    for part in definition.split(separator)[1:]:
        _, _, text = part.partition("\n")
        types.update(typesys.get_types_from_idl(text))
    return types
