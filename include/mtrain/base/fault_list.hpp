// Faults in what the user gave that are found one after the other and told together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain {

class FaultList {
 public:
  /// Runs `look`; keeps the fault it throws. Whether there was none.
  template <class Look>
  bool check(const Look& look) {
    try {
      look();
      return true;
    } catch (const UserError& fault) {
      add(fault);
    } catch (const std::filesystem::filesystem_error& fault) {
      add(UserError(fault.what(), "check the path, and who may read it"));
    }
    return false;
  }

  /// Keeps a fault, unless it is there already.
  void add(const UserError& fault);
  /// Those of another list; the ones without a remedy get this one.
  void add(const FaultList& others, const std::string& remedy);
  bool empty() const { return faults_.empty(); }

  /// One fault as it is; several in one UserError, each with its remedy.
  void throw_if_any() const;

 private:
  std::vector<UserError> faults_;
};

}  // namespace mtrain
