#include "opforge_program.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/cache/directory_store.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

// Entries as the builder would publish them; the cache does not ask what its bytes are.
std::filesystem::path publish(const std::filesystem::path& root, const std::string& name) {
    cache::Manifest manifest;
    manifest.request.op = "quantizer";
    manifest.request.program = name;
    manifest.request.source = cache::sha256(name);
    manifest.request.kernels = {name + "_kernel"};
    manifest.request.target = "sm_90";
    manifest.request.artifact_kind = "cubin";
    manifest.toolchain = {"nvrtc", 13, 0, "0011"};
    const std::string artifact = "the bytes of " + name;
    manifest.artifact = {"cubin", cache::sha256(artifact), artifact.size()};
    manifest.kernels = {{name + "_kernel", name + "_kernel", 32, 0}};
    manifest.minimum_driver = 12000;
    manifest.producer = "a test";
    cache::DirectoryStore store(root);
    return store.publish(manifest, as_bytes(artifact));
}

void flip_byte(const std::filesystem::path& path, std::size_t at) {
    std::string text = read_file(path);
    text.at(at) = static_cast<char>(text.at(at) ^ 1);
    write_file(path, text);
}

TEST_CASE("an empty cache lists and verifies as empty, and is not created", "[tools]") {
    const OpforgeProgram program;
    const auto list = program.ask({"cache", "list"});
    CHECK(list.exit_code == 0);
    CHECK(list.data().at("entries").empty());
    CHECK(list.data().at("root") == program.cache_root().string());
    CHECK(program.ask({"cache", "verify"}).exit_code == 0);
    CHECK_FALSE(std::filesystem::exists(program.cache_root()));
}

TEST_CASE("list, show and verify tell of the entries", "[tools]") {
    const OpforgeProgram program;
    const std::string root = program.folder() / "cache";
    const std::string name = publish(root, "first").filename();
    static_cast<void>(publish(root, "second"));

    const auto list = program.ask({"cache", "list", "--cache-dir", root});
    REQUIRE(list.data().at("entries").size() == 2);
    for (const tools::Json& entry : list.data().at("entries")) {
        CHECK(entry.at("sound") == true);
        CHECK(entry.at("op") == "quantizer");
        CHECK(entry.at("target") == "sm_90");
        CHECK(entry.at("toolchain") == "nvrtc 13.0");
        CHECK(entry.at("age_seconds").get<double>() < 3600);
    }
    CHECK_THAT(program.run({"cache", "list", "--cache-dir", root}).standard_output,
               Contains("second") && Contains("2 entries"));

    const auto show = program.ask({"cache", "show", name.substr(0, 20), "--cache-dir", root});
    CHECK(show.exit_code == 0);
    CHECK(show.data().at("name") == name);
    CHECK(show.data().at("manifest").at("producer") == "a test");

    const auto verify = program.ask({"cache", "verify", "--cache-dir", root});
    CHECK(verify.exit_code == 0);
    CHECK(verify.data().at("entries") == 2);
    CHECK(verify.data().at("bad").empty());
}

TEST_CASE("a name that no entry or more than one begins with is bad input", "[tools]") {
    const OpforgeProgram program;
    const std::string root = program.folder() / "cache";
    static_cast<void>(publish(root, "first"));
    static_cast<void>(publish(root, "second"));
    const auto none = program.ask({"cache", "show", "zzzz", "--cache-dir", root});
    CHECK(none.exit_code == 4);
    CHECK_THAT(none.standard_error, Contains("no entries have a name that begins with \"zzzz\""));
    const auto both = program.ask({"cache", "show", "", "--cache-dir", root});
    CHECK(both.exit_code == 4);
    CHECK_THAT(both.standard_error, Contains("2 entries"));
}

TEST_CASE("verify finds a flipped byte in either file, names the entry, and changes nothing",
          "[tools]") {
    for (const char* file : {"kernels.cubin", "manifest.json"}) {
        const OpforgeProgram program;
        const std::string root = program.folder() / "cache";
        const std::filesystem::path entry = publish(root, "first");
        static_cast<void>(publish(root, "second"));
        flip_byte(entry / file, 9);

        const auto verify = program.ask({"cache", "verify", "--cache-dir", root});
        CHECK(verify.exit_code == 1);
        CHECK(verify.error_kind() == "IntegrityError");
        REQUIRE(verify.data().at("bad").size() == 1);
        CHECK(verify.data().at("bad").at(0).at("name") == entry.filename().string());
        CHECK_THAT(verify.standard_error, Contains(entry.filename().string()));
        CHECK(std::filesystem::exists(entry / file));
        CHECK(program.ask({"cache", "verify", "--cache-dir", root}).exit_code == 1);

        const auto show =
            program.ask({"cache", "show", entry.filename().string(), "--cache-dir", root});
        CHECK(show.exit_code == 1);
    }
}

TEST_CASE("a cache that cannot be read is exit code 6", "[tools]") {
    const OpforgeProgram program;
    write_file(program.folder() / "file", "not a folder");
    const auto list =
        program.ask({"cache", "list", "--cache-dir", (program.folder() / "file").string()});
    CHECK(list.exit_code == 6);
    CHECK(list.error_kind() == "CacheError");
}

}  // namespace
}  // namespace opforge::test
