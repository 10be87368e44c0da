"""Fixtures of the launch tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from ros_fixtures import client, domain_id, ros_env, session_client, tiny_model

__all__ = ["client", "domain_id", "ros_env", "session_client", "tiny_model"]


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rviz files that the launch files write go away with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
