#include "telemetry/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <filesystem>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/files.h"
#include "base/log.h"

namespace aether {
namespace {

constexpr std::size_t kHeaderBytes = 12;              // size, key, checksum
constexpr std::size_t kMaxPayloadBytes = 1u << 20;
constexpr std::string_view kSuffix = ".segment";

// FNV-1a: a torn write is what it must see, not an attacker.
std::uint32_t checksum(std::uint32_t key, std::string_view payload) {
  std::uint32_t hash = 0x811c9dc5u ^ key;
  for (const char c : payload) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  return hash;
}

std::uint32_t word_at(std::string_view bytes, std::size_t offset) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof word);
  return word;
}

// The record at `offset` and where the next one begins; nothing when it is not whole.
struct Parsed {
  Spool::Record record;
  std::size_t next = 0;
};
std::optional<Parsed> parse_record(std::string_view bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < kHeaderBytes) return std::nullopt;
  const std::size_t size = word_at(bytes, offset);
  const std::uint32_t key = word_at(bytes, offset + 4);
  if (size > kMaxPayloadBytes || bytes.size() - offset - kHeaderBytes < size) return std::nullopt;
  const std::string_view payload = bytes.substr(offset + kHeaderBytes, size);
  if (checksum(key, payload) != word_at(bytes, offset + 8)) return std::nullopt;
  return Parsed{{key, std::string(payload)}, offset + kHeaderBytes + size};
}

std::string encode_record(std::uint32_t key, std::string_view payload) {
  const std::uint32_t head[3] = {static_cast<std::uint32_t>(payload.size()), key, checksum(key, payload)};
  std::string bytes(kHeaderBytes, '\0');
  std::memcpy(bytes.data(), head, kHeaderBytes);
  bytes += payload;
  return bytes;
}

class MemorySpool final : public Spool {
 public:
  explicit MemorySpool(std::size_t max_records) : max_records_(max_records) {}
  void append(std::uint32_t key, std::string_view payload) override {
    records_.push_back({key, std::string(payload)});
    counters_.bytes += payload.size();
    ++counters_.appended;
    if (records_.size() <= max_records_) return;
    pop();
    ++counters_.dropped;
  }
  const Record* front() override { return records_.empty() ? nullptr : &records_.front(); }
  void pop() override {
    counters_.bytes -= records_.front().payload.size();
    records_.pop_front();
  }
  SpoolCounters counters() const override {
    SpoolCounters out = counters_;
    out.waiting = records_.size();
    return out;
  }

 private:
  const std::size_t max_records_;
  std::deque<Record> records_;
  SpoolCounters counters_;
};

// Segments are appended to at the newest and read from the oldest; one that was read to its end is deleted.
class FileSpool final : public Spool {
 public:
  explicit FileSpool(SpoolOptions options) : options_(std::move(options)) {}
  ~FileSpool() override { close_newest(); }

  Result<void> open() {
    AETHER_TRY(make_private_directory(options_.directory));
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory, error)) {
      const std::string name = entry.path().filename().string();
      std::uint64_t number = 0;
      const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
      if (bad == std::errc() && std::string_view(end, static_cast<std::size_t>(name.data() + name.size() - end)) == kSuffix)
        segments_.push_back({number});
    }
    if (error) return fail(ErrorCode::kIo, fmt::format("the spool {}: {}", options_.directory, error.message()));
    std::sort(segments_.begin(), segments_.end(), [](const Segment& a, const Segment& b) { return a.number < b.number; });
    for (Segment& segment : segments_) take_stock(segment);
    next_number_ = segments_.empty() ? 1 : segments_.back().number + 1;  // never appends behind an unreadable end
    std::erase_if(segments_, [&](const Segment& segment) {
      if (segment.records > 0) return false;
      unlink(path_of(segment.number).c_str());
      return true;
    });
    read_dropped();
    return {};
  }

  void append(std::uint32_t key, std::string_view payload) override {
    ++counters_.appended;
    const std::string bytes = encode_record(key, payload);
    if (payload.size() > kMaxPayloadBytes || !make_room(bytes.size()) || !write_all(bytes)) {
      ++counters_.dropped;
      return;
    }
    Segment& newest = segments_.back();
    newest.bytes += bytes.size();
    ++newest.records;
    ++counters_.waiting;
    counters_.bytes += bytes.size();
  }

  const Record* front() override {
    while (!front_ && !segments_.empty()) {
      if (!loaded_) load_oldest();
      auto parsed = parse_record(content_, offset_);
      if (parsed) {
        front_ = std::move(parsed->record);
        next_offset_ = parsed->next;
      } else if (!finish_oldest()) {
        return nullptr;
      }
    }
    return front_ ? &*front_ : nullptr;
  }

  void pop() override {
    AETHER_ASSERT(front_.has_value());
    front_.reset();
    offset_ = next_offset_;
    ++taken_;
    --counters_.waiting;
  }

  SpoolCounters counters() const override { return counters_; }

 private:
  struct Segment {
    std::uint64_t number = 0;
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
  };

  std::string path_of(std::uint64_t number) const { return fmt::format("{}/{:012}{}", options_.directory, number, kSuffix); }

  void take_stock(Segment& segment) {
    const auto content = read_file(path_of(segment.number));
    if (!content) return;
    std::size_t offset = 0;
    while (const auto parsed = parse_record(*content, offset)) {
      offset = parsed->next;
      ++segment.records;
    }
    if (offset < content->size()) ++counters_.corrupt;
    segment.bytes = content->size();
    counters_.waiting += segment.records;
    counters_.bytes += segment.bytes;
  }

  // False when the disk refuses.
  bool make_room(std::size_t bytes) {
    const bool full = newest_ < 0 || segments_.back().bytes + bytes > options_.segment_bytes;
    if (full && !start_segment()) return false;
    while (counters_.bytes + bytes > options_.max_bytes && segments_.size() > 1) drop_oldest();
    return true;
  }

  bool start_segment() {
    close_newest();
    newest_ = ::open(path_of(next_number_).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (newest_ < 0) return false;
    segments_.push_back({next_number_++});
    return true;
  }

  void close_newest() {
    if (newest_ >= 0) close(newest_);
    newest_ = -1;
  }

  // A record that did not fit the disk is cut off again, so that the next one begins where it must.
  bool write_all(std::string_view bytes) {
    const auto before = static_cast<off_t>(segments_.back().bytes);
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t wrote = write(newest_, bytes.data() + done, bytes.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) {
        if (ftruncate(newest_, before) != 0) close_newest();
        return false;
      }
      done += static_cast<std::size_t>(wrote);
    }
    return true;
  }

  void load_oldest() {
    content_ = read_file(path_of(segments_.front().number)).value_or("");
    offset_ = next_offset_ = 0;
    taken_ = 0;
    loaded_ = true;
  }

  // The oldest segment is read to the end of what was loaded. False when nothing more is there.
  bool finish_oldest() {
    const Segment oldest = segments_.front();
    if (taken_ < oldest.records && content_.size() < oldest.bytes) {  // written to since it was loaded
      content_ = read_file(path_of(oldest.number)).value_or("");
      if (parse_record(content_, offset_)) return true;
    }
    counters_.waiting -= oldest.records - taken_;  // unreadable: not what was written
    counters_.dropped += oldest.records - taken_;
    forget_oldest();
    return !segments_.empty();
  }

  void drop_oldest() {
    const std::uint64_t lost = segments_.front().records - (loaded_ ? taken_ : 0);
    counters_.waiting -= lost;
    counters_.dropped += lost;
    front_.reset();
    forget_oldest();
    write_dropped();
  }

  void forget_oldest() {
    const Segment oldest = segments_.front();
    counters_.bytes -= oldest.bytes;
    unlink(path_of(oldest.number).c_str());
    if (segments_.size() == 1) close_newest();
    segments_.pop_front();
    content_.clear();
    content_.shrink_to_fit();
    loaded_ = false;
  }

  void read_dropped() {
    const auto text = read_file(options_.directory + "/dropped");
    if (text) std::from_chars(text->data(), text->data() + text->size(), counters_.dropped);
  }
  void write_dropped() const {
    const auto written = write_file_durably(options_.directory + "/dropped", std::to_string(counters_.dropped) + "\n");
    if (!written) log::debug("telemetry", "the count of dropped readings is not stored", {{"why", written.error().message}});
  }

  const SpoolOptions options_;
  std::deque<Segment> segments_;
  std::uint64_t next_number_ = 1;
  int newest_ = -1;          // open for appending; -1 = the next append starts a segment
  std::string content_;      // of the oldest segment, once it is read from
  bool loaded_ = false;
  std::size_t offset_ = 0, next_offset_ = 0;
  std::uint64_t taken_ = 0;  // records of the oldest segment
  std::optional<Record> front_;
  SpoolCounters counters_;
};

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(SpoolOptions options) {
  if (options.directory.empty()) return std::make_unique<MemorySpool>(options.max_records);
  AETHER_ASSERT(options.max_bytes >= 2 * options.segment_bytes);
  auto spool = std::make_unique<FileSpool>(std::move(options));
  AETHER_TRY(spool->open());
  return spool;
}

}  // namespace aether
