// The commands of the operator's guide do what it says: all blocks marked `sh`, one after another.
#include "support/child_process.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

namespace {

// Every block of that language, in a script that stops at the first failure.
std::string script_of(const std::string& text) {
    const std::string open = "```sh\n";
    std::string script = "set -eu\n";
    std::size_t end = 0;
    for (std::size_t begin = text.find(open); begin != std::string::npos;
         begin = text.find(open, end)) {
        begin += open.size();
        end = text.find("```", begin);
        REQUIRE(end != std::string::npos);
        script += "(\n" + text.substr(begin, end - begin) + ")\n";
        end += 3;
    }
    return script;
}

}  // namespace

TEST_CASE("the commands of the operator's guide work", "[documents]") {
    if (!std::filesystem::exists("/bin/bash")) {
        WARN("SKIPPED: no bash");
        return;
    }
    const opforge::test::TemporaryDirectory folder;
    const std::string script = script_of(opforge::test::read_file(
        std::filesystem::path(OPFORGE_SOURCE_DIR) / "docs/operator_guide.md"));
    REQUIRE(script.find("opforge prewarm") != std::string::npos);
    const std::string home = folder.path().string();
    // Exported here: of two variables of one name, a shell takes either.
    std::string preamble = "cd '" + home + "'\nexport HOME='" + home + "' OPFORGE_CUDA_LIBRARY='";
    preamble += home + "/no-driver.so' PATH='";
    preamble += std::filesystem::path(DOCUMENTED_TOOL).parent_path().string();
    preamble += "':\"$PATH\"\nunset XDG_CACHE_HOME OPFORGE_CACHE_DIR OPFORGE_POLICY "
                "OPFORGE_NVRTC_LIBRARY OPFORGE_PROFILE\n";
    opforge::test::write_file(folder.path() / "commands.sh", preamble + script);
    const auto result =
        opforge::test::run_program({"/bin/bash", (folder.path() / "commands.sh").string()});
    INFO(result.output);
    CHECK(result.exit_code == 0);
}
