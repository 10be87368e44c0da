"""Fixtures of the ROS tests."""

from ros_fixtures import (
    camera,
    client,
    domain_id,
    reserved_domains,
    ros_env,
    running_node,
    session_client,
    tiny_model,
)

__all__ = [
    "camera",
    "client",
    "domain_id",
    "reserved_domains",
    "ros_env",
    "running_node",
    "session_client",
    "tiny_model",
]
