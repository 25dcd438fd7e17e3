#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/runner.h"

namespace verdict::reports {

// A run as JSON lines, one for each thing that happened, in order; a report is made from these lines and nothing else.
//   {"nodes":[{"host":"broker-1","id":1,"client":false}, ...]}                       the first line
//   {"t_ns":1,"event":"batch_appended","host":"broker-1","incarnation":1,"partition":"orders-0","base":0, ...}
//   {"t_ns":2,"message":"Fetch","side":"request","from":"broker-2","to":"broker-1","sent_ns":1,"version":17,
//    "correlation":5,"connection":3,"bytes":120}                                     at its delivery
//   {"t_ns":3,"fault":"f1","action":"kill","begins":true,"hosts":["broker-1"],"text":"kill of broker-1"}
//   {"t_ns":3,"host":"broker-1","up":false,"incarnation":1,"why":"dies"}
//   {"t_ns":4,"phase":"heal"}
// A topic created again under an old name is written "orders@2-0".
class TraceWriter final : public scenarios::RunObserver {
 public:
  using Line = std::function<void(std::string_view)>;  // its newline included
  // history: lines of history.jsonl. log: (host, text) of nodes' log lines. Both may be empty.
  struct Sinks {
    Line trace;
    Line history;
    std::function<void(std::string_view host, std::string_view text)> log;
  };
  explicit TraceWriter(Sinks sinks) : sinks_(std::move(sinks)) {}

  void on_cluster(const std::vector<scenarios::NodeInfo>& nodes) override;
  void on_event(sim::VirtualTime, sim::NodeIndex, NodeId, std::uint32_t incarnation, const protocol::Event&) override;
  void on_topic(sim::VirtualTime, const Uuid& id, std::string_view name) override;
  void on_message(const sim::FrameHead&, sim::VirtualTime sent, sim::VirtualTime delivered) override;
  void on_fault(sim::VirtualTime, const scenarios::FaultNote&) override;
  void on_node(sim::VirtualTime, sim::NodeIndex, bool up, std::uint32_t incarnation, std::string_view why) override;
  void on_phase(sim::VirtualTime, std::string_view phase) override;
  void on_log(sim::VirtualTime, sim::NodeIndex, LogLevel, std::string_view logger, std::string_view message) override;
  void on_history(std::string_view line) override;

 private:
  std::string_view host(sim::NodeIndex index) const;
  void begin(sim::VirtualTime at);
  void end();

  Sinks sinks_;
  std::vector<std::string> hosts_;
  std::map<Uuid, std::string> topics_;
  std::map<std::string, int, std::less<>> created_;  // by name: how often
  std::string line_;
};

}  // namespace verdict::reports
