// The parsers under fuzzing, for both drivers: the tests' fixed rounds (fuzz.hpp) and
// libFuzzer (libfuzzer.cpp).
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace mtrain::test {

/// One kind of input from outside.
struct Target {
  std::string name;
  std::vector<std::string> seeds;  ///< sound inputs, made by the project itself
  /// Parses and uses the bytes: returns, or throws UserError. Anything else is a finding.
  std::function<void(const std::string& bytes)> use;
};

/// Memory an input may make its parser hold at a time: kMemoryBase for what does not
/// depend on it, and kMemoryFactor times its size.
inline constexpr int64_t kMemoryBase = 16 << 20;
inline constexpr int64_t kMemoryFactor = 256;

/// The targets of this program: it links one of targets_config, targets_data and
/// targets_checkpoint.
const std::vector<Target>& all_targets();

/// Writes a file over an older one.
void overwrite(const std::string& path, const std::string& bytes);

/// A folder for the files of this process, removed when it ends.
const std::string& fuzz_folder();

/// Most bytes held at a time since `restart`, beyond those of before it.
class MemoryMeter {
 public:
  static void restart();
  static int64_t peak();

 private:
  static inline int64_t start_ = 0;
};

}  // namespace mtrain::test
