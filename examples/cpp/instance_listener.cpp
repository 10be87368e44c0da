// Copyright 2026 yolact_ros maintainers
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
//     http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

// Prints what /yolact/instances contains: class, score, mask area, and how late the frame was.

#include <cstddef>
#include <memory>

#include "rclcpp/rclcpp.hpp"
#include "yolact_ros/masks.hpp"

class InstanceListener : public rclcpp::Node
{
public:
  InstanceListener()
  : Node("instance_listener")
  {
    subscription_ = create_subscription<yolact_ros::msg::InstanceArray>(
      "/yolact/instances", rclcpp::QoS(5),
      [this](const yolact_ros::msg::InstanceArray & message) {print(message);});
  }

private:
  void print(const yolact_ros::msg::InstanceArray & message) const
  {
    for (const auto & instance : message.instances) {
      std::size_t area_px = 0;
      yolact_ros::masks::for_each_pixel(instance.mask, [&](auto, auto) {++area_px;});
      RCLCPP_INFO(
        get_logger(), "%s %.2f: %zu pixels", instance.class_name.c_str(), instance.score, area_px);
    }
    if (!message.report.deadline_met) {
      RCLCPP_WARN(
        get_logger(), "late by %.1f ms", message.report.total_ms - message.report.budget_ms);
    }
  }

  rclcpp::Subscription<yolact_ros::msg::InstanceArray>::SharedPtr subscription_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<InstanceListener>());
  rclcpp::shutdown();
  return 0;
}
