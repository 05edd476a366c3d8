// Named ranges for profilers (NVTX). They cost nothing in a program built without CUDA.
#pragma once

#include <string>

namespace mtrain {

/// Shows as a bar of this name on the host's time line while it lives.
class ProfileRange {
 public:
  explicit ProfileRange(const std::string& name);
  ~ProfileRange();
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;
};

}  // namespace mtrain
