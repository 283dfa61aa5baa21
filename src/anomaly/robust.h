#pragma once
// Pieces of streaming statistics: constant memory, constant time per value.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace aether {

inline double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// First-order low pass; the first value is taken as it is.
class Smooth {
 public:
  void add(double value, double dt_s, double tau_s) {
    value_ = started_ ? value_ + (value - value_) * (1 - std::exp(-dt_s / tau_s)) : value;
    started_ = true;
  }
  void clear() { started_ = false; }
  bool known() const { return started_; }
  double value() const { return value_; }

 private:
  double value_ = 0;
  bool started_ = false;
};

// How much a value of this weight counts: the first ones as in a plain mean, later ones by the time constant. What is out
// of reach is learnt five times more slowly while little is known.
inline double learning_rate(double gained, double weight, double tau_s, bool out_of_reach) {
  return std::max(gained / tau_s, (out_of_reach ? 0.2 : 1) * gained / weight);
}

// Location and spread with forgetting, after Huber's M-estimator (1964): a value more than two spreads away moves them
// as far as one two spreads away, so that what is wrong is learnt slowly. The spread is 1.25 times the mean deviation.
class Baseline {
 public:
  void add(double value, double dt_s, double tau_s, double least_spread) {
    weight_ += dt_s;
    if (weight_ <= dt_s) location_ = value;
    const double reach = weight_ < kTrustAfterS ? 1e30 : 2 * std::max<double>(spread_, least_spread);
    const double off = std::clamp(value - location_, -reach, reach);
    const double rate = learning_rate(dt_s, weight_, tau_s, std::abs(off) >= reach);
    location_ += rate * off;
    spread_ += rate * (1.25 * std::abs(off) - spread_);
  }
  void clear() { *this = {}; }
  bool known(double after_s = kTrustAfterS) const { return weight_ >= after_s; }
  double location() const { return location_; }
  double spread() const { return spread_; }

 private:
  static constexpr double kTrustAfterS = 120;
  double location_ = 0, spread_ = 0, weight_ = 0;
};

// y over x in [0, 1] as a line through equidistant knots, each learnt as a Baseline's location is.
class Curve {
 public:
  static constexpr std::size_t kKnots = 9;
  std::optional<double> at(double x) const {
    const auto [knot, share] = place(x);
    if ((1 - share) * weight_[knot] + share * weight_[knot + 1] < kTrustAfterS) return std::nullopt;
    if (weight_[knot + 1] == 0) return share <= kNear ? std::optional<double>(location_[knot]) : std::nullopt;
    if (weight_[knot] == 0) return share >= 1 - kNear ? std::optional<double>(location_[knot + 1]) : std::nullopt;
    return (1 - share) * location_[knot] + share * location_[knot + 1];
  }
  void add(double x, double y, double dt_s, double tau_s, double reach) {
    const auto [knot, share] = place(x);
    const std::optional<double> known = at(x);
    const double off = known ? std::clamp(y - *known, -reach, reach) : 0;
    for (const auto& [k, part] : {std::pair(knot, 1 - share), std::pair(knot + 1, share)}) {
      if (part <= 0.05) continue;
      const double gained = part * dt_s;
      if (weight_[k] == 0) location_[k] = static_cast<float>(known ? *known + off : y);
      weight_[k] = static_cast<float>(std::min(weight_[k] + gained, 1e6));
      const double rate = learning_rate(gained, weight_[k], tau_s, std::abs(off) >= reach);
      location_[k] += static_cast<float>(rate * (known ? off : y - location_[k]));
    }
  }

 private:
  static constexpr double kTrustAfterS = 150;
  static constexpr double kNear = 0.25;    // to a knot, where it may stand for its neighbour that was never learnt
  static std::pair<std::size_t, double> place(double x) {
    const double at = std::clamp(x, 0.0, 0.9999) * (kKnots - 1);
    const auto knot = static_cast<std::size_t>(at);
    return {knot, at - static_cast<double>(knot)};
  }
  std::array<float, kKnots> location_{}, weight_{};
};

// Events with forgetting: about the number within the last tau_s.
class RecentCount {
 public:
  void add(double events, double dt_s, double tau_s) { value_ = value_ * std::exp(-dt_s / tau_s) + events; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

// Hysteresis: opens after `bad` has held, closes after `good` has; neither = stays.
struct Held {
  Time bad_since{}, good_since{};
  bool open = false;

  // True when `open` changed.
  bool update(bool bad, bool good, Time now, Duration open_for, Duration clear_for) {
    if (!bad) bad_since = {};
    if (!good) good_since = {};
    Time& since = bad ? bad_since : good_since;
    if (!bad && !good) return false;
    if (since == Time{}) since = now;
    if (bad == open || now - since < (bad ? open_for : clear_for)) return false;
    open = bad;
    return true;
  }
};

}  // namespace aether
