"""Fixtures of the ROS tests."""

from ros_fixtures import camera, client, domain_id, ros_env, running_node, tiny_model

__all__ = ["camera", "client", "domain_id", "ros_env", "running_node", "tiny_model"]
