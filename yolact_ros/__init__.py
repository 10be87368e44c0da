"""YOLACT instance segmentation for ROS 2 under a fixed frame budget."""

from pkgutil import extend_path

# The generated interfaces are installed as yolact_ros.msg and yolact_ros.srv, on a colcon underlay
# possibly in another directory than these modules: search every yolact_ros directory on sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
