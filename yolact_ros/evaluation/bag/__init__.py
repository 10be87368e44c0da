"""Evaluation on recorded bags: reading, truth, replay, metrics, report; no ROS install needed."""
