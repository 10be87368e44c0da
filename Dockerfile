# ROS 2 Jazzy with yolact_ros and torch for the CPU, by the steps of docs/robot.md. Written where no
# Docker was at hand: never built.
#
#   docker build -t yolact_ros .
#   docker run --rm -it --net=host --ipc=host yolact_ros \
#     ros2 launch yolact_ros yolact.launch.py image:=/camera/image_raw
FROM ros:jazzy-ros-base

SHELL ["/bin/bash", "-c"]
WORKDIR /ws
COPY . src/yolact_ros
RUN apt-get update \
    && apt-get install -y python3-venv ros-jazzy-image-transport-plugins ros-jazzy-rosbag2 \
    && rosdep update \
    && rosdep install --from-paths src --ignore-src -y \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --system-site-packages .venv \
    && touch .venv/COLCON_IGNORE \
    && .venv/bin/pip install --no-cache-dir torch safetensors \
        --extra-index-url https://download.pytorch.org/whl/cpu
RUN source /opt/ros/jazzy/setup.bash \
    && source .venv/bin/activate \
    && colcon build --packages-select yolact_ros

ENTRYPOINT ["/bin/bash", "-c", "source /ws/.venv/bin/activate && source /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["bash"]
