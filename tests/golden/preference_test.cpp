// Preference training against the reference: losses, rewards and derivatives of every
// loss from given log-probabilities, and losses and gradients through whole models, with
// the pairs packed and spread over layouts.
#define BOOST_TEST_MODULE golden_preference
#include "support/mpi_main.hpp"
//
#include <cmath>
#include <map>
#include <set>

#include "harness.hpp"
#include "train/pair_loss.hpp"
#include "train/preference.hpp"

using namespace mtrain;
using config::PrefLoss;
using golden::Harness;
using golden::Layout;
using test::GoldenCase;

namespace {

struct Loss {
  std::string name;
  config::Dpo options;
};

const std::vector<Loss>& losses() {
  static const std::vector<Loss> all = {
      {"sigmoid", {PrefLoss::kSigmoid, 0.1, 0, 0, 0, "", ""}},
      {"sigmoid_ls0.1", {PrefLoss::kSigmoid, 0.1, 0, 0.1, 0, "", ""}},
      {"sigmoid_ftx0.2", {PrefLoss::kSigmoid, 0.1, 0.2, 0, 0, "", ""}},
      {"ipo", {PrefLoss::kIpo, 0.1, 0, 0, 0, "", ""}},
      {"hinge", {PrefLoss::kHinge, 0.1, 0, 0, 0, "", ""}},
      {"hinge_beta1", {PrefLoss::kHinge, 1, 0, 0, 0, "", ""}},
      {"orpo", {PrefLoss::kOrpo, 0.1, 0, 0, 0, "", ""}},
      {"simpo", {PrefLoss::kSimpo, 0.1, 0, 0, 0.5, "", ""}},
      {"simpo_beta2", {PrefLoss::kSimpo, 2, 0, 0, 1, "", ""}}};
  return all;
}

const GoldenCase& reference_case() {
  static const GoldenCase the("tiny-qwen3/dpo");
  return the;
}

at::Tensor both(const std::string& before, const std::string& after) {
  return at::stack({reference_case().tensor(before + "chosen" + after),
                    reference_case().tensor(before + "rejected" + after)},
                   1)
      .to(at::kDouble);
}

double largest(const at::Tensor& x) {
  return x.abs().max().item<double>();
}

/// The reference's tolerance on losses; ipo's are of the order of 20.
double loss_tolerance(const Loss& loss) {
  return loss.options.pref_loss == PrefLoss::kIpo ? 4e-5 : 1e-5;
}

/// The 2 * 6 rows, chosen and rejected by turns, without the padding behind them.
std::vector<data::Sample> samples() {
  std::vector<data::Sample> result;
  for (int64_t i = 0; i < 6; ++i) {
    for (const std::string side : {"chosen", "rejected"}) {
      const auto length = reference_case().tensor(side + "_lengths")[i].item<int64_t>();
      auto cut = [&](const std::string& what) {
        auto values = golden::row(reference_case().tensor(side + what), i);
        values.resize(static_cast<size_t>(length));
        return values;
      };
      result.push_back({cut("_input_ids"), cut("_labels")});
    }
  }
  return result;
}

/// The pairs in micro-batches of `width`, dealt over the data-parallel ranks.
train::StepBatch batch(const Harness& harness, int width) {
  const auto all = samples();
  const int dp = harness.groups.data->size();
  train::StepBatch result;
  for (int first = 0; first < 6; first += width * dp) {
    models::PackedTokens packed;
    packed.offsets = {0};
    const int mine = first + harness.groups.data->rank() * width;
    for (int i = 2 * mine; i < 2 * std::min(mine + width, 6); ++i)
      train::append_sample(all[static_cast<size_t>(i)], packed);
    if (packed.ids.empty()) packed = {{0}, {-100}, {0.0f}, {0, 1}};
    result.micro_batches.push_back(packed);
  }
  return result;
}

at::Tensor reference_weights(Harness& harness) {
  auto& buffer = harness.stage->buffer();
  const at::Tensor flat = at::zeros_like(buffer.weights());
  const parallel::BoundWeights bound(buffer, flat);
  const auto folder = test::golden_dir() / "models" / "tiny-qwen3";
  train::load_weights(buffer, *checkpoint::open_safetensors(folder.string()));
  return flat;
}

config::Deck deck(const Layout& layout, const Loss& loss) {
  config::Deck deck{};
  deck.parallel.tensor_model_parallel_size = layout.tensor;
  deck.parallel.pipeline_model_parallel_size = layout.pipeline;
  deck.parallel.virtual_pipeline_model_parallel_size = layout.chunks;
  deck.parallel.overlap_p2p_comm = true;
  deck.dpo = loss.options;
  return deck;
}

/// [sum, sum of squares, sum of t_i * sin(i + 1)] of the whole gradient of each tensor.
void check_checksums(const Harness& harness, const Loss& loss) {
  std::map<std::string, at::Tensor> whole;
  for (const auto& p : harness.stage->buffer().params()) {
    for (const auto& [at, box] : p->spec.boxes) {
      auto& all = whole[box.tensor];
      if (!all.defined())
        all = at::zeros(harness.source->find(box.tensor)->shape, at::kDouble);
      at::Tensor part = all;
      for (size_t d = 0; d < box.extent.size(); ++d)
        part = part.narrow(static_cast<int64_t>(d), box.offset[d], box.extent[d]);
      part.copy_(p->grad.flatten().narrow(0, at, box.size()).view(box.extent));
    }
  }
  const auto& expected =
      reference_case().json()["losses"][loss.name]["grad_checksum_fp64"];
  BOOST_REQUIRE(expected.size() == whole.size());
  for (const auto& [tensor, sums] : expected.items()) {
    const at::Tensor flat = whole.at(tensor).cpu().flatten();
    const at::Tensor waves = (at::arange(flat.numel(), at::kDouble) + 1).sin();
    const double squares = sums[1], norm = std::sqrt(squares);
    const double off = 2e-5 * norm * std::sqrt(static_cast<double>(flat.numel()));
    const std::string where = loss.name + " " + tensor;
    BOOST_TEST(std::abs(flat.square().sum().item<double>() - squares) < 4e-5 * squares,
               where);
    BOOST_TEST(std::abs(flat.sum().item<double>() - sums[0].get<double>()) < off, where);
    BOOST_TEST(
        std::abs((flat * waves).sum().item<double>() - sums[2].get<double>()) < off,
        where);
  }
}

void check_model(const Layout& layout, const Loss& loss, int width) {
  Harness harness(reference_case(), layout);
  at::Tensor reference;
  if (train::needs_reference(loss.options.pref_loss))
    reference = reference_weights(harness);
  const config::Deck options = deck(layout, loss);
  train::Preference preference(options, harness.groups, *harness.stage, reference);
  auto step = batch(harness, width);
  preference.begin(step, 1.0 / 6);
  harness.run(step);
  at::Tensor figures = preference.share();
  harness.groups.world->all_reduce(figures, comm::Reduce::kSum);
  const auto& expected = reference_case().json()["losses"][loss.name];
  const auto check = [&](int figure, double value, double tolerance) {
    const double mine = figures[figure].item<double>();
    BOOST_CHECK_MESSAGE(std::abs(mine - value) < tolerance,
                        loss.name << ", " << name(layout) << ", " << width
                                  << " pairs: figure " << figure << " is " << mine
                                  << ", not " << value);
  };
  using Figure = train::Preference::Figure;
  check(Figure::kLoss, expected["loss_fp64"], loss_tolerance(loss));
  check(Figure::kRewardChosen, expected["rewards_chosen_mean"], 1e-4);
  check(Figure::kRewardRejected, expected["rewards_rejected_mean"], 1e-4);
  check(Figure::kAccuracy, expected["accuracy"], 1e-9);
  if (layout.tensor * layout.pipeline == 1 && harness.groups.data->size() == 1)
    check_checksums(harness, loss);
  harness.compare_gradients(
      [&](const std::string& tensor) {
        const std::string key = cat(loss.name, ".grad.", tensor);
        return reference_case().has(key) ? reference_case().tensor(key).to(at::kDouble)
                                         : at::Tensor();
      },
      2e-5);
}

/// Layouts of the test's ranks.
std::vector<Layout> layouts() {
  models::Recompute uniform;
  uniform.full = models::Recompute::Full::kUniform;
  switch (test::session().world_size()) {
    case 1:
      return {{}, {.recompute = uniform}};
    case 2:
      return {{.tensor = 2, .sequence_parallel = true},
              {.pipeline = 2},
              {.pipeline = 2, .chunks = 2},
              {.sharded = true}};
    default:
      return {{.tensor = 2, .pipeline = 2}, {.tensor = 2, .sharded = true}};
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(losses_rewards_and_slopes) {
  if (test::session().world_size() != 1) return;
  const train::PairLogProbs log_probs{both("policy_", "_logps"), both("ref_", "_logps"),
                                      both("", "_response_tokens")};
  for (const Loss& loss : losses()) {
    const auto mine = train::pair_loss(loss.options, log_probs);
    const std::string at = loss.name + ".";
    const double tolerance = loss_tolerance(loss);
    BOOST_TEST(largest(mine.loss_P - reference_case().tensor(at + "losses")) < tolerance,
               loss.name);
    BOOST_TEST(largest(mine.rewards_P2 - both(at + "rewards_", "")) < 1e-5, loss.name);
    const at::Tensor slope = both(at + "dloss_dlogp_", "");
    BOOST_TEST(largest(mine.slope_P2 / 6 - slope) < 1e-5 * largest(slope), loss.name);
  }
}

BOOST_AUTO_TEST_CASE(an_answer_without_tokens_stays_finite) {
  const at::Tensor none = at::zeros({1, 2}, at::kDouble);
  for (const Loss& loss : losses()) {
    const auto mine = train::pair_loss(loss.options, {none, none, none});
    BOOST_TEST(mine.loss_P.isfinite().all().item<bool>(), loss.name);
    BOOST_TEST(mine.slope_P2.isfinite().all().item<bool>(), loss.name);
  }
}

BOOST_AUTO_TEST_CASE(through_the_model) {
  const std::set<std::string> everywhere = {"sigmoid", "orpo"};
  for (const Loss& loss : losses()) {
    int width = 1;
    for (const Layout& layout : layouts()) {
      check_model(layout, loss, width++);
      if (!everywhere.contains(loss.name)) break;
    }
  }
}
