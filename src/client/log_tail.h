#pragma once
// Reading one stream of a job's log by offset, so that a lost connection costs nothing. Internal to the
// module.
#include <iosfwd>
#include <string>

#include "client/context.h"

namespace aether::client {

class LogTail {
 public:
  // Writes to `sink`, which outlives this; filtered when the sink is a terminal.
  LogTail(std::string job, std::string stream, std::ostream& sink, bool filtered);

  // What has come since the last call. True when something was written.
  Outcome<bool> poll(Context& context);
  // Until the log is complete or an interrupt arrives; waits for more in one long request.
  Outcome<void> follow(Context& context);
  // Only the last lines; afterwards at the log's end.
  Outcome<void> skip_to_last_lines(Context& context, std::int64_t lines);
  void set_offset(std::int64_t offset) { offset_ = offset; }
  bool is_complete() const { return complete_; }
  // Writes what the filter held back.
  void finish();

 private:
  std::string path(std::string_view query) const;
  void write(std::string_view bytes);
  void note_headers(Context& context, const http::ClientResponse& response);

  std::string job_, stream_;
  std::ostream& sink_;
  bool filtered_;
  OutputFilter filter_;
  std::int64_t offset_ = 0;
  bool complete_ = false;
};

}  // namespace aether::client
