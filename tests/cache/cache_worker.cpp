// A process that asks a cache for one program, for tests of many processes:
//   cache_worker ROOT PROGRAM COMPILE_MS LOG [--limit-ms N] [--fork-child]
// Its compiler sleeps COMPILE_MS and appends a line to LOG before it. `--fork-child` forks a child
// in the middle of the compile that lives on for a minute. Prints "<origin> <lock timeouts>".
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace opforge;

namespace {

void append_line(const std::string& path, const std::string& text) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const std::string line = text + "\n";
    if (file < 0 || ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        std::abort();
    }
    ::close(file);
}

void fork_a_sleeper() {
    if (::fork() == 0) {
        // Not the pipe to whoever waits for the parent's output.
        ::close(STDOUT_FILENO);
        ::close(STDERR_FILENO);
        std::this_thread::sleep_for(std::chrono::minutes(1));
        ::_exit(0);
    }
}

int run(const std::vector<std::string>& arguments) {
    const std::string& root = arguments.at(1);
    const cache::Request request = test::sample_request(arguments.at(2));
    const std::chrono::milliseconds compile_time(std::stoi(arguments.at(3)));
    const std::string& log = arguments.at(4);
    bool forks = false;
    cache::CacheOptions options;
    options.directory = root;
    for (std::size_t i = 5; i < arguments.size(); ++i) {
        if (arguments[i] == "--limit-ms") {
            options.lock_limit = std::chrono::milliseconds(std::stoi(arguments.at(++i)));
        } else if (arguments[i] == "--fork-child") {
            forks = true;
        } else {
            return 2;
        }
    }
    cache::Cache cache(options);
    const cache::Result result = cache.find_or_build(test::sample_lookup(request), [&] {
        append_line(log, "compile " + arguments.at(2));
        if (forks) {
            fork_a_sleeper();
        }
        std::this_thread::sleep_for(compile_time);
        return test::sample_built(request);
    });
    if (!result.entry || result.entry->artifact != test::sample_built(request).artifact) {
        return 1;
    }
    std::printf("%s %llu\n", std::string(cache::to_string(result.origin)).c_str(),
                static_cast<unsigned long long>(cache.counters().lock_timeouts));
    return 0;
}

}  // namespace

int main(int count, char** values) {
    try {
        return run({values, values + count});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 70;
    }
}
