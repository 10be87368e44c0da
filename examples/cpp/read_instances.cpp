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

// Reads one serialised yolact_ros/msg/InstanceArray, as a bag or a raw subscription has it, prints
// its instances and writes their masks as images:
//   read_instances MESSAGE_FILE OUTPUT_FOLDER
//
// OUTPUT_FOLDER gets mask_0.pgm, mask_1.pgm, ... (255 = object) and labels.pgm (16 bits, index of
// the instance + 1). Inside a node the decoding is the same; see instance_listener.cpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
#include "yolact_ros/masks.hpp"
#include "yolact_ros/msg/detail/instance_array__rosidl_typesupport_fastrtps_cpp.hpp"

using yolact_ros::msg::InstanceArray;

namespace
{

InstanceArray read_message(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path);
  }
  std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  eprosima::fastcdr::FastBuffer buffer(bytes.data(), bytes.size());
  eprosima::fastcdr::Cdr cdr(
    buffer, eprosima::fastcdr::Cdr::DEFAULT_ENDIAN, eprosima::fastcdr::CdrVersion::XCDRv1);
  InstanceArray message;
  try {
    cdr.read_encapsulation();
    yolact_ros::msg::typesupport_fastrtps_cpp::cdr_deserialize(cdr, message);
  } catch (const eprosima::fastcdr::exception::Exception &) {
    throw std::runtime_error(path + " holds no yolact_ros/msg/InstanceArray");
  }
  return message;
}

void write_pgm(
  const std::string & path, const InstanceArray & message, unsigned max,
  const std::vector<std::uint8_t> & bytes)
{
  std::ofstream file(path, std::ios::binary);
  file << "P5\n" << message.image_width << ' ' << message.image_height << '\n' << max << '\n';
  for (const std::uint8_t byte : bytes) {
    file.put(static_cast<char>(byte));
  }
  if (!file) {
    throw std::runtime_error("cannot write " + path);
  }
}

void write_masks(const InstanceArray & message, const std::string & folder)
{
  std::size_t index = 0;
  for (const auto & instance : message.instances) {
    const auto rectangle = yolact_ros::masks::to_rectangle(instance.mask);
    const auto area_px = std::count(rectangle.begin(), rectangle.end(), 1);
    std::cout << instance.class_name << ' ' << instance.score << ' ' << area_px << " pixels\n";
    auto full = yolact_ros::masks::to_full(
      instance.mask, message.image_height, message.image_width);
    for (auto & pixel : full) {
      pixel = pixel ? 255 : 0;
    }
    write_pgm(folder + "/mask_" + std::to_string(index++) + ".pgm", message, 255, full);
  }
  std::vector<std::uint8_t> big_endian;
  for (const std::uint16_t label : yolact_ros::masks::to_label_image(message)) {
    big_endian.push_back(static_cast<std::uint8_t>(label >> 8));
    big_endian.push_back(static_cast<std::uint8_t>(label & 0xff));
  }
  write_pgm(folder + "/labels.pgm", message, 65535, big_endian);
}

}  // namespace

int main(int argc, char ** argv)
{
  if (argc != 3) {
    std::cerr << "usage: read_instances MESSAGE_FILE OUTPUT_FOLDER\n";
    return 2;
  }
  try {
    write_masks(read_message(argv[1]), argv[2]);
  } catch (const std::exception & error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
