"""Fixtures of the benchmark tests."""

from ros_fixtures import tiny_model

__all__ = ["tiny_model"]
