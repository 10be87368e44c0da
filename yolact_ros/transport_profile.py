"""The environment variable by which Fast DDS finds its profile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PROFILE_VARIABLES", "profile_variable"]

# Fast DDS 2 (Jazzy) reads the first. Fast DDS 3 (Kilted and newer) reads the second, and warns of
# the first in every process.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def profile_variable(environment: Mapping[str, str] = os.environ) -> str:
    """The one of :data:`PROFILE_VARIABLES` that the ROS in ``environment`` reads."""
    prefixes = environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    newer = any((Path(prefix) / "share" / "fastdds").is_dir() for prefix in prefixes if prefix)
    return PROFILE_VARIABLES[newer]
