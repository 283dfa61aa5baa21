#pragma once
// A string that names one kind of thing and can't be passed for another kind.
#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace aether {

template <class Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}
  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }
  friend bool operator==(const StrongId&, const StrongId&) = default;
  friend auto operator<=>(const StrongId&, const StrongId&) = default;

 private:
  std::string value_;
};

}  // namespace aether

template <class Tag>
struct std::hash<aether::StrongId<Tag>> {
  std::size_t operator()(const aether::StrongId<Tag>& id) const { return std::hash<std::string>{}(id.str()); }
};
