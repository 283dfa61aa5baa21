#pragma once
// The way of the job's first process from the fork to the exec.
#include "executor/posix/shim_protocol.h"

namespace aether::executor {

// What the child sends on the close-on-exec error channel, a SOCK_SEQPACKET socket. A failed step ends the child; nothing
// more until end-of-file means that exec succeeded. kNone comes with a descriptor: the user's file for that stream.
struct LaunchMessage {
  LaunchStep step = LaunchStep::kNone;
  int error = 0;
  int stream = 0;  // of kNone: 1 or 2
};

struct ChildDescriptors {
  int null_input = -1;
  int output = -1;
  int error_output = -1;
  int error_channel = -1;
  int barrier = -1;  // one byte lets the child go on; end-of-file ends it
};

// Runs in the forked child. Never returns: executes args.argv or reports the failing step and ends.
[[noreturn]] void run_child(const ShimArgs& args, const ChildDescriptors& descriptors);

}  // namespace aether::executor
