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
