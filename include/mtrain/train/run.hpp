// What the programs ask of the train layer.
#pragma once

#include <string>
#include <vector>

#include "mtrain/base/error.hpp"
#include "mtrain/base/fault_list.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/parse.hpp"
#include "mtrain/watch/watchdog.hpp"

namespace mtrain::train {

/// Puts the folders of downloaded models in place of their names on a hub
/// (Qwen/Qwen3-0.6B), the same on all ranks. Collective. Throws UserError with the
/// command to download what is not there.
void use_local_models(config::ParsedDeck& parsed, const comm::Session& session);

/// Sets the values that compat = mca leaves to the model's config.json, with it as their
/// origin. Throws UserError when it cannot be read.
void take_from_model(config::ParsedDeck& parsed);

/// Runs the whole job of a deck: train, evaluate, save. Collective. Returns kExitOk, or
/// kExitRequeue when a signal stopped it early. Throws Error; StopRequested where the
/// signal came before the first step or while the model was exported.
ExitCode run_training(const config::ParsedDeck& parsed, const comm::Session& session,
                      watch::Watchdog& watchdog);

/// What to plan for, and how the user asked for it.
struct PlanRequest {
  int ranks;
  std::string gpu;        ///< whose rates are taken, as --gpu has it
  std::string gpu_table;  ///< a file of more GPUs; empty for none
  /// mtrain run.ini key=value ..., to be shown with other keys and flags.
  std::vector<std::string> command;
  std::string gpu_flags;  ///< " --gpu h200", to be shown with it
};

struct CheckRequest {
  PlanRequest plan;
  bool all_records;  ///< encode every record, not a sample
  bool allow_oom;    ///< a plan that does not fit is no fault
};

/// What a check found: the plan, what was read and how much, and every fault.
struct CheckResult {
  std::string text;
  FaultList faults;
};

/// Reads and validates everything a run would, writes nothing. Needs no GPU and one
/// process only. Throws nothing the user is to blame for: that is in the result.
CheckResult check_run(const config::ParsedDeck& parsed, const CheckRequest& request);

/// The fastest layouts of the deck's model and batch for so many GPUs, as a table. Throws
/// UserError.
std::string search_plans(const config::ParsedDeck& parsed, const PlanRequest& request);

/// mprep: prepares the deck's datasets into token stores. Throws UserError; StopRequested
/// where a signal asked for it: the parts that are encoded stay.
void prepare_data(const config::ParsedDeck& parsed, const comm::Session& session);

/// mprep --show N: record N of the deck's dataset as a table.
std::string show_record(const config::ParsedDeck& parsed, int64_t record);

}  // namespace mtrain::train
