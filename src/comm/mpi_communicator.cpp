// Non-blocking MPI collectives over host tensors; bf16 sums use an MPI operator of our
// own.
#include "mpi_communicator.hpp"

#include <c10/util/BFloat16.h>

#include <limits>

#include "mpi_error.hpp"

namespace mtrain::comm {
namespace {

/// How many elements go to or come from each rank, and where they start.
struct Layout {
  std::vector<int> counts, offsets;
};

/// A request and what MPI reads or writes until it is complete. `copy_to`/`copy_from`: a
/// result that MPI had to put elsewhere because it forbids aliased buffers.
class MpiWork : public Work {
 public:
  MpiWork(std::string operation, std::vector<at::Tensor> keep)
      : operation_(std::move(operation)), keep_(std::move(keep)) {}
  ~MpiWork() override {
    try {
      wait();
    } catch (const std::exception&) {
      // Whoever needed the result waits and learns of it; nobody does here.
    }
  }

  void wait() override {
    check(MPI_Wait(&request, MPI_STATUS_IGNORE));
    if (copy_to.defined()) copy_to.copy_(copy_from);
    copy_to.reset();
    keep_.clear();
  }

  bool done() override {
    int flag = 0;
    check(MPI_Test(&request, &flag, MPI_STATUS_IGNORE));
    return flag != 0;
  }

  void check(int code) const { check_mpi(code, operation_); }

  MPI_Request request = MPI_REQUEST_NULL;
  at::Tensor copy_to, copy_from;
  Layout send, receive;

 private:
  std::string operation_;
  std::vector<at::Tensor> keep_;
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

/// Null for types that are not communicated.
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
      return MPI_DATATYPE_NULL;
  }
}

/// MPI counts are ints; a larger tensor must be split by its owner.
int mpi_count(int64_t elements) {
  MT_CHECK(elements <= std::numeric_limits<int>::max(), elements,
           " elements in one message");
  return static_cast<int>(elements);
}

Layout layout_of(const std::vector<int64_t>& rows, int64_t row) {
  Layout result;
  int64_t offset = 0;
  for (const int64_t n : rows) {
    result.counts.push_back(mpi_count(n * row));
    result.offsets.push_back(mpi_count(offset));
    offset += n * row;
  }
  return result;
}

bool overlaps(const at::Tensor& in, const at::Tensor& out) {
  const auto* first = static_cast<const char*>(in.data_ptr());
  const auto* result = static_cast<const char*>(out.data_ptr());
  return result >= first && result < first + in.nbytes();
}

/// Starts what `call` does with the work object's request.
template <class Call>
Pending start(const std::string& operation, std::vector<at::Tensor> tensors,
              const Call& call) {
  for (const auto& x : tensors) {
    MT_CHECK(x.device().is_cpu() && mpi_type(x) != MPI_DATATYPE_NULL, operation, " of ",
             x.toString(), " over MPI");
  }
  auto work = std::make_unique<MpiWork>(operation, std::move(tensors));
  work->check(call(*work));
  return work;
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
  return start("all-reduce in group " + name(), {x}, [&](MpiWork& work) {
    return MPI_Iallreduce(MPI_IN_PLACE, x.data_ptr(), mpi_count(x.numel()), mpi_type(x),
                          mpi_op(op, x.scalar_type()), group_, &work.request);
  });
}

Pending MpiCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  return start("reduce-scatter in group " + name(), {in, out}, [&](MpiWork& work) {
    at::Tensor target = out;
    if (overlaps(in, out)) {
      target = at::empty_like(out);
      work.copy_to = out;
      work.copy_from = target;
    }
    return MPI_Ireduce_scatter_block(
        in.data_ptr(), target.data_ptr(), mpi_count(out.numel()), mpi_type(in),
        mpi_op(Reduce::kSum, in.scalar_type()), group_, &work.request);
  });
}

Pending MpiCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  return start("all-gather in group " + name(), {in, out}, [&](MpiWork& work) {
    const char* mine =
        static_cast<char*>(out.data_ptr()) + in.nbytes() * static_cast<size_t>(rank());
    const int count = mpi_count(in.numel());
    return MPI_Iallgather(mine == in.data_ptr() ? MPI_IN_PLACE : in.data_ptr(), count,
                          mpi_type(in), out.data_ptr(), count, mpi_type(out), group_,
                          &work.request);
  });
}

Pending MpiCommunicator::start_broadcast(at::Tensor x, int root) {
  return start(cat("broadcast from rank ", root, " of group ", name()), {x},
               [&](MpiWork& work) {
                 return MPI_Ibcast(x.data_ptr(), mpi_count(x.numel()), mpi_type(x), root,
                                   group_, &work.request);
               });
}

Pending MpiCommunicator::start_all_to_all(at::Tensor in,
                                          const std::vector<int64_t>& in_rows,
                                          at::Tensor out,
                                          const std::vector<int64_t>& out_rows) {
  return start("all-to-all in group " + name(), {in, out}, [&](MpiWork& work) {
    const int64_t row = c10::multiply_integers(in.sizes().slice(1));
    work.send = layout_of(in_rows, row);
    work.receive = layout_of(out_rows, row);
    return MPI_Ialltoallv(in.data_ptr(), work.send.counts.data(),
                          work.send.offsets.data(), mpi_type(in), out.data_ptr(),
                          work.receive.counts.data(), work.receive.offsets.data(),
                          mpi_type(out), group_, &work.request);
  });
}

Pending MpiCommunicator::start_send(at::Tensor x, int peer, int tag) {
  return start(cat("send to rank ", peer, " of group ", name()), {x}, [&](MpiWork& work) {
    return MPI_Isend(x.data_ptr(), mpi_count(x.numel()), mpi_type(x), peer, tag, group_,
                     &work.request);
  });
}

Pending MpiCommunicator::start_receive(at::Tensor x, int peer, int tag) {
  return start(cat("receive from rank ", peer, " of group ", name()), {x},
               [&](MpiWork& work) {
                 return MPI_Irecv(x.data_ptr(), mpi_count(x.numel()), mpi_type(x), peer,
                                  tag, group_, &work.request);
               });
}

}  // namespace mtrain::comm
