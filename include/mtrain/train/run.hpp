// What the programs ask of the train layer.
#pragma once

#include <string>

#include "mtrain/base/error.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/parse.hpp"
#include "mtrain/watch/watchdog.hpp"

namespace mtrain::train {

/// Sets the values that compat = mca leaves to the model's config.json, with it as their
/// origin. Throws UserError when it cannot be read.
void take_from_model(config::ParsedDeck& parsed);

/// Runs the whole job of a deck: train, evaluate, save. Collective. Returns kExitOk, or
/// kExitRequeue when a signal stopped it early. Throws Error; StopRequested where the
/// signal came before the first step or while the model was exported.
ExitCode run_training(const config::ParsedDeck& parsed, const comm::Session& session,
                      watch::Watchdog& watchdog);

/// Reads and validates everything a run of `world_size` ranks would, and returns the plan
/// to print, with estimates for GPUs of that name. Needs no GPU and one process only.
/// Throws UserError.
std::string check_run(const config::ParsedDeck& parsed, int world_size,
                      const std::string& gpu);

/// The fastest layouts of the deck's model and batch for so many GPUs, as a table. Throws
/// UserError.
std::string search_plans(const config::ParsedDeck& parsed, int gpus,
                         const std::string& gpu);

/// mprep: prepares the deck's datasets into token stores. Throws UserError; StopRequested
/// where a signal asked for it: the parts that are encoded stay.
void prepare_data(const config::ParsedDeck& parsed, const comm::Session& session);

/// mprep --show N: record N of the deck's dataset as a table.
std::string show_record(const config::ParsedDeck& parsed, int64_t record);

}  // namespace mtrain::train
