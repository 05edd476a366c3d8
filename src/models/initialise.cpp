// Random initialisation as a function of the logical element; the trainer calls it for
// model_config.
#include "mtrain/base/error.hpp"
#include "mtrain/kernels/random.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::models {
namespace {

/// Which numbers of the logical tensor's stream a one- or two-dimensional box holds.
kernels::NormalBox numbers_of(const parallel::Box& box) {
  MT_CHECK(box.extent.size() <= 2, "initialisation of ", parallel::to_string(box));
  const bool matrix = box.extent.size() == 2;
  const int64_t full_columns = box.full.back(), first_row = matrix ? box.offset[0] : 0;
  return {matrix ? box.extent[0] : 1, box.extent.back(),
          first_row * full_columns + box.offset.back(), full_columns};
}

}  // namespace

void initialise(parallel::ParamBuffer& buffer, uint64_t seed, double initializer_range) {
  for (const auto& p : buffer.params()) {
    if (p->spec.init == parallel::Init::kOnes) {
      p->weight.fill_(1.0);
      continue;
    }
    const at::Tensor flat = p->weight.flatten();
    for (const auto& [begin, box] : p->spec.boxes) {
      at::Tensor values = flat.narrow(0, begin, box.size());
      kernels::normal_fill_(values, seed, box.tensor, numbers_of(box), initializer_range);
    }
  }
}

}  // namespace mtrain::models
