// Linked into a shim of the tests: its wall clock is ahead by the seconds that the file wall_clock_offset_s in the attempt's
// directory says, read anew each time, so that a test sets the clock under a running shim. Nothing else is changed.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

extern "C" {

int __real_clock_gettime(clockid_t clock, timespec* now);

static long wall_clock_offset_s() {
  const int fd = open("wall_clock_offset_s", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[32] = {};
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  return got > 0 ? std::strtol(text, nullptr, 10) : 0;
}

int __wrap_clock_gettime(clockid_t clock, timespec* now) {
  const int result = __real_clock_gettime(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += wall_clock_offset_s();
  return result;
}

time_t __wrap_time(time_t* out) {
  timespec now{};
  __wrap_clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
}
