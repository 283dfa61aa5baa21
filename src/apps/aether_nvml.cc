// The process that calls NVIDIA's library; an agent starts it, nobody else.
#include "telemetry/nvml/worker.h"

int main(int argc, char** argv) { return aether::nvml::worker_main(argc, argv); }
