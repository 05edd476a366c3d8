// Streams tensors from a source to a sink in bounded memory; called by mconvert and
// export.
#include "mtrain/checkpoint/convert.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "coverage.hpp"
#include "dtype.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {
namespace {

using parallel::Box;

/// Throws one UserError with everything of the plan that the source cannot give.
void check_plan(const TensorSource& from, const std::vector<TensorInfo>& plan) {
  std::vector<std::string> faults;
  for (const TensorInfo& wanted : plan) {
    const TensorInfo* found = from.find(wanted.name);
    if (!found) {
      faults.push_back(cat("tensor \"", wanted.name, "\" is missing"));
    } else if (found->shape != wanted.shape) {
      faults.push_back(cat("tensor \"", wanted.name, "\" has shape [",
                           join(found->shape, ", "), "] instead of [",
                           join(wanted.shape, ", "), "]"));
    }
  }
  if (!faults.empty())
    throw UserError(join(faults, "; "), "weights and config.json must belong together");
}

/// Memory for one chunk before and one after the cast, used for all of them: what is
/// allocated anew for each is paid for page by page, and leaves holes that add up.
class Room {
 public:
  explicit Room(int64_t bytes)
      : read_(at::empty({bytes}, at::kByte)), cast_(at::empty({bytes}, at::kByte)) {}

  /// The box of `from` in the dtype `to`; valid until the next call.
  at::Tensor cast(const TensorSource& from, const Box& box, at::ScalarType stored,
                  at::ScalarType to) {
    const at::Tensor data = view(read_, box, stored);
    from.read_into(box, data.data_ptr());
    if (stored == to) return data;
    return view(cast_, box, to).copy_(data);
  }

 private:
  static at::Tensor view(at::Tensor& room, const Box& box, at::ScalarType dtype) {
    const int64_t bytes = box.size() * dtype_size(dtype);
    if (room.numel() < bytes) room = at::empty({bytes}, at::kByte);
    return room.narrow(0, 0, bytes).view(dtype).view(box.extent);
  }

  at::Tensor read_, cast_;
};

}  // namespace

std::vector<Box> chunks_of(const TensorInfo& tensor, int64_t max_elements) {
  MT_CHECK(max_elements > 0, "chunks of ", max_elements, " elements");
  const Box whole = whole_box(tensor.name, tensor.shape);
  if (whole.size() <= max_elements)
    return whole.size() > 0 ? std::vector<Box>{whole} : std::vector<Box>{};
  // The outermost dim whose slices still fit is cut; those before it are taken one by
  // one.
  size_t cut = 0;
  int64_t slice = whole.size() / tensor.shape[0];
  while (slice > max_elements) slice /= tensor.shape[++cut];
  const int64_t rows = max_elements / slice;
  std::vector<Box> chunks;
  const int64_t lines = whole.size() / slice / tensor.shape[cut];
  for (int64_t line = 0; line < lines; ++line)
    for (int64_t row = 0; row < tensor.shape[cut]; row += rows) {
      Box chunk = whole;
      int64_t rest = line;
      for (size_t d = cut; d-- > 0; rest /= tensor.shape[d]) {
        chunk.offset[d] = rest % tensor.shape[d];
        chunk.extent[d] = 1;
      }
      chunk.offset[cut] = row;
      chunk.extent[cut] = std::min(rows, tensor.shape[cut] - row);
      chunks.push_back(std::move(chunk));
    }
  return chunks;
}

void convert(const TensorSource& from, const std::vector<TensorInfo>& plan,
             const ConvertOptions& options, const PieceSink& sink) {
  MT_CHECK(options.world > 0 && options.rank >= 0 && options.rank < options.world,
           "rank ", options.rank, " of ", options.world);
  check_plan(from, plan);
  Room room(options.chunk_bytes);
  int64_t total = 0, done = 0, chunk_number = 0;
  for (const TensorInfo& tensor : plan)
    total += parallel::numel(tensor.shape) * dtype_size(tensor.dtype);
  for (const TensorInfo& tensor : plan) {
    const int64_t target_size = dtype_size(tensor.dtype);
    const int64_t widest =
        std::max(target_size, dtype_size(from.find(tensor.name)->dtype));
    const int64_t elements = std::max<int64_t>(1, options.chunk_bytes / widest);
    for (const Box& chunk : chunks_of(tensor, elements)) {
      if (chunk_number++ % options.world == options.rank)
        sink(chunk, room.cast(from, chunk, from.find(tensor.name)->dtype, tensor.dtype));
      done += chunk.size() * target_size;
      if (options.progress) options.progress(done, total);
    }
  }
}

}  // namespace mtrain::checkpoint
