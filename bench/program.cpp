#include "program.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace opforge::bench {

int run_program(const char* name, int (*run)(int count, char** arguments), int count,
                char** arguments) {
    try {
        return run(count, arguments);
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", name, error.what());
        return 1;
    }
}

void write_figures(const std::filesystem::path& path, const std::string& json) {
    if (path.empty()) {
        return;
    }
    std::ofstream file(path);
    file << json << '\n';
    if (!file.flush()) {
        throw std::runtime_error(fmt::format("write {}: failed", path.string()));
    }
}

}  // namespace opforge::bench
