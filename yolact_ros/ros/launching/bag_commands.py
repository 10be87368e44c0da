"""Command lines of ``ros2 bag``, with options that Jazzy's and newer rosbag2 have alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["play_command", "record_command"]


def play_command(
    bag: str,
    *,
    rate: float = 1.0,
    start_offset_s: float = 0.0,
    loop: bool = False,
    clock_hz: float = 0.0,
    paused: bool = False,
    renamed: Mapping[str, str] | None = None,
    qos_overrides: str = "",
) -> list[str]:
    """``ros2 bag play``.

    Args:
        bag: folder or file.
        rate: times as fast as recorded.
        start_offset_s: seconds of the bag to leave out at its beginning.
        loop: begin again at the end, for ever.
        clock_hz: how often /clock is published; 0 publishes none.
        paused: wait for the service ``/rosbag2_player/resume``; /clock is published meanwhile.
        renamed: topics of the bag to publish under another name.
        qos_overrides: YAML file of ``--qos-profile-overrides-path``; empty offers what was
            offered at the recording.
    """
    # The bag comes first: options that take several values would take it for one of theirs.
    command = ["ros2", "bag", "play", bag, "--rate", f"{rate:g}", "--disable-keyboard-controls"]
    if start_offset_s:
        # Only where there is one: before 0.26.4 rosbag2 refused an offset of 0.
        command += ["--start-offset", f"{start_offset_s:g}"]
    if loop:
        command.append("--loop")
    if paused:
        command.append("--start-paused")
    if clock_hz:
        command += ["--clock", f"{clock_hz:g}"]
    if qos_overrides:
        command += ["--qos-profile-overrides-path", qos_overrides]
    if renamed:
        command += ["--remap", *(f"{old}:={new}" for old, new in renamed.items())]
    return command


def record_command(output: str, topics: Sequence[str], *, sim_time: bool) -> list[str]:
    """``ros2 bag record``.

    Args:
        output: folder to create; rosbag2 refuses one that exists.
        topics: resolved names.
        sim_time: stamp with /clock, so that messages lie where they belong in the bag's time.
    """
    command = ["ros2", "bag", "record", "--output", output]
    if sim_time:
        command.append("--use-sim-time")
    return [*command, "--topics", *topics]
