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

// Prints what /yolact/objects contains: class, track id, distance; the nearest object first.

#include <algorithm>
#include <memory>
#include <vector>

#include "rclcpp/rclcpp.hpp"
#include "yolact_ros/msg/object3_d_array.hpp"

class ObjectListener : public rclcpp::Node
{
public:
  ObjectListener()
  : Node("object_listener")
  {
    subscription_ = create_subscription<yolact_ros::msg::Object3DArray>(
      "/yolact/objects", rclcpp::QoS(5),
      [this](const yolact_ros::msg::Object3DArray & message) {print(message);});
  }

private:
  void print(const yolact_ros::msg::Object3DArray & message) const
  {
    std::vector<yolact_ros::msg::Object3D> located;
    for (const auto & object : message.objects) {
      if (object.located) {
        located.push_back(object);
      }
    }
    std::sort(
      located.begin(), located.end(),
      [](const auto & a, const auto & b) {return a.distance < b.distance;});
    for (const auto & object : located) {
      RCLCPP_INFO(
        get_logger(), "%s #%u %.2f m", object.class_name.c_str(), object.track_id,
        object.distance);
    }
  }

  rclcpp::Subscription<yolact_ros::msg::Object3DArray>::SharedPtr subscription_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<ObjectListener>());
  rclcpp::shutdown();
  return 0;
}
