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

// Decoders for the masks of yolact_ros messages: header only, C++17, no dependency but those.
//
//   find_package(yolact_ros REQUIRED)
//   target_link_libraries(my_node rclcpp::rclcpp yolact_ros::yolact_ros__rosidl_typesupport_cpp)
//
// (yolact_ros::yolact_ros__rosidl_generator_cpp is enough for a program without ROS.)
// The Python counterpart is yolact_ros/masks.py.

#ifndef YOLACT_ROS__MASKS_HPP_
#define YOLACT_ROS__MASKS_HPP_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "yolact_ros/msg/instance_array.hpp"
#include "yolact_ros/msg/instance_mask.hpp"

namespace yolact_ros::masks
{

/// Throws std::invalid_argument unless the mask's data fills its rectangle exactly.
inline void check(const msg::InstanceMask & mask)
{
  const std::uint64_t pixels = static_cast<std::uint64_t>(mask.width) * mask.height;
  switch (mask.encoding) {
    case msg::InstanceMask::NONE:
      return;
    case msg::InstanceMask::BITS:
      if (mask.data.size() != (pixels + 7) / 8) {
        throw std::invalid_argument(
                "InstanceMask: " + std::to_string(mask.data.size()) + " bytes of bits, expected " +
                std::to_string((pixels + 7) / 8));
      }
      return;
    case msg::InstanceMask::RLE:
      if (std::accumulate(mask.counts.begin(), mask.counts.end(), std::uint64_t{0}) != pixels) {
        throw std::invalid_argument(
                "InstanceMask: the run lengths do not add up to " + std::to_string(pixels));
      }
      return;
    default:
      throw std::invalid_argument(
              "InstanceMask: unknown encoding " + std::to_string(mask.encoding));
  }
}

/// Calls visit(x, y) for every pixel of the mask, in source-image coordinates.
///
/// BITS are visited row by row, RLE column by column. Nothing is allocated.
/// Throws std::invalid_argument as check() does, before the first visit.
template<typename Visit>
void for_each_pixel(const msg::InstanceMask & mask, Visit && visit)
{
  check(mask);
  if (mask.encoding == msg::InstanceMask::BITS) {
    std::size_t bit = 0;
    for (std::uint32_t row = 0; row < mask.height; ++row) {
      for (std::uint32_t column = 0; column < mask.width; ++column, ++bit) {
        if ((mask.data[bit >> 3] >> (7 - (bit & 7))) & 1) {
          visit(mask.x_offset + column, mask.y_offset + row);
        }
      }
    }
  } else if (mask.encoding == msg::InstanceMask::RLE) {
    std::uint64_t pixel = 0;
    bool is_mask = false;
    for (const std::uint32_t count : mask.counts) {
      const std::uint64_t end = pixel + count;
      for (; is_mask && pixel < end; ++pixel) {
        visit(
          mask.x_offset + static_cast<std::uint32_t>(pixel / mask.height),
          mask.y_offset + static_cast<std::uint32_t>(pixel % mask.height));
      }
      pixel = end;
      is_mask = !is_mask;
    }
  }
}

/// The mask inside its rectangle: height * width bytes, row-major, 1 = object.
inline std::vector<std::uint8_t> to_rectangle(const msg::InstanceMask & mask)
{
  std::vector<std::uint8_t> rectangle(static_cast<std::size_t>(mask.width) * mask.height, 0);
  for_each_pixel(
    mask, [&](std::uint32_t x, std::uint32_t y) {
      rectangle[static_cast<std::size_t>(y - mask.y_offset) * mask.width + (x - mask.x_offset)] = 1;
    });
  return rectangle;
}

/// The mask in the whole source image: image_height * image_width bytes, row-major, 1 = object.
///
/// Throws std::invalid_argument as check() does, or if the rectangle leaves the image.
inline std::vector<std::uint8_t> to_full(
  const msg::InstanceMask & mask, std::uint32_t image_height, std::uint32_t image_width)
{
  if (std::uint64_t{mask.x_offset} + mask.width > image_width ||
    std::uint64_t{mask.y_offset} + mask.height > image_height)
  {
    throw std::invalid_argument("InstanceMask: its rectangle leaves the image");
  }
  std::vector<std::uint8_t> full(static_cast<std::size_t>(image_height) * image_width, 0);
  for_each_pixel(
    mask, [&](std::uint32_t x, std::uint32_t y) {
      full[static_cast<std::size_t>(y) * image_width + x] = 1;
    });
  return full;
}

/// Which instance each pixel belongs to: index in instances + 1, 0 = background, row-major.
///
/// Where masks overlap the higher score wins. Throws as to_full() does.
inline std::vector<std::uint16_t> to_label_image(const msg::InstanceArray & array)
{
  std::vector<std::uint16_t> labels(
    static_cast<std::size_t>(array.image_height) * array.image_width, 0);
  std::vector<std::size_t> order(array.instances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(
    order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return array.instances[a].score < array.instances[b].score;
    });
  for (const std::size_t index : order) {
    const auto & mask = array.instances[index].mask;
    if (std::uint64_t{mask.x_offset} + mask.width > array.image_width ||
      std::uint64_t{mask.y_offset} + mask.height > array.image_height)
    {
      throw std::invalid_argument("InstanceMask: its rectangle leaves the image");
    }
    for_each_pixel(
      mask, [&](std::uint32_t x, std::uint32_t y) {
        labels[static_cast<std::size_t>(y) * array.image_width + x] =
        static_cast<std::uint16_t>(index + 1);
      });
  }
  return labels;
}

}  // namespace yolact_ros::masks

#endif  // YOLACT_ROS__MASKS_HPP_
