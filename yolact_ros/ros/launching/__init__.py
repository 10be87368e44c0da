"""What the launch files share; it needs the packages launch and launch_ros, and no torch."""
