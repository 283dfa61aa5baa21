#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace aether::http {
namespace {

struct Range {
  std::uint32_t network;
  int bits;
};

constexpr std::uint32_t v4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

constexpr std::array kNotPublic{
    Range{v4(0, 0, 0, 0), 8},      Range{v4(10, 0, 0, 0), 8},     Range{v4(100, 64, 0, 0), 10},
    Range{v4(127, 0, 0, 0), 8},    Range{v4(169, 254, 0, 0), 16}, Range{v4(172, 16, 0, 0), 12},
    Range{v4(192, 0, 0, 0), 24},   Range{v4(192, 0, 2, 0), 24},   Range{v4(192, 88, 99, 0), 24},
    Range{v4(192, 168, 0, 0), 16}, Range{v4(198, 18, 0, 0), 15},  Range{v4(198, 51, 100, 0), 24},
    Range{v4(203, 0, 113, 0), 24}, Range{v4(224, 0, 0, 0), 4},    Range{v4(240, 0, 0, 0), 4},
};

bool is_public_v4(std::uint32_t address) {
  return std::none_of(kNotPublic.begin(), kNotPublic.end(), [&](const Range& range) {
    return address >> (32 - range.bits) == range.network >> (32 - range.bits);
  });
}

std::uint32_t read_u32(const unsigned char* bytes) { return v4(bytes[0], bytes[1], bytes[2], bytes[3]); }

bool is_public_v6(const unsigned char* bytes) {
  constexpr std::array<unsigned char, 12> kNat64{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};
  if (std::equal(kNat64.begin(), kNat64.end(), bytes)) return is_public_v4(read_u32(bytes + 12));
  if ((bytes[0] & 0xe0) != 0x20) return false;  // only 2000::/3 is global unicast
  const std::uint32_t head = read_u32(bytes);
  if (head >> 16 == 0x2002) return false;  // 6to4
  if (head == 0x20010db8) return false;    // documentation
  return head >> 9 != 0x20010000 >> 9;     // 2001::/23: Teredo and other protocol assignments
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return is_public_v4(ntohl(in.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    return is_public_v6(in.sin6_addr.s6_addr);
  }
  return false;
}

bool is_public_address(std::string_view text) {
  const std::string copy(text);
  in_addr four{};
  if (inet_pton(AF_INET, copy.c_str(), &four) == 1) return is_public_v4(ntohl(four.s_addr));
  in6_addr six{};
  return inet_pton(AF_INET6, copy.c_str(), &six) == 1 && is_public_v6(six.s6_addr);
}

}  // namespace aether::http
