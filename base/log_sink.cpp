#include <opforge/base/environment.hpp>
#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/log_sink.hpp>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace opforge {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
    case LogLevel::trace:
        return spdlog::level::trace;
    case LogLevel::debug:
        return spdlog::level::debug;
    case LogLevel::info:
        return spdlog::level::info;
    case LogLevel::warning:
        return spdlog::level::warn;
    case LogLevel::error:
        return spdlog::level::err;
    case LogLevel::off:
        break;
    }
    return spdlog::level::off;
}

struct State {
    ForkSafeMutex mutex{ForkOrder::leaf};
    std::shared_ptr<const LogSink> sink;  // null: the default one
    // One message at a time. Not spdlog's own mutex: a fork would not wait for that one.
    ForkSafeMutex fallback_mutex{ForkOrder::leaf};
    std::unique_ptr<spdlog::logger> fallback;  // made on the first message; in no registry
    std::atomic<LogLevel> level;

    State() {
        const auto text = environment("OPFORGE_LOG_LEVEL");
        const auto parsed = text ? parse_log_level(*text) : std::nullopt;
        level.store(parsed.value_or(LogLevel::warning), std::memory_order_relaxed);
    }
};

// Never destroyed: messages may come from threads and destructors that outlive main().
State& state() {
    static State& instance = *new State;
    return instance;
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
        return;
    }
    const std::lock_guard lock(state().fallback_mutex);
    if (!state().fallback) {
        auto target = std::make_shared<spdlog::sinks::stderr_color_sink_st>();
        state().fallback = std::make_unique<spdlog::logger>("opforge", std::move(target));
        state().fallback->set_level(spdlog::level::trace);
        state().fallback->set_pattern("%n: %^%l%$: %v");
    }
    state().fallback->log(to_spdlog(level), "{}", message);
}

}  // namespace opforge
