// Decodes one mask given as numbers and prints its pixels, one "x y" a line:
//   decode_mask bits|rle X_OFFSET Y_OFFSET WIDTH HEIGHT [BYTE_OR_RUN ...]

#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

#include "yolact_ros/masks.hpp"

int main(int argc, char ** argv)
{
  if (argc < 6) {
    std::cerr << "usage: decode_mask bits|rle X_OFFSET Y_OFFSET WIDTH HEIGHT [NUMBER ...]\n";
    return 2;
  }
  try {
    yolact_ros::msg::InstanceMask mask;
    const bool is_rle = std::string(argv[1]) == "rle";
    mask.encoding = is_rle ? mask.RLE : mask.BITS;
    mask.x_offset = static_cast<std::uint32_t>(std::stoul(argv[2]));
    mask.y_offset = static_cast<std::uint32_t>(std::stoul(argv[3]));
    mask.width = static_cast<std::uint32_t>(std::stoul(argv[4]));
    mask.height = static_cast<std::uint32_t>(std::stoul(argv[5]));
    for (int index = 6; index < argc; ++index) {
      const auto number = static_cast<std::uint32_t>(std::stoul(argv[index]));
      if (is_rle) {
        mask.counts.push_back(number);
      } else {
        mask.data.push_back(static_cast<std::uint8_t>(number));
      }
    }
    yolact_ros::masks::for_each_pixel(
      mask, [](std::uint32_t x, std::uint32_t y) {std::cout << x << ' ' << y << '\n';});
  } catch (const std::exception & error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
