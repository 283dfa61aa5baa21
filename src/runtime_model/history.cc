#include "runtime_model/history.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace aether::runtime_model {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kRecent = 16;
constexpr double kFading = 0.8;
constexpr std::int64_t kStreakGap_s = 600;

std::string gpus_key(const Request& request) { return fmt::format("{} {}", request.user, request.gpus); }
std::string shape_key(const Request& request) {
  return fmt::format("{} {} {} {}", request.user, request.gpus, request.cpus, request.partition);
}

float log_age(std::int64_t now_s, std::int64_t then_s) {
  return std::log1p(static_cast<float>(std::max<std::int64_t>(0, now_s - then_s)));
}

float median(std::vector<float> values) {
  if (values.empty()) return kUnknown;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

const History::Record* History::find(const Records& records, const std::string& key) {
  const auto found = records.find(key);
  return found == records.end() ? nullptr : &found->second;
}

void History::add(Record& record, float log_run_time, std::int64_t now_s) {
  record.recent.push_front(log_run_time);
  if (record.recent.size() > kRecent) record.recent.pop_back();
  record.count += 1;
  record.sum += log_run_time;
  record.sum_of_squares += log_run_time * log_run_time;
  record.fading_sum = record.fading_sum * kFading + log_run_time;
  record.fading_count = record.fading_count * kFading + 1;
  record.ended_at_s = now_s;
  record.open -= 1;
}

void History::add_submission(Record& record, std::int64_t now_s) {
  if (record.streak == 0 || now_s - record.submitted_at_s > kStreakGap_s) {
    record.streak = 0;
    record.streak_started_s = now_s;
  }
  record.streak += 1;
  record.submitted_at_s = now_s;
  record.open += 1;
}

Features History::features(const Request& request, std::int64_t now_s) const {
  Features out;
  out.fill(kUnknown);
  std::size_t next = 0;
  const auto put = [&](double value) { out[next++] = static_cast<float>(value); };
  put(request.gpus);
  put(request.cpus);
  put(request.partition);
  put(static_cast<double>(request.submit_s % 86400) / 3600);
  put(static_cast<double>(request.submit_s / 86400 % 7));
  // Of a kind of jobs: how long they took lately and on average, how sure that is, and how many are under way.
  const auto put_record = [&](const Record* record) {
    const bool known = record != nullptr && record->count > 0;
    put(known ? record->sum / record->count : kUnknown);
    put(known ? record->fading_sum / record->fading_count : kUnknown);
    put(known ? record->recent[0] : kUnknown);
    put(known ? median({record->recent.begin(), record->recent.end()}) : kUnknown);
    put(known ? std::log1p(record->count) : 0);
    put(record != nullptr ? record->open : 0);
    put(known ? log_age(now_s, record->ended_at_s) : kUnknown);
  };
  const Record* shape = find(user_shapes_, shape_key(request));
  const Record* user = find(users_, request.user);
  put_record(shape);
  put_record(user);
  const auto recent = [&](const Record* record, std::size_t back) {
    return record != nullptr && record->recent.size() > back ? record->recent[back] : kUnknown;
  };
  put(recent(shape, 1));
  put(recent(shape, 2));
  put(recent(user, 1));
  const Record* same_gpus = find(user_gpus_, gpus_key(request));
  put(same_gpus != nullptr && same_gpus->count > 0 ? same_gpus->fading_sum / same_gpus->fading_count : kUnknown);
  put(shape != nullptr && shape->count > 1
          ? std::sqrt(std::max(0.0, shape->sum_of_squares / shape->count - std::pow(shape->sum / shape->count, 2)))
          : kUnknown);
  put(shape != nullptr ? log_age(now_s, shape->submitted_at_s) : kUnknown);
  put(user != nullptr ? log_age(now_s, user->submitted_at_s) : kUnknown);
  put(shape != nullptr ? shape->streak : 0);
  const Record* cluster = find(partitions_, fmt::format("{}", request.partition));
  put(cluster != nullptr && cluster->count > 0 ? cluster->fading_sum / cluster->fading_count : kUnknown);
  put(shape != nullptr ? log_age(now_s, shape->streak_started_s) : kUnknown);
  return out;
}

void History::submitted(const Request& request) {
  add_submission(users_[request.user], request.submit_s);
  add_submission(user_shapes_[shape_key(request)], request.submit_s);
}

void History::ended(const Request& request, double run_time_s, std::int64_t now_s) {
  const auto value = static_cast<float>(std::log1p(run_time_s));
  add(users_[request.user], value, now_s);
  add(user_shapes_[shape_key(request)], value, now_s);
  add(user_gpus_[gpus_key(request)], value, now_s);
  add(partitions_[fmt::format("{}", request.partition)], value, now_s);
}

}  // namespace aether::runtime_model
