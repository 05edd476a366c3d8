// Ranges for profilers; used by the pipeline executor and the trainer.
#include "mtrain/base/profile.hpp"

#ifdef MTRAIN_CUDA
#include <nvtx3/nvToolsExt.h>
#endif

namespace mtrain {

#ifdef MTRAIN_CUDA

ProfileRange::ProfileRange(const std::string& name) {
  nvtxRangePushA(name.c_str());
}
ProfileRange::~ProfileRange() {
  nvtxRangePop();
}

#else

ProfileRange::ProfileRange(const std::string&) {}
ProfileRange::~ProfileRange() = default;

#endif

}  // namespace mtrain
