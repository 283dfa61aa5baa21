// The small languages inside a specification: dependencies, retry rules, ranges of an array, signals.
#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>

#include <fmt/format.h>

#include "model/job.h"

namespace aether {
namespace {

template <class Key, std::size_t N>
using Words = std::array<std::pair<Key, std::string_view>, N>;

constexpr Words<DependencyKind, 6> kDependencyKinds = {{{DependencyKind::kAfter, "after"},
                                                        {DependencyKind::kAfterOk, "afterok"},
                                                        {DependencyKind::kAfterAny, "afterany"},
                                                        {DependencyKind::kAfterNotOk, "afternotok"},
                                                        {DependencyKind::kAfterCorr, "aftercorr"},
                                                        {DependencyKind::kSingleton, "singleton"}}};
constexpr Words<DependencyState, 3> kDependencyStates = {
    {{DependencyState::kWaiting, "waiting"}, {DependencyState::kMet, "met"}, {DependencyState::kNever, "never"}}};
constexpr Words<Restart, 3> kRestarts = {
    {{Restart::kNone, "none"}, {Restart::kRetry, "retry"}, {Restart::kRequeue, "requeue"}}};
constexpr Words<RetryRule::Kind, 4> kRetryKinds = {{{RetryRule::Kind::kSignal, "signal"},
                                                    {RetryRule::Kind::kOom, "oom"},
                                                    {RetryRule::Kind::kNode, "node"},
                                                    {RetryRule::Kind::kPreempt, "preempt"}}};
constexpr Words<int, 17> kSignals = {{{SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGABRT, "ABRT"},
                                      {SIGKILL, "KILL"}, {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGALRM, "ALRM"},
                                      {SIGTERM, "TERM"}, {SIGCONT, "CONT"}, {SIGSTOP, "STOP"}, {SIGTSTP, "TSTP"},
                                      {SIGURG, "URG"},   {SIGXCPU, "XCPU"}, {SIGXFSZ, "XFSZ"}, {SIGWINCH, "WINCH"},
                                      {SIGPWR, "PWR"}}};

template <class Key, std::size_t N>
std::string_view word_of(const Words<Key, N>& words, Key key) {
  for (const auto& [known, word] : words)
    if (known == key) return word;
  return "unknown";
}

template <class Key, std::size_t N>
std::optional<Key> key_of(const Words<Key, N>& words, std::string_view text) {
  for (const auto& [key, word] : words)
    if (word == text) return key;
  return std::nullopt;
}

std::optional<int> number_of(std::string_view text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0 || value > most)
    return std::nullopt;
  return value;
}

// "7", "0-99", "0-30:10".
bool add_indices(std::string_view text, std::vector<int>& indices) {
  int step = 1;
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    const auto given = number_of(text.substr(colon + 1), kMaxArrayIndex);
    if (!given || *given == 0 || text.find('-') == std::string_view::npos) return false;
    step = *given;
    text = text.substr(0, colon);
  }
  const std::size_t dash = text.find('-');
  const auto first = number_of(text.substr(0, dash), kMaxArrayIndex);
  const auto last = dash == std::string_view::npos ? first : number_of(text.substr(dash + 1), kMaxArrayIndex);
  if (!first || !last || *last < *first) return false;
  if (static_cast<std::size_t>((*last - *first) / step) >= kMaxArrayTasks) return false;
  for (int index = *first; index <= *last; index += step) indices.push_back(index);
  return indices.size() <= 2 * kMaxArrayTasks;
}

}  // namespace

std::string_view to_string(DependencyKind kind) { return word_of(kDependencyKinds, kind); }
std::optional<DependencyKind> parse_dependency_kind(std::string_view text) { return key_of(kDependencyKinds, text); }
std::string_view to_string(DependencyState state) { return word_of(kDependencyStates, state); }
std::optional<DependencyState> parse_dependency_state(std::string_view text) { return key_of(kDependencyStates, text); }
std::string_view to_string(Restart restart) { return word_of(kRestarts, restart); }
std::optional<Restart> parse_restart(std::string_view text) { return key_of(kRestarts, text); }

std::string to_string(const Dependency& dependency) {
  std::string text(to_string(dependency.kind));
  return dependency.kind == DependencyKind::kSingleton ? text : text + ":" + dependency.job;
}

std::optional<Dependency> parse_dependency(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto kind = parse_dependency_kind(text.substr(0, colon));
  if (!kind) return std::nullopt;
  const std::string_view job = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  const bool named = !job.empty() && job.size() <= 128 && job.find(':') == std::string_view::npos;
  if (named == (*kind == DependencyKind::kSingleton) || (colon != std::string_view::npos && !named)) return std::nullopt;
  return Dependency{*kind, std::string(job)};
}

std::string to_string(const RetryRule& rule) {
  if (rule.kind != RetryRule::Kind::kExitCodes) return std::string(word_of(kRetryKinds, rule.kind));
  return rule.first == rule.last ? fmt::format("{}", rule.first) : fmt::format("{}-{}", rule.first, rule.last);
}

std::optional<RetryRule> parse_retry_rule(std::string_view text) {
  if (const auto kind = key_of(kRetryKinds, text)) return RetryRule{*kind, 0, 0};
  const std::size_t dash = text.find('-');
  const auto first = number_of(text.substr(0, dash), 255);
  const auto last = dash == std::string_view::npos ? first : number_of(text.substr(dash + 1), 255);
  if (!first || !last || *first < 1 || *last < *first) return std::nullopt;
  return RetryRule{RetryRule::Kind::kExitCodes, *first, *last};
}

std::optional<ArrayRange> parse_array_range(std::string_view text) {
  ArrayRange range;
  if (text.size() > 4096) return std::nullopt;
  if (const std::size_t percent = text.find('%'); percent != std::string_view::npos) {
    const auto limit = number_of(text.substr(percent + 1), kMaxArrayIndex);
    if (!limit || *limit == 0) return std::nullopt;
    range.limit = *limit;
    text = text.substr(0, percent);
  }
  while (true) {
    const std::size_t comma = text.find(',');
    if (!add_indices(text.substr(0, comma), range.indices)) return std::nullopt;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::sort(range.indices.begin(), range.indices.end());
  range.indices.erase(std::unique(range.indices.begin(), range.indices.end()), range.indices.end());
  if (range.indices.size() > kMaxArrayTasks) return std::nullopt;
  return range;
}

std::optional<int> parse_signal(std::string_view text) {
  if (const auto number = number_of(text, 64); number && *number > 0) return number;
  if (text.starts_with("SIG")) text.remove_prefix(3);
  return key_of(kSignals, text);
}

std::string signal_name(int signal) {
  const std::string_view name = word_of(kSignals, signal);
  return name == "unknown" ? std::to_string(signal) : std::string(name);
}

}  // namespace aether
