// What the bench programs have in common around what they measure.
#pragma once

#include <filesystem>
#include <string>

namespace opforge::bench {

/// Runs a program's own part; what it throws goes to standard error under its name.
/// @return the process's exit code
int run_program(const char* name, int (*run)(int count, char** arguments), int count,
                char** arguments);

/// A program's figures as a file; nothing where the path is empty.
/// @throws std::runtime_error naming the file
void write_figures(const std::filesystem::path& path, const std::string& json);

}  // namespace opforge::bench
