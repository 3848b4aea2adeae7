#include <opforge/base/environment.hpp>
#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/base/process_object.hpp>

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string>
#include <unistd.h>
#include <utility>

namespace opforge {
namespace {

std::string_view name_of(LogLevel level) {
    switch (level) {
    case LogLevel::trace:
        return "trace";
    case LogLevel::debug:
        return "debug";
    case LogLevel::info:
        return "info";
    case LogLevel::warning:
        return "warning";
    case LogLevel::error:
        return "error";
    case LogLevel::off:
        break;
    }
    return "off";
}

// One write a message, so that lines of several threads and processes stay whole. By hand rather
// than by spdlog: its classes have no version in their names, so that a host with a spdlog of its
// own would share one of the two copies.
void write_to_standard_error(LogLevel level, std::string_view message) {
    std::string line = "opforge: ";
    line.append(name_of(level)).append(": ").append(message).append("\n");
    for (std::string_view rest = line; !rest.empty();) {
        const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
        if (written < 0 && errno != EINTR) {
            return;  // closed or full: there is nobody left to tell
        }
        rest.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
}

struct State {
    ForkSafeMutex mutex{ForkOrder::leaf};
    std::shared_ptr<const LogSink> sink;  // null: the default one
    std::atomic<LogLevel> level;

    State() {
        const auto text = environment("OPFORGE_LOG_LEVEL");
        const auto parsed = text ? parse_log_level(*text) : std::nullopt;
        level.store(parsed.value_or(LogLevel::warning), std::memory_order_relaxed);
    }
};

// Messages may come from threads and destructors that outlive main().
constinit ProcessObject<State> process_state;

State& state() {
    return process_state.get();
}

}  // namespace

void set_log_sink(LogSink sink) {
    const std::lock_guard lock(state().mutex);
    state().sink = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
}

void set_log_level(LogLevel level) noexcept {
    state().level.store(level, std::memory_order_relaxed);
}

LogLevel log_level() noexcept {
    return state().level.load(std::memory_order_relaxed);
}

std::optional<LogLevel> parse_log_level(std::string_view text) noexcept {
    constexpr std::pair<std::string_view, LogLevel> kNames[] = {
        {"trace", LogLevel::trace},     {"debug", LogLevel::debug},  {"info", LogLevel::info},
        {"warning", LogLevel::warning}, {"warn", LogLevel::warning}, {"error", LogLevel::error},
        {"off", LogLevel::off}};
    for (const auto& [name, level] : kNames) {
        if (name == text) {
            return level;
        }
    }
    return std::nullopt;
}

bool log_enabled(LogLevel level) noexcept {
    return level >= log_level() && level != LogLevel::off;
}

void log(LogLevel level, std::string_view message) {
    if (!log_enabled(level)) {
        return;
    }
    std::shared_ptr<const LogSink> sink;
    {
        const std::lock_guard lock(state().mutex);
        sink = state().sink;
    }
    // Outside the lock: a sink may itself set the sink, and a slow one must not hold other threads'
    // settings.
    if (sink) {
        (*sink)(level, message);
    } else {
        write_to_standard_error(level, message);
    }
}

}  // namespace opforge
