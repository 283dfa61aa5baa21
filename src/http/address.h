#pragma once
// Which addresses belong to the public internet. Pure.
#include <string_view>

struct sockaddr;

namespace aether::http {

// False for loopback, private, carrier-grade, link-local, multicast, documentation and reserved ranges, for
// IPv4-mapped IPv6 and for tunnels (6to4, Teredo), whose inner address nobody checked. NAT64 (64:ff9b::/96)
// counts as its inner address. Ranges: IANA special-purpose address registries.
bool is_public_address(const sockaddr& address);
// The same for "203.0.114.1" or "2a00::1"; false for text that is no address.
bool is_public_address(std::string_view text);

}  // namespace aether::http
