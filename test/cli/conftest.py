"""Fixtures of the command-line tests."""

from ros_fixtures import tiny_model

__all__ = ["tiny_model"]
