// Where a training step's time goes on a GPU: a library that the CUDA driver loads into a
// program (CUDA_INJECTION64_PATH=.../libkernel_trace.so ./mtrain ...). It records every
// kernel and copy through CUPTI and prints, when the program ends, milliseconds per step
// by kernel, busy time and gaps. A step ends with its last AdamW kernel; the first steps
// are left out.
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

struct Span {
  uint64_t start, end;  ///< ns
  const std::string* name;
};

constexpr size_t kBufferBytes = size_t{8} << 20;
constexpr size_t kWarmUpSteps = 3;

std::mutex lock;
std::vector<Span> spans;
std::map<std::string, int> names;

const std::string* interned(const std::string& name) {
  return &names.try_emplace(name).first->first;
}

/// "void ns::(anonymous namespace)::kernel<float>(...)" -> "ns::kernel<float>".
std::string short_name(const char* mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? text : mangled;
  std::free(text);
  const std::string unnamed = "(anonymous namespace)::";
  for (size_t at; (at = name.find(unnamed)) != std::string::npos;)
    name.erase(at, unnamed.size());
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  return name.substr(0, std::min<size_t>(name.find('('), 90));
}

void add(uint64_t start, uint64_t end, const std::string& name) {
  spans.push_back({start, end, interned(name)});
}

void record(const CUpti_Activity* activity) {
  switch (activity->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
      const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(activity);
      return add(kernel->start, kernel->end, short_name(kernel->name));
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto* copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(activity);
      return add(copy->start, copy->end, "copy");
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto* set = reinterpret_cast<const CUpti_ActivityMemset4*>(activity);
      return add(set->start, set->end, "set");
    }
    default:
      return;
  }
}

void CUPTIAPI give_buffer(uint8_t** buffer, size_t* size, size_t* max_records) {
  *size = kBufferBytes;
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *max_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  const std::lock_guard<std::mutex> guard(lock);
  CUpti_Activity* activity = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &activity) == CUPTI_SUCCESS)
    record(activity);
  std::free(buffer);
}

/// Indices behind the last AdamW kernel of each step.
std::vector<size_t> step_ends() {
  std::vector<size_t> ends;
  bool updating = false;
  for (size_t i = 0; i < spans.size(); ++i) {
    const bool adamw = spans[i].name->find("update_pieces") != std::string::npos;
    if (adamw && updating) ends.back() = i + 1;
    if (adamw && !updating) ends.push_back(i + 1);
    updating = adamw;
  }
  return ends;
}

/// Nanoseconds in which at least one of the spans [first, last) ran.
uint64_t busy_time(size_t first, size_t last) {
  uint64_t busy = 0, reached = 0;
  for (size_t i = first; i < last; ++i) {
    const uint64_t begin = std::max(spans[i].start, reached);
    if (spans[i].end > begin) busy += spans[i].end - begin;
    reached = std::max(reached, spans[i].end);
  }
  return busy;
}

void print_summary() {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const std::lock_guard<std::mutex> guard(lock);
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.start < b.start; });
  const auto ends = step_ends();
  if (ends.size() < kWarmUpSteps + 2) return;
  const size_t first = ends[kWarmUpSteps - 1], last = ends.back();
  const auto steps = static_cast<double>(ends.size() - kWarmUpSteps);
  struct Sum {
    double ns = 0;
    int64_t count = 0;
  };
  std::map<std::string, Sum> sums;
  for (size_t i = first; i < last; ++i) {
    Sum& sum = sums[*spans[i].name];
    sum.ns += static_cast<double>(spans[i].end - spans[i].start);
    ++sum.count;
  }
  std::vector<std::pair<std::string, Sum>> rows(sums.begin(), sums.end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });
  const double whole = static_cast<double>(spans[last - 1].end - spans[first - 1].end);
  const double busy = static_cast<double>(busy_time(first, last));
  std::fprintf(
      stderr, "kernel trace: %.0f steps, %.2f ms each, busy %.2f ms, gaps %.2f ms\n",
      steps, whole / steps / 1e6, busy / steps / 1e6, (whole - busy) / steps / 1e6);
  for (const auto& [name, sum] : rows)
    std::fprintf(stderr, "%9.3f ms %7.1f x  %s\n", sum.ns / steps / 1e6,
                 static_cast<double>(sum.count) / steps, name.c_str());
}

}  // namespace

/// The driver calls this before the program's first CUDA call.
extern "C" int InitializeInjection() {
  static bool begun = false;  // the driver may call more than once
  if (begun) return 1;
  begun = true;
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET);
  std::atexit(print_summary);
  return 1;
}
