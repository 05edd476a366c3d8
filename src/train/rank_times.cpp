// Compares the ranks' times; used by the trainer for its log and summary.
#include "rank_times.hpp"

#include <ATen/ATen.h>

#include <cstdio>

#include "mtrain/base/text.hpp"

namespace mtrain::train {
namespace {

Spread spread(const at::Tensor& seconds) {
  const auto rank = seconds.argmax().item<int64_t>();
  return {seconds.min().item<double>(), seconds.mean().item<double>(),
          seconds[rank].item<double>(), static_cast<int>(rank)};
}

bool is_work(Doing doing) {
  return doing == Doing::kData || doing == Doing::kForward || doing == Doing::kBackward ||
         doing == Doing::kOptimizer;
}

}  // namespace

RankTimes spread_over_ranks(const DoingTimes& own, comm::Communicator& world) {
  at::Tensor mine = at::zeros({1, kDoings}, at::kDouble);
  std::copy(own.begin(), own.end(), mine.data_ptr<double>());
  const at::Tensor all = at::zeros({world.size(), kDoings}, at::kDouble);
  world.all_gather(mine, all);
  RankTimes times;
  at::Tensor work = at::zeros({world.size()}, at::kDouble);
  for (int i = 0; i < kDoings; ++i) {
    const at::Tensor seconds = all.select(1, i);
    times.of[static_cast<size_t>(i)] = spread(seconds);
    if (is_work(static_cast<Doing>(i))) work = work + seconds;
  }
  times.work = spread(work);
  times.slowest = times.work.rank;
  return times;
}

DoingTimes operator-(DoingTimes a, const DoingTimes& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

std::string to_string(const DoingTimes& times) {
  std::string text;
  for (int i = 0; i < kDoings; ++i) {
    text += cat(i == 0 ? "" : ", ", to_string(static_cast<Doing>(i)),
                formatted(" %.3f s", times[static_cast<size_t>(i)]));
  }
  return text;
}

std::string to_string(const RankTimes& times) {
  std::string text = "time    of the steps, seconds   least     mean     most  on rank\n";
  for (int i = 0; i < kDoings; ++i) {
    const Spread& s = times.of[static_cast<size_t>(i)];
    char line[96];
    std::snprintf(line, sizeof line, "  %-22s %9.2f %8.2f %8.2f %8d\n",
                  to_string(static_cast<Doing>(i)).c_str(), s.least, s.mean, s.most,
                  s.rank);
    text += line;
  }
  return text + cat("  slowest is rank ", times.slowest);
}

}  // namespace mtrain::train
