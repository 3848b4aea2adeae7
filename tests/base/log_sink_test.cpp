#include <opforge/base/log_sink.hpp>

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using opforge::LogLevel;

TEST_CASE("messages below the level never reach the sink", "[base]") {
    std::vector<std::string> messages;
    opforge::set_log_sink([&](LogLevel, std::string_view text) { messages.emplace_back(text); });
    opforge::set_log_level(LogLevel::warning);
    opforge::log(LogLevel::info, "quiet");
    opforge::log(LogLevel::warning, "loud");
    opforge::set_log_sink({});
    CHECK(messages == std::vector<std::string>{"loud"});
}

TEST_CASE("a braces text is a message, not a format", "[base]") {
    std::vector<std::string> messages;
    opforge::set_log_sink([&](LogLevel, std::string_view text) { messages.emplace_back(text); });
    opforge::log(LogLevel::error, "{} {0} {");
    opforge::set_log_sink({});
    CHECK(messages == std::vector<std::string>{"{} {0} {"});
}

TEST_CASE("level names parse and nothing else does", "[base]") {
    CHECK(opforge::parse_log_level("warn") == LogLevel::warning);
    CHECK(opforge::parse_log_level("off") == LogLevel::off);
    CHECK_FALSE(opforge::parse_log_level("WARNING").has_value());
    CHECK_FALSE(opforge::parse_log_level("").has_value());
}
