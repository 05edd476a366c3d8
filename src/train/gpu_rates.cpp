// The table of GPUs, and how a user describes another one; read by the plan.
#include "gpu_rates.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>

#include "model_files.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9, kGiB = 1024.0 * 1024 * 1024;

// Published figures: bf16 products without sparsity (with sums in fp32), speed of the
// memory, and what one GPU sends at the same time to others of its machine and to other
// machines. Memory is what the driver shows, less a little. What a training step reaches
// of them is scaled from the H200, measured (docs/performance.md): 68 % in products, 51 %
// in those of experts, 58 and 44 % in attention, 88 % of the memory's speed; 80 % of
// links is a guess. The rows with rates of their own are the measured H200 and the H100,
// the same chip with other memory.
constexpr const char* kTable[] = {
    "h200: memory=140GiB, tflops=989, bandwidth=4800, link=450, network=50, matmul=672, "
    "grouped=500, attention=569/436, copy=4200",
    "h100: memory=79GiB, tflops=989, bandwidth=3350, link=450, network=50, matmul=672, "
    "grouped=470, attention=569/436, copy=2900",
    "b300: memory=274GiB, tflops=2250, bandwidth=8000, link=900, network=100",
    "b200: memory=178GiB, tflops=2250, bandwidth=8000, link=900, network=50",
    "h800: memory=79GiB, tflops=989, bandwidth=3350, link=200, network=50",
    "h20: memory=95GiB, tflops=148, bandwidth=4000, link=450, network=50",
    "a100: memory=79GiB, tflops=312, bandwidth=2039, link=300, network=25",
    "a100-40g: memory=39GiB, tflops=312, bandwidth=1555, link=300, network=25",
    "a800: memory=79GiB, tflops=312, bandwidth=2039, link=200, network=25",
    "l40s: memory=44GiB, tflops=362, bandwidth=864, link=32, network=25",
    "l20: memory=44GiB, tflops=119.5, bandwidth=864, link=32, network=25",
    "l4: memory=22GiB, tflops=121, bandwidth=300, link=32, network=12.5",
    "a40: memory=44GiB, tflops=149.7, bandwidth=696, link=32, network=25",
    "a10: memory=22GiB, tflops=125, bandwidth=600, link=32, network=12.5",
    "5090: memory=31GiB, tflops=209.5, bandwidth=1792, link=64, network=12.5",
    "4090: memory=23GiB, tflops=165.2, bandwidth=1008, link=32, network=12.5",
    "3090: memory=23GiB, tflops=71, bandwidth=936, link=32, network=12.5",
};

std::string lower(std::string_view text) {
  std::string out(trim(text));
  std::ranges::transform(out, out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

/// What a user writes of a GPU; what is missing follows from the rest.
struct Row {
  std::string name;
  std::optional<double> memory, tflops, bandwidth, link, network, matmul, grouped, copy,
      per_machine;
  std::optional<double> attention[2];
};

struct Field {
  const char* key;
  std::optional<double> Row::*value;
};
constexpr Field kFields[] = {
    {"memory", &Row::memory},           {"tflops", &Row::tflops},
    {"bandwidth", &Row::bandwidth},     {"link", &Row::link},
    {"network", &Row::network},         {"matmul", &Row::matmul},
    {"grouped", &Row::grouped},         {"copy", &Row::copy},
    {"per_machine", &Row::per_machine},
};

class RowReader {
 public:
  RowReader(std::string text, std::string place)
      : text_(std::move(text)), place_(std::move(place)) {}

  Row read() const {
    Row row;
    const size_t colon = text_.find(':');
    row.name = lower(text_.substr(0, colon));
    if (row.name.empty()) refuse("a GPU has no name");
    if (colon == std::string::npos) return row;
    for (const auto& field : split(text_.substr(colon + 1), ',')) take(field, row);
    return row;
  }

 private:
  [[noreturn]] void refuse(const std::string& fault) const {
    throw UserError(cat(place_, ": ", fault),
                    "write NAME:memory=80GB,tflops=312,bandwidth=2039 (GB/s), as "
                    "docs/plan.md says");
  }

  void take(const std::string& field, Row& row) const {
    const auto parts = split(field, '=');
    if (parts.size() != 2) refuse(cat("\"", trim(field), "\" is not key=value"));
    const std::string key = lower(parts[0]), value = lower(parts[1]);
    if (key == "attention") {
      const auto both = split(value, '/');
      if (both.size() != 2) refuse("attention is FORWARD/BACKWARD");
      for (size_t i = 0; i < 2; ++i) row.attention[i] = number(key, both[i]);
      return;
    }
    std::vector<std::string> known = {"attention"};
    for (const Field& f : kFields) {
      known.emplace_back(f.key);
      if (key != f.key) continue;
      row.*f.value = key == "memory" ? bytes(value) : number(key, value);
      return;
    }
    refuse(cat("\"", key, "\" is not known of a GPU; known are ", join(known, ", ")));
  }

  double number(const std::string& key, std::string_view text) const {
    text = trim(text);
    double value = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
    constexpr double kMost = 1e9;
    if (error != std::errc() || end != text.end() || !(value > 0) || value > kMost)
      refuse(cat(key, " = \"", text, "\" is not a number above 0"));
    return value;
  }

  /// "80GB", "79.2 GiB", "81559 MiB", or a number of GiB.
  double bytes(const std::string& text) const {
    const size_t letters = text.find_first_not_of("0123456789.");
    const double value = number("memory", text.substr(0, letters));
    const std::string unit =
        letters == std::string::npos ? "gib" : lower(text.substr(letters));
    // A GPU of "80 GB" has GiB.
    if (unit == "gib" || unit == "gb" || unit == "g") return value * kGiB;
    if (unit == "mib" || unit == "mb" || unit == "m") return value * kGiB / 1024;
    refuse(cat("memory = \"", text, "\" has no known unit; write GiB or MiB"));
  }

  std::string text_, place_;
};

/// The rows of the user's file, then the program's.
std::vector<Row> known_rows(const std::string& file) {
  std::vector<Row> rows;
  if (!file.empty()) {
    const auto lines = split(read_text_file(file, "--gpu-table"), '\n');
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string line(trim(lines[i].substr(0, lines[i].find('#'))));
      if (line.empty()) continue;
      rows.push_back(RowReader(line, cat("--gpu-table ", file, ":", i + 1)).read());
    }
    if (rows.empty())
      throw UserError(cat("--gpu-table ", file, ": holds no GPU"),
                      "write a line NAME: memory=80GB, tflops=312, ... for each");
  }
  for (const char* text : kTable) rows.push_back(RowReader(text, "the table").read());
  return rows;
}

/// "nvidia h100 80gb hbm3" as words.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words = {""};
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      words.back() += c;
    else
      words.emplace_back();
  }
  return words;
}

/// Whether a product's name holds all parts of a row's: "a100-sxm4-40gb" those of
/// "a100-40g".
bool is_called(const std::string& row, const std::string& product) {
  const auto words = words_of(product);
  return std::ranges::all_of(words_of(row), [&](const std::string& part) {
    return std::ranges::any_of(words, [&](const std::string& word) {
      return word == part || (word == part + "b" && part.ends_with('g'));
    });
  });
}

const Row* find(const std::vector<Row>& rows, const std::string& name) {
  const Row* best = nullptr;
  for (const Row& row : rows) {
    if (row.name == name) return &row;
    if (!is_called(row.name, name)) continue;
    if (!best || row.name.size() > best->name.size()) best = &row;
  }
  return best;
}

/// What `given` does not say is as in `known`. Rates that were measured do not go with
/// another figure of what they are a share of.
Row joined(Row given, Row known) {
  if (given.tflops) {
    known.matmul = known.grouped = {};
    known.attention[0] = known.attention[1] = {};
  }
  if (given.bandwidth) known.copy = {};
  const auto fill = [](std::optional<double>& to, const std::optional<double>& from) {
    if (!to) to = from;
  };
  for (const Field& field : kFields) fill(given.*field.value, known.*field.value);
  for (size_t i = 0; i < 2; ++i) fill(given.attention[i], known.attention[i]);
  given.name = known.name;
  return given;
}

/// Shares of the published figures, and what a GPU of which nothing is said has: as much
/// speed of its memory for its flops as the H200's, PCIe, eight in a machine.
GpuRates rates_of(const Row& row) {
  constexpr double kMatmul = 672.0 / 989, kGrouped = 500.0 / 989, kForward = 569.0 / 989,
                   kBackward = 436.0 / 989, kCopy = 4.2 / 4.8, kLink = 0.8,
                   kBandwidth = 4800.0 / 989;
  const double tflops = *row.tflops;
  const double bandwidth = row.bandwidth.value_or(kBandwidth * tflops);
  return {row.name,
          *row.memory,
          row.matmul.value_or(kMatmul * tflops) * kTera,
          row.grouped.value_or(kGrouped * tflops) * kTera,
          {row.attention[0].value_or(kForward * tflops) * kTera,
           row.attention[1].value_or(kBackward * tflops) * kTera},
          row.copy.value_or(kCopy * bandwidth) * kGiga,
          kLink * row.link.value_or(32) * kGiga,
          kLink * row.network.value_or(12.5) * kGiga,
          static_cast<int>(row.per_machine.value_or(8))};
}

}  // namespace

GpuRates gpu_rates(const std::string& given, const std::string& table_file) {
  const std::vector<Row> rows = known_rows(table_file);
  const Row asked = RowReader(given, cat("--gpu ", given)).read();
  if (const Row* known = find(rows, asked.name)) {
    const Row row = joined(asked, *known);
    if (row.memory && row.tflops) return rates_of(row);
  }
  if (asked.memory && asked.tflops) return rates_of(asked);
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(row.name);
  throw UserError(cat("--gpu ", given, ": its memory and speed are not known"),
                  cat("known are ", join(names, ", "),
                      "; describe another as NAME:memory=80GB,tflops=312, or in a file "
                      "for --gpu-table"));
}

GpuRates flops_alone() {
  constexpr double kFree = std::numeric_limits<double>::infinity();
  return {"flops", kFree, 1, 1, {1, 1}, kFree, kFree, kFree, 1};
}

}  // namespace mtrain::train
