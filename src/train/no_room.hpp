// What a run says when memory is out.
#pragma once

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "mtrain/base/error.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// "out of memory: " with the reason and who holds it; the remedy names the changes of
/// the deck that save most.
Error no_room(const config::Deck& deck, int world_size, const std::string& reason,
              const std::string& holders);

/// The planned bytes of the stages by owner, for runs that hold nothing yet.
std::string planned_holders(const config::Deck& deck, int world_size);

/// Runs `run`; throws no_room() with holders() when a tensor or anything else finds no
/// room.
template <class Holders, class Run>
decltype(auto) explain_no_room(const config::Deck& deck, int world_size,
                               const Holders& holders, const Run& run) {
  try {
    return run();
  } catch (const c10::OutOfMemoryError& error) {
    throw no_room(deck, world_size, error.what_without_backtrace(), holders());
  } catch (const std::bad_alloc&) {
    throw no_room(deck, world_size, "no room in host memory", holders());
  }
}

}  // namespace mtrain::train
