#include "reports/chrome_trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "reports/json_text.h"

namespace verdict::reports {
namespace {

constexpr int kEvents = 1, kMessages = 2, kFaults = 3;  // threads of each process

std::string in_quotes(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string micros(std::int64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); }

class Writer {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    out_ += out_.empty() ? "{\"traceEvents\":[\n{" : ",\n{";
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '}';
  }
  std::string take() { return std::move(out_) + "\n],\"displayTimeUnit\":\"ms\"}\n"; }

 private:
  std::string out_;
};

// A process's number: 1 and up, so that lane 0 shows too.
int pid(std::uint16_t lane) { return lane + 1; }

void add_messages(Writer& writer, const TraceData& trace) {
  std::uint64_t flow = 0;
  for (const TraceMessage& message : trace.messages) {
    ++flow;
    const std::string name = in_quotes(trace.apis[message.api] + (message.response ? " answer" : ""));
    writer.add(R"("name":{},"ph":"X","pid":{},"tid":{},"ts":{},"dur":1,"args":{{"correlation":{},"bytes":{}}})", name,
               pid(message.from), kMessages, micros(message.sent_ns), message.correlation, message.bytes);
    writer.add(R"("name":{},"cat":"message","ph":"s","id":{},"pid":{},"tid":{},"ts":{})", name, flow, pid(message.from),
               kMessages, micros(message.sent_ns));
    writer.add(R"("name":{},"ph":"X","pid":{},"tid":{},"ts":{},"dur":1)", name, pid(message.to), kMessages,
               micros(message.delivered_ns));
    writer.add(R"("name":{},"cat":"message","ph":"f","bp":"e","id":{},"pid":{},"tid":{},"ts":{})", name, flow,
               pid(message.to), kMessages, micros(message.delivered_ns));
  }
}

}  // namespace

std::string chrome_trace(const TraceData& trace) {
  Writer writer;
  for (std::size_t lane = 0; lane < trace.nodes.size(); ++lane) {
    writer.add(R"("name":"process_name","ph":"M","pid":{},"args":{{"name":{}}})", lane + 1,
               in_quotes(trace.nodes[lane].host));
    for (const auto& [thread, name] :
         {std::pair(kEvents, "events"), std::pair(kMessages, "messages"), std::pair(kFaults, "faults")}) {
      writer.add(R"("name":"thread_name","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}})", lane + 1, thread, name);
    }
  }
  for (const TracePhase& phase : trace.phases) {
    writer.add(R"("name":{},"ph":"i","s":"g","pid":1,"tid":{},"ts":{})", in_quotes("phase: " + phase.name), kEvents,
               micros(phase.t_ns));
  }
  for (const TraceFault& fault : trace.faults) {
    const std::int64_t to = fault.to_ns < 0 ? trace.end_ns : fault.to_ns;
    for (const std::uint16_t lane : fault.lanes) {
      writer.add(R"("name":{},"ph":"X","pid":{},"tid":{},"ts":{},"dur":{})",
                 in_quotes(fault.text.empty() ? fault.action : fault.text), pid(lane), kFaults, micros(fault.from_ns),
                 micros(to - fault.from_ns));
    }
  }
  for (const TraceUp& up : trace.ups) {
    writer.add(R"("name":{},"ph":"i","s":"p","pid":{},"tid":{},"ts":{})", in_quotes(up.why), pid(up.lane), kEvents,
               micros(up.t_ns));
  }
  for (const TraceEvent& event : trace.events) {
    const TraceKind& kind = trace.kinds[event.kind];
    const std::string partition =
        event.partition < 0 ? std::string() : trace.partitions[static_cast<std::size_t>(event.partition)];
    writer.add(
        R"("name":{},"ph":"i","s":"t","pid":{},"tid":{},"ts":{},"args":{{"partition":{},"fields":{},"values":{}}})",
        in_quotes(kind.name), pid(event.lane), kEvents, micros(event.t_ns), in_quotes(partition),
        in_quotes(fmt::format("{}", fmt::join(kind.fields, " "))), event.values);
  }
  add_messages(writer, trace);
  return writer.take();
}

}  // namespace verdict::reports
