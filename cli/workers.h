#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

// Worker processes, forked from this one, each working on one job at a time. A worker that dies (an assertion, a
// signal, no memory, no end) is reported with its last words and replaced; the others go on.
namespace verdict::cli {

struct WorkerReport {
  std::uint64_t id = 0;
  bool died = false;
  std::string line;                      // what the body returned
  std::string death;                     // "died of signal 6 (Aborted)", "no end after 600 s"
  std::vector<std::string> stderr_tail;  // the job's last lines, of one that died
};

class WorkerPool {
 public:
  // body: in the worker, request -> one line. Everything that it reads must exist before the first start().
  using Body = std::function<std::string(const std::string& request)>;
  WorkerPool(int jobs, Body body);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  bool has_idle() const { return busy_ < jobs_; }
  int busy() const { return busy_; }
  void start(std::uint64_t id, const std::string& request);  // has_idle()
  // Waits for the first report, at most so long.
  std::vector<WorkerReport> wait(std::chrono::milliseconds timeout);

 private:
  struct Worker;
  void spawn(Worker& worker);
  void stop(Worker& worker);
  void read_stderr(Worker& worker);
  bool read_result(Worker& worker);  // false: the pipe ended
  WorkerReport bury(Worker& worker);

  int jobs_;
  int busy_ = 0;
  Body body_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

int default_jobs();  // one a core

}  // namespace verdict::cli
