"""Evaluation on recorded bags; no ROS install needed.

Imports go one way: ``reading <- truth <- units <- scoring <- report <- compare``.
"""
