// The table of GPUs; read by the plan. To plan for another one, add a row.
#include "gpu_rates.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9, kGiB = 1024.0 * 1024 * 1024;

// h200: measured, docs/performance.md (products and attention within whole steps), but
// for link and network, which are 80 % of NVLink 4 and of one 400 Gb/s port a GPU.
// h100: the same chip; memory and its speed by their published ratio to the h200's.
constexpr GpuRates kTable[] = {
    {"h200",
     140 * kGiB,
     672 * kTera,
     500 * kTera,
     {569 * kTera, 436 * kTera},
     4.2 * kTera,
     360 * kGiga,
     40 * kGiga,
     8},
    {"h100",
     79 * kGiB,
     672 * kTera,
     470 * kTera,
     {569 * kTera, 436 * kTera},
     2.9 * kTera,
     360 * kGiga,
     40 * kGiga,
     8},
};

}  // namespace

const GpuRates& gpu_rates(const std::string& name) {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  std::vector<std::string> known;
  for (const GpuRates& rates : kTable) {
    if (lower == rates.name) return rates;
    known.emplace_back(rates.name);
  }
  throw UserError(cat("--gpu ", name, ": its rates are not known"),
                  cat("known are ", join(known, ", "),
                      "; add a row to src/train/gpu_rates.cpp for another"));
}

GpuRates flops_alone() {
  constexpr double kFree = std::numeric_limits<double>::infinity();
  return {"flops", kFree, 1, 1, {1, 1}, kFree, kFree, kFree, 1};
}

}  // namespace mtrain::train
