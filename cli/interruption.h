#pragma once

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace verdict::cli {

// Ctrl-C and SIGTERM as something to look at: workers ignore them, so that runs under way come to their end.
class Interruption {
 public:
  Interruption() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    fd_ = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  }
  ~Interruption() { ::close(fd_); }
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  bool came() {
    signalfd_siginfo info{};
    if (fd_ >= 0 && ::read(fd_, &info, sizeof info) == sizeof info) came_ = true;
    return came_;
  }

 private:
  int fd_ = -1;
  bool came_ = false;
};

}  // namespace verdict::cli
