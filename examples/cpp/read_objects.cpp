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

// Reads one serialised yolact_ros/msg/Object3DArray, as a bag or a raw subscription has it, and prints
// where each object is, or why that is not known:
//   read_objects MESSAGE_FILE
//
// Inside a node print() is the same; see object_listener.cpp.

#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "fastcdr/Cdr.h"
#include "fastcdr/FastBuffer.h"
#include "fastcdr/exceptions/Exception.h"
#include "yolact_ros/msg/detail/object3_d_array__rosidl_typesupport_fastrtps_cpp.hpp"
#include "yolact_ros/msg/object3_d_array.hpp"

using yolact_ros::msg::Object3DArray;

namespace
{

Object3DArray read_message(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path);
  }
  std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  eprosima::fastcdr::FastBuffer buffer(bytes.data(), bytes.size());
  eprosima::fastcdr::Cdr cdr(
    buffer, eprosima::fastcdr::Cdr::DEFAULT_ENDIAN, eprosima::fastcdr::CdrVersion::XCDRv1);
  Object3DArray message;
  try {
    cdr.read_encapsulation();
    yolact_ros::msg::typesupport_fastrtps_cpp::cdr_deserialize(cdr, message);
  } catch (const eprosima::fastcdr::exception::Exception &) {
    throw std::runtime_error(path + " holds no yolact_ros/msg/Object3DArray");
  }
  return message;
}

void print(const Object3DArray & message)
{
  for (const auto & object : message.objects) {
    std::cout << object.class_name << " #" << object.track_id;
    if (!object.located) {
      std::cout << ": " << object.reason << '\n';
      continue;
    }
    const auto & size = object.box_size;
    std::cout << ": " << object.distance << " m away, " << size.x << " x " << size.y << " x " <<
      size.z << " m";
    if (object.velocity_known) {
      const auto & velocity = object.velocity;
      std::cout << ", goes " << velocity.x << ' ' << velocity.y << ' ' << velocity.z <<
        " m/s in " << message.velocity_frame;
    }
    std::cout << '\n';
  }
}

}  // namespace

int main(int argc, char ** argv)
{
  if (argc != 2) {
    std::cerr << "usage: read_objects MESSAGE_FILE\n";
    return 2;
  }
  try {
    print(read_message(argv[1]));
  } catch (const std::exception & error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
