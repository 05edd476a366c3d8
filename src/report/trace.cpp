// Writes traces of steps; the trainer gathers them from all ranks.
#include "mtrain/report/trace.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "mtrain/base/text.hpp"

namespace mtrain::report {

std::string trace_of_rank(int rank, const std::string& name,
                          const std::vector<TraceEvent>& events, double origin) {
  using Json = nlohmann::ordered_json;
  // Tenths of a microsecond.
  const auto micros = [](double seconds) { return std::round(seconds * 1e7) / 10; };
  std::vector<std::string> items;
  items.push_back(Json{
      {"name", "process_name"}, {"ph", "M"}, {"pid", rank}, {"args", {{"name", name}}}}
                      .dump());
  for (const TraceEvent& event : events) {
    items.push_back(Json{
        {"name", event.name},
        {"cat", to_string(event.doing)},
        {"ph", "X"},
        {"ts", micros(event.begin - origin)},
        {"dur", micros(event.end - event.begin)},
        {"pid", rank},
        {"tid", 0}}.dump());
  }
  return join(items, ",\n");
}

std::string trace_of_ranks(const std::vector<std::string>& ranks) {
  return cat("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n", join(ranks, ",\n"),
             "\n]}\n");
}

}  // namespace mtrain::report
