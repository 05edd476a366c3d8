// Non-blocking MPI collectives over host tensors; bf16 sums use an MPI operator of our
// own.
#include "mpi_communicator.hpp"

#include <c10/util/BFloat16.h>

#include <limits>

#include "mpi_error.hpp"

namespace mtrain::comm {
namespace {

/// A request and the tensors it works on. `copy_to`/`copy_from`: a result that MPI had to
/// put elsewhere because it forbids aliased buffers.
class MpiWork : public Work {
 public:
  MpiWork(std::string operation, std::vector<at::Tensor> keep)
      : operation_(std::move(operation)), keep_(std::move(keep)) {}
  ~MpiWork() override { complete(); }
  void wait() override {
    check_mpi(MPI_Wait(&request, MPI_STATUS_IGNORE), operation_);
    if (copy_to.defined()) copy_to.copy_(copy_from);
    copy_to.reset();
    keep_.clear();
  }

  bool done() override {
    int flag = 0;
    check_mpi(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), operation_);
    return flag != 0;
  }

  MPI_Request request = MPI_REQUEST_NULL;
  at::Tensor copy_to, copy_from;

 protected:
  void complete() {
    if (request != MPI_REQUEST_NULL) MPI_Wait(&request, MPI_STATUS_IGNORE);
  }

 private:
  std::string operation_;
  std::vector<at::Tensor> keep_;
};

class Done : public Work {
 public:
  void wait() override {}
  bool done() override { return true; }
};

void add_bfloat16(void* in, void* inout, int* count, MPI_Datatype*) {
  const auto* a = static_cast<const c10::BFloat16*>(in);
  auto* b = static_cast<c10::BFloat16*>(inout);
  for (int i = 0; i < *count; ++i)
    b[i] = static_cast<float>(a[i]) + static_cast<float>(b[i]);
}

void max_bfloat16(void* in, void* inout, int* count, MPI_Datatype*) {
  const auto* a = static_cast<const c10::BFloat16*>(in);
  auto* b = static_cast<c10::BFloat16*>(inout);
  for (int i = 0; i < *count; ++i) {
    if (static_cast<float>(a[i]) > static_cast<float>(b[i])) b[i] = a[i];
  }
}

MPI_Op make_op(MPI_User_function* function) {
  MPI_Op op;
  check_mpi(MPI_Op_create(function, 1, &op), "operator creation");
  return op;
}

MPI_Op mpi_op(Reduce op, at::ScalarType type) {
  if (type == at::kBFloat16) {
    static const MPI_Op sum = make_op(add_bfloat16), max = make_op(max_bfloat16);
    return op == Reduce::kSum ? sum : max;
  }
  return op == Reduce::kSum ? MPI_SUM : MPI_MAX;
}

MPI_Datatype mpi_type(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return MPI_FLOAT;
    case at::kDouble:
      return MPI_DOUBLE;
    case at::kBFloat16:
      return MPI_UINT16_T;
    case at::kInt:
      return MPI_INT32_T;
    case at::kLong:
      return MPI_INT64_T;
    case at::kByte:
      return MPI_UINT8_T;
    default:
      throw Error(cat("no MPI type for ", c10::toString(x.scalar_type())));
  }
}

/// MPI counts are ints; a larger tensor must be split by its owner.
int mpi_count(int64_t elements) {
  MT_CHECK(elements <= std::numeric_limits<int>::max(), elements,
           " elements in one message");
  return static_cast<int>(elements);
}

void require_usable(const at::Tensor& x) {
  MT_CHECK(x.is_contiguous(), "communicated tensors must be contiguous");
  MT_CHECK(x.device().is_cpu(), "the MPI backend takes host tensors");
}

}  // namespace

MpiCommunicator::MpiCommunicator(std::string name, MPI_Comm group, int rank, int size)
    : Communicator(std::move(name), rank, size), group_(group) {}

MpiCommunicator::~MpiCommunicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (!finalized) MPI_Comm_free(&group_);
}

Pending MpiCommunicator::start_all_reduce(at::Tensor x, Reduce op) {
  if (size() == 1) return std::make_unique<Done>();
  require_usable(x);
  auto work = std::make_unique<MpiWork>("all-reduce in group " + name(), std::vector{x});
  check_mpi(MPI_Iallreduce(MPI_IN_PLACE, x.data_ptr(), mpi_count(x.numel()), mpi_type(x),
                           mpi_op(op, x.scalar_type()), group_, &work->request),
            "all-reduce");
  return work;
}

Pending MpiCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  MT_CHECK(in.numel() == out.numel() * size(), "reduce-scatter of ", in.numel(), " into ",
           out.numel(), " over ", size());
  if (size() == 1) {
    if (in.data_ptr() != out.data_ptr()) out.copy_(in.view_as(out));
    return std::make_unique<Done>();
  }
  require_usable(in);
  require_usable(out);
  const auto* first = static_cast<const char*>(in.data_ptr());
  const auto* result = static_cast<const char*>(out.data_ptr());
  const bool aliased = result >= first && result < first + in.nbytes();
  auto work = std::make_unique<MpiWork>("reduce-scatter in group " + name(),
                                        std::vector{in, out});
  at::Tensor target = out;
  if (aliased) {
    target = at::empty_like(out);
    work->copy_to = out;
    work->copy_from = target;
  }
  check_mpi(MPI_Ireduce_scatter_block(
                in.data_ptr(), target.data_ptr(), mpi_count(out.numel()), mpi_type(in),
                mpi_op(Reduce::kSum, in.scalar_type()), group_, &work->request),
            "reduce-scatter");
  return work;
}

Pending MpiCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  MT_CHECK(out.numel() == in.numel() * size(), "all-gather of ", in.numel(), " into ",
           out.numel(), " over ", size());
  char* mine =
      static_cast<char*>(out.data_ptr()) + in.nbytes() * static_cast<size_t>(rank());
  const bool in_place = mine == in.data_ptr();
  if (size() == 1) {
    if (!in_place) out.copy_(in.view_as(out));
    return std::make_unique<Done>();
  }
  require_usable(in);
  require_usable(out);
  auto work =
      std::make_unique<MpiWork>("all-gather in group " + name(), std::vector{in, out});
  const int count = mpi_count(in.numel());
  check_mpi(MPI_Iallgather(in_place ? MPI_IN_PLACE : in.data_ptr(), count, mpi_type(in),
                           out.data_ptr(), count, mpi_type(out), group_, &work->request),
            "all-gather");
  return work;
}

Pending MpiCommunicator::start_broadcast(at::Tensor x, int root) {
  if (size() == 1) return std::make_unique<Done>();
  require_usable(x);
  auto work = std::make_unique<MpiWork>("broadcast in group " + name(), std::vector{x});
  check_mpi(MPI_Ibcast(x.data_ptr(), mpi_count(x.numel()), mpi_type(x), root, group_,
                       &work->request),
            "broadcast");
  return work;
}

Pending MpiCommunicator::start_all_to_all(at::Tensor in,
                                          const std::vector<int64_t>& in_rows,
                                          at::Tensor out,
                                          const std::vector<int64_t>& out_rows) {
  require_usable(in);
  require_usable(out);
  const int64_t row = c10::multiply_integers(in.sizes().slice(1));
  struct Layout {
    std::vector<int> counts, offsets;
  };
  const auto layout = [&](const std::vector<int64_t>& rows) {
    Layout result;
    int64_t offset = 0;
    for (const int64_t n : rows) {
      result.counts.push_back(mpi_count(n * row));
      result.offsets.push_back(mpi_count(offset));
      offset += n * row;
    }
    return result;
  };
  // MPI reads the counts until completion, so the work object has to keep them, and to
  // wait before they go.
  struct AllToAll : MpiWork {
    using MpiWork::MpiWork;
    ~AllToAll() override { complete(); }
    Layout send, receive;
  };
  auto work =
      std::make_unique<AllToAll>("all-to-all in group " + name(), std::vector{in, out});
  work->send = layout(in_rows);
  work->receive = layout(out_rows);
  check_mpi(
      MPI_Ialltoallv(in.data_ptr(), work->send.counts.data(), work->send.offsets.data(),
                     mpi_type(in), out.data_ptr(), work->receive.counts.data(),
                     work->receive.offsets.data(), mpi_type(out), group_, &work->request),
      "all-to-all");
  return work;
}

Pending MpiCommunicator::start_send(at::Tensor x, int peer, int tag) {
  require_usable(x);
  auto work = std::make_unique<MpiWork>(cat("send to rank ", peer, " of group ", name()),
                                        std::vector{x});
  check_mpi(MPI_Isend(x.data_ptr(), mpi_count(x.numel()), mpi_type(x), peer, tag, group_,
                      &work->request),
            "send");
  return work;
}

Pending MpiCommunicator::start_receive(at::Tensor x, int peer, int tag) {
  require_usable(x);
  auto work = std::make_unique<MpiWork>(
      cat("receive from rank ", peer, " of group ", name()), std::vector{x});
  check_mpi(MPI_Irecv(x.data_ptr(), mpi_count(x.numel()), mpi_type(x), peer, tag, group_,
                      &work->request),
            "receive");
  return work;
}

}  // namespace mtrain::comm
