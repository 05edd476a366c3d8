// Owns the filling of boxes with normal numbers: checks, then picks the device's loops.
// Called by models for initialisation.
#include "mtrain/kernels/random.hpp"

#include "device.hpp"

namespace mtrain::kernels {

void normal_fill_(at::Tensor& out, uint64_t seed, std::string_view name,
                  const NormalBox& box, double stddev) {
  MT_CHECK(box.rows >= 0 && box.columns >= 0 && box.first >= 0, "normal_fill: box of ",
           box.rows, " x ", box.columns, " from ", box.first);
  require(out, require_activation(out, "normal_fill: out"), {box.rows * box.columns},
          "normal_fill: out");
  MT_LOOPS(out, normal_fill_)(out, seed, name, box, stddev);
}

}  // namespace mtrain::kernels
