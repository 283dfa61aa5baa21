// The worker of the tests: what `aether nvml-worker` runs, without the rest of that program.
#include "telemetry/nvml/worker.h"

int main(int argc, char** argv) { return aether::nvml::worker_main(argc, argv); }
