#include "cli/workers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "runtime/assert.h"

#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

namespace verdict::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTailBytes = 8 * 1024;
constexpr std::size_t kTailLines = 30;
constexpr auto kLimit = std::chrono::seconds(600);  // of one job
constexpr const char* kOutOfMemoryScore = "500";    // the kernel ends a worker before it ends the parent

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// With the address sanitizer, what a job leaks is its crash: a worker has no end at which leaks would be looked for.
void look_for_leaks() {
#if __has_feature(address_sanitizer)
  if (__lsan_do_recoverable_leak_check() != 0) ::_exit(1);
#endif
}

// The life of a worker: a request a line in, an answer a line out.
[[noreturn]] void serve(int requests, int results, const WorkerPool::Body& body) {
  std::string pending;
  std::array<char, 65536> buffer{};
  for (;;) {
    const std::size_t end = pending.find('\n');
    if (end == std::string::npos) {
      const ssize_t n = ::read(requests, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) ::_exit(0);
      pending.append(buffer.data(), static_cast<std::size_t>(n));
      continue;
    }
    const std::string request = pending.substr(0, end);
    pending.erase(0, end + 1);
    const std::string result = body(request) + "\n";
    look_for_leaks();
    if (!write_all(results, result)) ::_exit(0);
  }
}

std::vector<std::string> last_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (lines.size() > kTailLines) lines.erase(lines.begin(), lines.end() - kTailLines);
  return lines;
}

}  // namespace

struct WorkerPool::Worker {
  pid_t pid = -1;
  int requests = -1, results = -1, errors = -1;
  bool busy = false;
  bool overran = false;
  std::uint64_t id = 0;
  Clock::time_point started;
  std::string line;
  std::string said;
};

int default_jobs() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

WorkerPool::WorkerPool(int jobs, Body body) : jobs_(jobs), body_(std::move(body)) {
  ::signal(SIGPIPE, SIG_IGN);  // a worker that died is seen at its result pipe
  for (int i = 0; i < jobs_; ++i) workers_.push_back(std::make_unique<Worker>());
}

WorkerPool::~WorkerPool() {
  for (const auto& worker : workers_) {
    if (worker->pid > 0) ::kill(worker->pid, SIGKILL);
    stop(*worker);
  }
}

void WorkerPool::spawn(Worker& worker) {
  std::array<int, 2> requests{}, results{}, errors{};
  for (auto* ends : {&requests, &results, &errors})
    VERDICT_ASSERT(::pipe2(ends->data(), O_CLOEXEC) == 0, "no pipe for a worker");
  std::fflush(nullptr);  // the child would write it once more
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  VERDICT_ASSERT(pid >= 0, "no worker process");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    for (const auto& other : workers_) {
      for (const int fd : {other->requests, other->results, other->errors}) {
        if (fd >= 0) ::close(fd);
      }
    }
    if (const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC); fd >= 0) {
      static_cast<void>(write_all(fd, kOutOfMemoryScore));
      ::close(fd);
    }
    if (const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC); nothing >= 0) {
      ::dup2(nothing, 0);
      ::dup2(nothing, 1);
    }
    ::dup2(errors[1], 2);
    ::close(requests[1]);
    ::close(results[0]);
    ::close(errors[0]);
    serve(requests[0], results[1], body_);
  }
  ::close(requests[0]);
  ::close(results[1]);
  ::close(errors[1]);
  worker.pid = pid;
  worker.requests = requests[1];
  worker.results = results[0];
  worker.errors = errors[0];
  for (const int fd : {worker.results, worker.errors}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

void WorkerPool::stop(Worker& worker) {
  for (int* fd : {&worker.requests, &worker.results, &worker.errors}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
  if (worker.pid > 0) ::waitpid(worker.pid, nullptr, 0);
  worker.pid = -1;
}

void WorkerPool::start(std::uint64_t id, const std::string& request) {
  const auto idle = std::ranges::find_if(workers_, [](const auto& worker) { return !worker->busy; });
  VERDICT_ASSERT(idle != workers_.end(), "start() without an idle worker");
  Worker& worker = **idle;
  if (worker.pid < 0) spawn(worker);
  worker.busy = true;
  worker.overran = false;
  worker.id = id;
  worker.started = Clock::now();
  worker.line.clear();
  worker.said.clear();
  ++busy_;
  static_cast<void>(write_all(worker.requests, request + "\n"));
}

void WorkerPool::read_stderr(Worker& worker) {
  std::array<char, 4096> buffer{};
  for (ssize_t n; (n = ::read(worker.errors, buffer.data(), buffer.size())) > 0;) {
    worker.said.append(buffer.data(), static_cast<std::size_t>(n));
    if (worker.said.size() > 2 * kTailBytes) worker.said.erase(0, worker.said.size() - kTailBytes);
  }
}

bool WorkerPool::read_result(Worker& worker) {
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t n = ::read(worker.results, buffer.data(), buffer.size());
    if (n > 0) {
      worker.line.append(buffer.data(), static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    return n < 0 && errno == EAGAIN;
  }
}

WorkerReport WorkerPool::bury(Worker& worker) {
  read_stderr(worker);
  int status = 0;
  ::waitpid(worker.pid, &status, 0);
  worker.pid = -1;
  WorkerReport report{.id = worker.id, .died = true, .line = {}, .death = {}, .stderr_tail = last_lines(worker.said)};
  if (worker.overran) {
    report.death = fmt::format("no end after {} s", kLimit.count());
  } else if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    report.death = fmt::format("died of signal {} ({}{})", signal, ::strsignal(signal),
                               signal == SIGKILL ? ", perhaps out of memory" : "");
  } else {
    report.death = fmt::format("ended with exit code {}", WEXITSTATUS(status));
  }
  stop(worker);
  worker.busy = false;
  --busy_;
  return report;
}

std::vector<WorkerReport> WorkerPool::wait(std::chrono::milliseconds timeout) {
  std::vector<pollfd> fds;
  for (const auto& worker : workers_) {
    if (!worker->busy) continue;
    fds.push_back({worker->results, POLLIN, 0});
    fds.push_back({worker->errors, POLLIN, 0});
  }
  static_cast<void>(::poll(fds.data(), fds.size(), static_cast<int>(timeout.count())));
  std::vector<WorkerReport> reports;
  for (const auto& worker : workers_) {
    if (!worker->busy) continue;
    read_stderr(*worker);
    const bool open = read_result(*worker);
    if (worker->line.ends_with('\n')) {
      worker->line.pop_back();
      reports.push_back(
          {.id = worker->id, .died = false, .line = std::move(worker->line), .death = {}, .stderr_tail = {}});
      worker->busy = false;
      --busy_;
    } else if (!open) {
      reports.push_back(bury(*worker));
    } else if (!worker->overran && Clock::now() - worker->started > kLimit) {
      worker->overran = true;
      ::kill(worker->pid, SIGKILL);
    }
  }
  return reports;
}

}  // namespace verdict::cli
