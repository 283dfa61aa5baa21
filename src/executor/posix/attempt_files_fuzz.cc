// Files of an attempt and of the journal with any content, as a torn disk, an older Aether or a person leaves them.
#include "executor/posix/attempt_files.h"
#include "executor/posix/journal.h"
#include "fuzz.h"

namespace {

using namespace aether;
using namespace aether::executor;

void check_attempt(const fuzz::Folder& folder, std::string_view text) {
  for (const char* name : {"manifest.json", "started.json", "running", "stop.json", "exit.json", "launch.json"}) folder.write(name, text);
  const AttemptFiles files(folder.path());
  const auto manifest = files.read_manifest();
  const Manifest known = manifest ? *manifest : Manifest{};
  (void)files.read_started();
  (void)files.read_running();
  (void)files.read_stop();
  (void)files.read_launch(known);
  if (const auto exit = files.read_exit()) (void)exit_status_of(*exit, known);
}

void check_journal(const fuzz::Folder& folder, std::string_view text) {
  auto journal = Journal::open(folder.path());
  AETHER_ASSERT(journal);
  folder.write("fences/g0.json", text);
  folder.write("tombstones/job_2e1.json", text);
  const AttemptId attempt{JobId("job"), 1};
  for (const int slot : {0, 1}) {
    const bool open = journal->check_fence(GpuUuid("g0"), slot, 7, attempt).has_value();
    AETHER_ASSERT(!open || journal->raise_fence(GpuUuid("g0"), slot, 7, attempt));
    AETHER_ASSERT(!open || journal->check_fence(GpuUuid("g0"), slot, 7, attempt));
  }
  (void)journal->find_epoch(attempt);
  (void)journal->find_tombstone(attempt);
  for (const auto& tombstone : journal->tombstones()) (void)report_of(tombstone);
  journal->remove_tombstones_before(0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const std::string_view text = fuzz::text_of(data, size);
  if (const auto args = decode_shim_args(text)) {
    const auto again = decode_shim_args(encode_shim_args(*args));
    AETHER_ASSERT(again && again->argv == args->argv && again->env == args->env && again->uid == args->uid);
  }
  if (const auto attempt = parse_attempt_name(std::string(text))) (void)is_attempt_name(*attempt);
  check_attempt(folder, text);
  check_journal(folder, text);
  return 0;
}
