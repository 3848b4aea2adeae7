#include "torch_peer.hpp"

#include <catch2/catch.hpp>

using opforge::bench::measure_torch;
using opforge::bench::parse_torch_lines;

TEST_CASE("a peer's lines are found between whatever else it prints", "[bench]") {
    const auto results = parse_torch_lines("warning: {no json\n"
                                           "{\"index\": 1, \"share_of_copy\": 0.5}\n"
                                           "{\"index\": 9, \"share_of_copy\": 0.1}\n"
                                           "{\"index\": \"0\"}\n"
                                           "[1]\n",
                                           2);

    REQUIRE(results.size() == 2);
    CHECK(results[0].at("note") == "not measured");
    CHECK(results[1].at("share_of_copy") == 0.5);
    CHECK_FALSE(results[1].contains("index"));
}

TEST_CASE("a peer that cannot be started costs its figures only", "[bench]") {
    const auto results = measure_torch({.python = "/nonexistent/python", .script = "script.py"},
                                       nlohmann::json::array({{{"name", "a cell"}}}));

    REQUIRE(results.size() == 1);
    CHECK(results[0].at("note") == "not measured");
}
