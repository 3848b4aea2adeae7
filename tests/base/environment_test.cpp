#include <opforge/base/environment.hpp>
#include <opforge/base/log_sink.hpp>

#include <catch2/catch.hpp>

#include <cstdlib>
#include <string>
#include <vector>

TEST_CASE("an empty variable counts as unset", "[base]") {
    ::setenv("OPFORGE_POLICY", "", 1);
    CHECK_FALSE(opforge::environment("OPFORGE_POLICY").has_value());
    ::setenv("OPFORGE_POLICY", "exact", 1);
    CHECK(opforge::environment("OPFORGE_POLICY") == "exact");
    ::unsetenv("OPFORGE_POLICY");
}

TEST_CASE("an unknown OPFORGE name warns once a process", "[base]") {
    std::vector<std::string> messages;
    opforge::set_log_sink(
        [&](opforge::LogLevel, std::string_view text) { messages.emplace_back(text); });
    ::setenv("OPFORGE_CACHE_DIRECTORY", "/tmp", 1);
    opforge::warn_of_unknown_variables();
    opforge::warn_of_unknown_variables();
    opforge::set_log_sink({});
    ::unsetenv("OPFORGE_CACHE_DIRECTORY");
    REQUIRE(messages.size() == 1);
    CHECK(messages.front().find("OPFORGE_CACHE_DIRECTORY") != std::string::npos);
}
