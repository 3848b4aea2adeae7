// Where the library's messages go. One sink a process; the host may replace it. Any thread may call
// any of these. Default: warnings and errors to standard error. The host's own spdlog loggers are
// never touched.
#pragma once

#include <opforge/base/export.hpp>

#include <functional>
#include <optional>
#include <string_view>

namespace opforge {

enum class LogLevel { trace, debug, info, warning, error, off };

/// Called with one finished message, no newline at its end. Must not throw; may be called from
/// several threads.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

/// Replaces the sink; an empty function restores the default one.
OPFORGE_API void set_log_sink(LogSink sink);

/// Messages below `level` are dropped before they are formatted. Default: OPFORGE_LOG_LEVEL, else
/// warning.
OPFORGE_API void set_log_level(LogLevel level) noexcept;
[[nodiscard]] OPFORGE_API LogLevel log_level() noexcept;

/// "trace", "debug", "info", "warning" (or "warn"), "error", "off"; nullopt for anything else.
[[nodiscard]] OPFORGE_API std::optional<LogLevel> parse_log_level(std::string_view text) noexcept;

/// True where a message of `level` would reach the sink: ask before building a costly text.
[[nodiscard]] OPFORGE_API bool log_enabled(LogLevel level) noexcept;
OPFORGE_API void log(LogLevel level, std::string_view message);

}  // namespace opforge
