"""Fixtures of the launch tests."""

from ros_fixtures import client, domain_id, ros_env, tiny_model

__all__ = ["client", "domain_id", "ros_env", "tiny_model"]
