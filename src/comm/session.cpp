// Starts and ends MPI, makes the groups, and carries host-side agreement between ranks.
#include "mtrain/comm/session.hpp"

#include <algorithm>
#include <exception>

#include "device_communicator.hpp"
#include "group_communicator.hpp"
#include "mpi_communicator.hpp"
#include "mpi_error.hpp"
#include "mtrain/base/stop_request.hpp"
#include "solo_communicator.hpp"

namespace mtrain::comm {
namespace {

/// What one rank says after a local step: nothing, or its error.
struct Outcome {
  int exit_code = kExitOk;
  std::string what, remedy;
};

/// A meeting of all ranks while it lives.
class Meeting {
 public:
  Meeting(Activity& activity, int lane)
      : activity_(activity),
        lane_(lane),
        number_(activity.starts(lane, OperationKind::kMeeting, 0)) {
    activity_.waits(lane_, number_);
  }
  ~Meeting() {
    if (exceptions_ == std::uncaught_exceptions()) activity_.waited(lane_, number_, true);
  }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

 private:
  Activity& activity_;
  int lane_;
  int64_t number_;
  int exceptions_ = std::uncaught_exceptions();
};

constexpr char kFieldSeparator = '\x1f';

std::string pack(const Outcome& outcome) {
  if (outcome.exit_code == kExitOk) return {};
  return cat(outcome.exit_code, kFieldSeparator, outcome.what, kFieldSeparator,
             outcome.remedy);
}

Outcome run(const std::function<void()>& local) {
  try {
    local();
    return {};
  } catch (const Error& error) {
    return {error.exit_code(), error.what(), error.remedy()};
  } catch (const std::exception& error) {
    return {kExitFailure, error.what(), ""};
  }
}

template <class Kind>
[[noreturn]] void throw_everywhere(const std::string& what, const std::string& remedy) {
  Kind error(what, remedy);
  error.set_on_all_ranks();
  throw error;
}

[[noreturn]] void throw_outcome(const std::string& where, const std::string& packed) {
  const auto fields = split(packed, kFieldSeparator);
  // Which rank the signal reached is nothing to tell.
  if (fields.at(0) == cat(static_cast<int>(kExitRequeue)))
    throw_everywhere<StopRequested>(fields.at(1), fields.at(2));
  const bool user_fault = fields.at(0) == cat(static_cast<int>(kExitUserFault));
  if (user_fault) throw_everywhere<UserError>(where + fields.at(1), fields.at(2));
  throw_everywhere<Error>(where + fields.at(1), fields.at(2));
}

}  // namespace

Session::Session(int* argc, char*** argv) {
  prepare_devices();
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "start");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size_);
  MPI_Comm local;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_,
                                MPI_INFO_NULL, &local),
            "split by machine");
  MPI_Comm_size(local, &local_size_);
  MPI_Comm_rank(local, &local_rank_);
  MPI_Comm_free(&local);
  Lane everyone{"all ranks", {}};
  for (int rank = 0; rank < world_size_; ++rank) everyone.ranks.push_back(rank);
  meetings_ = activity_->add_lane(everyone);
}

Session::~Session() {
  MPI_Finalize();
}

void Session::prepare_for_pipeline() const {
  comm::prepare_for_pipeline();
}

void Session::barrier() const {
  const Meeting meeting(*activity_, meetings_);
  check_mpi(MPI_Barrier(MPI_COMM_WORLD), "barrier");
}

std::vector<std::string> Session::all_gather_text(const std::string& text) const {
  const Meeting meeting(*activity_, meetings_);
  const auto ranks = static_cast<size_t>(world_size_);
  const int length = static_cast<int>(text.size());
  std::vector<int> lengths(ranks), offsets(ranks);
  check_mpi(
      MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD),
      "all-gather of text lengths");
  int total = 0;
  for (size_t r = 0; r < ranks; ++r) {
    offsets[r] = total;
    total += lengths[r];
  }
  std::string all(static_cast<size_t>(total), '\0');
  check_mpi(MPI_Allgatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(),
                           offsets.data(), MPI_CHAR, MPI_COMM_WORLD),
            "all-gather of text");
  std::vector<std::string> result;
  for (size_t r = 0; r < ranks; ++r) {
    result.push_back(
        all.substr(static_cast<size_t>(offsets[r]), static_cast<size_t>(lengths[r])));
  }
  return result;
}

void Session::agree(const std::function<void()>& local) const {
  const auto outcomes = all_gather_text(pack(run(local)));
  const bool everywhere =
      std::all_of(outcomes.begin(), outcomes.end(),
                  [&](const std::string& outcome) { return outcome == outcomes[0]; });
  for (size_t rank = 0; rank < outcomes.size(); ++rank) {
    if (outcomes[rank].empty()) continue;
    throw_outcome(everywhere ? "" : cat("rank ", rank, ": "), outcomes[rank]);
  }
}

std::string Session::broadcast_text(const std::string& text) const {
  return all_gather_text(rank_ == 0 ? text : std::string()).front();
}

std::unique_ptr<Communicator> Session::make_group(const std::string& name,
                                                  const std::vector<int>& ranks,
                                                  Backend backend) const {
  return make_group(name, ranks, backend, {});
}

std::unique_ptr<Communicator> Session::make_group(
    const std::string& name, const std::vector<int>& ranks, Backend backend,
    const std::vector<Channel>& channels) const {
  int position = -1;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] == rank_) position = static_cast<int>(i);
  }
  MT_CHECK(position >= 0, "rank ", rank_, " is not in its own group ", name);
  MPI_Comm group;
  check_mpi(MPI_Comm_split(MPI_COMM_WORLD, ranks[0], position, &group),
            "split for " + name);
  MPI_Comm_set_errhandler(group, MPI_ERRORS_RETURN);
  auto host = std::make_unique<MpiCommunicator>(name, group, position,
                                                static_cast<int>(ranks.size()));
  if (ranks.size() == 1) {
    return std::make_unique<GroupCommunicator>(std::make_unique<SoloCommunicator>(name),
                                               nullptr, ranks, *activity_);
  }
  auto device = make_device_communicator(backend, *host, channels);
  return std::make_unique<GroupCommunicator>(std::move(host), std::move(device), ranks,
                                             *activity_);
}

void Session::abort(int code) const {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::terminate();
}

std::vector<Channel> pipeline_channels(int stages) {
  std::vector<Channel> channels;
  for (int stage = 0; stages > 1 && stage < stages; ++stage) {
    const int next = (stage + 1) % stages;
    channels.push_back({stage, next, 0});
    channels.push_back({next, stage, 1});
  }
  return channels;
}

ProcessGroups make_groups(const Session& session, const RankGrid& grid, Backend backend) {
  const int rank = session.rank();
  std::vector<int> everyone;
  for (int r = 0; r < session.world_size(); ++r) everyone.push_back(r);
  const auto group = [&](Axis axis) {
    return session.make_group(to_string(axis), grid.group(axis, rank), backend);
  };
  const int stages = grid.sizes().pipeline, stage = grid.coordinates(rank).pipeline;
  const bool at_end = stage == 0 || stage == stages - 1;
  ProcessGroups groups;
  groups.activity = &session.activity();
  groups.world = session.make_group("world", everyone, backend);
  groups.tensor = group(Axis::kTensor);
  groups.data = group(Axis::kDataContext);
  groups.pipeline =
      session.make_group(to_string(Axis::kPipeline), grid.group(Axis::kPipeline, rank),
                         backend, pipeline_channels(stages));
  groups.embedding =
      at_end ? group(Axis::kEmbedding)
             : session.make_group("embedding", std::vector<int>{rank}, backend);
  groups.expert = group(Axis::kExpert);
  groups.expert_tensor = group(Axis::kExpertTensor);
  groups.expert_data = group(Axis::kExpertData);
  return groups;
}

}  // namespace mtrain::comm
