"""The ROS 2 node: the only part of the package that imports rclpy and messages."""

import os

# Before torch loads libgomp, which reads it then. By default its threads spin at the end of every
# layer; where other programs want the cores too, each waits for one that has none: a frame of the
# light network took 14 to 20 s on two busy cores, and 0.6 to 0.7 s with this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
