// Console logging. One process-wide level is the only global of the program.
#pragma once

#include <string>

namespace mtrain::log {

enum class Level { kDebug, kInfo, kWarning, kError, kSilent };

/// Messages below `level` are dropped. Ranks other than 0 are set to kError by main.
void set_level(Level level);
Level level();

/// Prefix of warnings and errors, such as "rank 3"; empty for none.
void set_prefix(std::string prefix);

/// From now on every line is also appended to this file, with the time, whatever the
/// level. Throws UserError when it cannot be opened.
void open_file(const std::string& path);

/// One line to the file alone, if there is one.
void to_file(const std::string& line);

/// One line to stdout; nothing else is written to stdout by the libraries.
void info(const std::string& line);
/// info() behind the time of day, for what happens while a run goes on.
void event(const std::string& line);
/// One line "warning: ..." / "error: ..." to stderr.
void warning(const std::string& line);
void error(const std::string& line);

/// Whether a person watches standard output. Open MPI gives every rank a terminal of its
/// own, so what its parent (mpirun) writes to decides.
bool on_terminal();

/// On a terminal, the line below all others, redrawn in its place and cut at the
/// terminal's width; "" takes it away. Elsewhere nothing.
void status(const std::string& line);

}  // namespace mtrain::log
