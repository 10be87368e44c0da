"""What the readers of a bag's storage hand over."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BagTopic", "RawMessage"]


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name: for example ``/camera/image_raw``.
        message_type: for example ``sensor_msgs/msg/Image``.
        message_count: messages stored; None where the bag must be read to know.
        definition: the recorder's text of the type; empty where the bag holds none.
        is_idl: ``definition`` is OMG IDL instead of ROS msg format.
    """

    name: str
    message_type: str
    message_count: int | None = None
    definition: str = ""
    is_idl: bool = False


@dataclass(frozen=True)
class RawMessage:
    """One message as stored.

    Attributes:
        topic: it was recorded from.
        log_time_ns: when the recorder received it, nanoseconds since the epoch.
        data: CDR with its four bytes of encapsulation.
    """

    topic: BagTopic
    log_time_ns: int
    data: bytes
