// Meeting programs that run: for tests that stop, kill or signal them.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace mtrain::test {

/// Whether this machine shows its processes; without, tests that look for one are left
/// out.
bool processes_are_shown();

/// The process of this program (the beginning of its command line) that has `argument` in
/// its command line and `variable` ("NAME=value", or "" for any) in its environment, once
/// there is one. Throws when none comes within a minute.
pid_t await_process(const std::string& program, const std::string& argument,
                    const std::string& variable);

/// Waits until the .jsonl file has so many lines; a minute at most.
void await_lines(const std::filesystem::path& log, size_t count);

/// Waits until something has this name; a minute at most.
void await_file(const std::filesystem::path& path);

}  // namespace mtrain::test
