// Random initialisation as a function of the logical element; the trainer calls it for
// model_config.
#include <ATen/ATen.h>

#include "mtrain/base/error.hpp"
#include "mtrain/base/rng.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::models {
namespace {

/// Normal values of a one- or two-dimensional box, row by row of the logical tensor.
at::Tensor normal_box(const parallel::Box& box, uint64_t seed, double stddev) {
  const int64_t rows = box.extent.size() == 1 ? 1 : box.extent[0];
  const int64_t columns = box.extent.back(), full_columns = box.full.back();
  const int64_t first_row = box.extent.size() == 1 ? 0 : box.offset[0];
  MT_CHECK(box.extent.size() <= 2, "initialisation of ", parallel::to_string(box));
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t element = (first_row + row) * full_columns + box.offset.back();
    normal_stream(seed, box.tensor, element, columns,
                  values.data_ptr<float>() + row * columns);
  }
  return values.mul_(stddev);
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
      const at::Tensor values = normal_box(box, seed, initializer_range);
      flat.narrow(0, begin, box.size()).copy_(values.flatten());
    }
  }
}

}  // namespace mtrain::models
