// The closed sets of the deck: values code branches on, and the names users write for
// them.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace mtrain::config {

enum class Stage { kPt, kSft, kDpo };
enum class RecomputeGranularity { kNone, kSelective, kFull };
enum class RecomputeMethod { kUniform, kBlock };
enum class LossAverage { kToken, kSampleMean };
enum class NonFiniteStep { kStop, kSkip };
enum class Compat { kNone, kMca };
enum class Backend { kAuto, kNccl, kMpi };
enum class Device { kAuto, kCuda, kCpu };
enum class AttentionBackend { kAuto, kCudnn, kFlash, kUnfused };
enum class TokenDispatcher { kAllToAll, kAllGather };
enum class PtPacking { kBlocks, kDocuments };
enum class MixStrategy { kConcat, kInterleaveUnder, kInterleaveOver, kInterleaveOnce };
enum class LrScheduler {
  kConstant,
  kConstantWithWarmup,
  kLinear,
  kCosine,
  kCosineWithMinLr,
  kInverseSqrt,
  kWarmupStableDecay,
};
enum class DecayStyle { kLinear, kCosine, kOneMinusSqrt };
enum class PrefLoss { kSigmoid, kHinge, kIpo, kOrpo, kSimpo };
enum class ReportTo { kNone, kTensorboard };
enum class Strategy { kNo, kSteps, kEpoch };

/// EnumNames<E>::value[i] is the deck's word for the i-th enumerator of E.
template <class E>
struct EnumNames;

template <>
struct EnumNames<Stage> {
  static constexpr auto value = std::to_array<std::string_view>({"pt", "sft", "dpo"});
};
template <>
struct EnumNames<RecomputeGranularity> {
  static constexpr auto value =
      std::to_array<std::string_view>({"none", "selective", "full"});
};
template <>
struct EnumNames<RecomputeMethod> {
  static constexpr auto value = std::to_array<std::string_view>({"uniform", "block"});
};
template <>
struct EnumNames<LossAverage> {
  static constexpr auto value = std::to_array<std::string_view>({"token", "sample_mean"});
};
template <>
struct EnumNames<NonFiniteStep> {
  static constexpr auto value = std::to_array<std::string_view>({"stop", "skip"});
};
template <>
struct EnumNames<Compat> {
  static constexpr auto value = std::to_array<std::string_view>({"none", "mca"});
};
template <>
struct EnumNames<Backend> {
  static constexpr auto value = std::to_array<std::string_view>({"auto", "nccl", "mpi"});
};
template <>
struct EnumNames<Device> {
  static constexpr auto value = std::to_array<std::string_view>({"auto", "cuda", "cpu"});
};
template <>
struct EnumNames<AttentionBackend> {
  static constexpr auto value =
      std::to_array<std::string_view>({"auto", "cudnn", "flash", "unfused"});
};
template <>
struct EnumNames<TokenDispatcher> {
  static constexpr auto value =
      std::to_array<std::string_view>({"alltoall", "allgather"});
};
template <>
struct EnumNames<PtPacking> {
  static constexpr auto value = std::to_array<std::string_view>({"blocks", "documents"});
};
template <>
struct EnumNames<MixStrategy> {
  static constexpr auto value = std::to_array<std::string_view>(
      {"concat", "interleave_under", "interleave_over", "interleave_once"});
};
template <>
struct EnumNames<LrScheduler> {
  static constexpr auto value = std::to_array<std::string_view>(
      {"constant", "constant_with_warmup", "linear", "cosine", "cosine_with_min_lr",
       "inverse_sqrt", "warmup_stable_decay"});
};
template <>
struct EnumNames<DecayStyle> {
  static constexpr auto value =
      std::to_array<std::string_view>({"linear", "cosine", "1-sqrt"});
};
template <>
struct EnumNames<PrefLoss> {
  static constexpr auto value =
      std::to_array<std::string_view>({"sigmoid", "hinge", "ipo", "orpo", "simpo"});
};
template <>
struct EnumNames<Strategy> {
  static constexpr auto value = std::to_array<std::string_view>({"no", "steps", "epoch"});
};
template <>
struct EnumNames<ReportTo> {
  static constexpr auto value = std::to_array<std::string_view>({"none", "tensorboard"});
};

/// The deck's word for `value`.
template <class E>
requires requires {
  EnumNames<E>::value;
}
std::string to_string(E value) {
  return std::string(EnumNames<E>::value[static_cast<size_t>(value)]);
}

}  // namespace mtrain::config
