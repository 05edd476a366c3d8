// libFuzzer's side of the fuzz targets; tests/fuzz/nightly.sh runs it.
// MTRAIN_FUZZ_TARGET names the target, MTRAIN_FUZZ_SEEDS a folder its seeds are written
// to.
#include <cstdio>
#include <cstdlib>

#include "mtrain/base/error.hpp"
#include "targets.hpp"

namespace {

using mtrain::test::MemoryMeter;
using mtrain::test::Target;

[[noreturn]] void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

const Target& chosen() {
  const char* name = std::getenv("MTRAIN_FUZZ_TARGET");
  for (const Target& target : mtrain::test::all_targets())
    if (name && target.name == name) return target;
  for (const Target& target : mtrain::test::all_targets())
    std::fprintf(stderr, "MTRAIN_FUZZ_TARGET=%s\n", target.name.c_str());
  std::exit(2);
}

void check_memory(size_t size) {
  using mtrain::test::kMemoryBase;
  using mtrain::test::kMemoryFactor;
  const int64_t bytes = MemoryMeter::peak();
  if (bytes > kMemoryBase + kMemoryFactor * static_cast<int64_t>(size))
    finding(mtrain::cat(bytes, " bytes of memory for ", size, " bytes of input"));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const Target& target = chosen();
  if (const char* folder = std::getenv("MTRAIN_FUZZ_SEEDS"))
    for (size_t i = 0; i < target.seeds.size(); ++i)
      mtrain::test::overwrite(mtrain::cat(folder, "/", target.name, "-", i),
                              target.seeds[i]);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Target& target = chosen();
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  MemoryMeter::restart();
  try {
    target.use(bytes);
  } catch (const mtrain::UserError&) {
  } catch (const std::exception& error) {
    finding(error.what());
  }
  check_memory(size);
  return 0;
}
