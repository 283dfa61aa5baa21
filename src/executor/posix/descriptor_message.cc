#include "executor/posix/descriptor_message.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace aether::executor {
namespace {

struct Envelope {
  iovec content;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxSentDescriptors)] = {};
  msghdr header = {};

  Envelope(void* data, std::size_t size, std::size_t control_size) : content{data, size} {
    header.msg_iov = &content;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = control_size;
  }
};

void close_all(const cmsghdr& rights) {
  const std::size_t count = (rights.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(&rights) + i * sizeof fd, sizeof fd);
    close(fd);
  }
}

}  // namespace

bool send_with_descriptors(int socket, const void* data, std::size_t size, std::span<const int> descriptors) {
  if (descriptors.empty() || descriptors.size() > kMaxSentDescriptors) {
    errno = EINVAL;
    return false;
  }
  Envelope envelope(const_cast<void*>(data), size, CMSG_SPACE(descriptors.size_bytes()));
  cmsghdr* rights = CMSG_FIRSTHDR(&envelope.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  return sendmsg(socket, &envelope.header, MSG_NOSIGNAL) >= 0;
}

ssize_t receive_with_descriptors(int socket, void* data, std::size_t size, std::span<int> descriptors, int flags) {
  Envelope envelope(data, size, CMSG_SPACE(sizeof(int) * kMaxSentDescriptors));
  const ssize_t got = recvmsg(socket, &envelope.header, flags | MSG_CMSG_CLOEXEC);
  const cmsghdr* rights = got > 0 ? CMSG_FIRSTHDR(&envelope.header) : nullptr;
  if (!rights || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) return got;
  if (rights->cmsg_len == CMSG_LEN(descriptors.size_bytes()))
    std::memcpy(descriptors.data(), CMSG_DATA(rights), descriptors.size_bytes());
  else
    close_all(*rights);  // nobody here knows them
  return got;
}

}  // namespace aether::executor
