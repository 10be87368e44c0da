"""What `yolact doctor` finds out of ROS, its nodes and topics."""
