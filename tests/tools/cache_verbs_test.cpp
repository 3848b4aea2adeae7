#include "opforge_program.hpp"
#include "support/child_process.hpp"

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

TEST_CASE("a relative cache folder is taken from where the user stands", "[tools]") {
    const OpforgeProgram program;
    static_cast<void>(publish(program.folder() / "kernels", "first"));
    const auto list =
        run_program({"/bin/sh", "-c", "cd \"$1\" && \"$2\" cache list --json --cache-dir kernels",
                     "sh", program.folder().string(), OPFORGE_PROGRAM});
    REQUIRE(list.exit_code == 0);
    const tools::Json answer = tools::Json::parse(list.output);
    CHECK(answer.at("data").at("root") == (program.folder() / "kernels").string());
    CHECK(answer.at("data").at("entries").size() == 1);
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

TEST_CASE("verify of a folder that is missing, or is no cache, is bad input", "[tools]") {
    const OpforgeProgram program;
    const std::string missing = program.folder() / "missing";
    CHECK(program.ask({"cache", "verify", missing}).exit_code == 4);
    CHECK(program.ask({"cache", "verify", "--cache-dir", missing}).exit_code == 4);
    CHECK_THAT(program.ask({"cache", "verify", missing}).standard_error, Contains(missing));
    std::filesystem::create_directory(program.folder() / "empty");
    const auto empty = program.ask({"cache", "verify", program.folder() / "empty"});
    CHECK(empty.exit_code == 4);
    CHECK_THAT(empty.standard_error, Contains("it is no kernel cache"));
    write_file(program.folder() / "file", "");
    CHECK(program.ask({"cache", "verify", program.folder() / "file"}).exit_code == 4);
}

TEST_CASE("a sealed folder verifies, is served as a layer, and tells of every change", "[tools]") {
    const OpforgeProgram program;
    const std::string root = program.folder() / "layer";
    const std::filesystem::path entry = publish(root, "first");
    static_cast<void>(publish(root, "second"));
    const auto seal = program.ask({"cache", "seal", root}, {{"SOURCE_DATE_EPOCH", "1700000000"}});
    CHECK(seal.exit_code == 0);
    CHECK(seal.data().at("entries") == 2);
    const std::string digest = seal.data().at("sha256");

    const auto verify = program.ask({"cache", "verify", root, "--sha256", digest});
    CHECK(verify.exit_code == 0);
    CHECK(verify.data().at("sealed") == true);
    CHECK(verify.data().at("entries") == 2);
    CHECK(program.ask({"cache", "verify", root, "--sha256", std::string(64, '0')}).exit_code == 1);
    CHECK(program.ask({"cache", "verify", root, "--sha256", "12"}).exit_code == 2);

    const auto stats =
        program.ask({"cache", "stats"}, {{"OPFORGE_LAYERS", root + ";sha256=" + digest}});
    CHECK(stats.exit_code == 0);
    REQUIRE(stats.data().at("layers").size() == 2);
    const tools::Json& layer = stats.data().at("layers").at(0);
    CHECK(layer.at("usable") == true);
    CHECK(layer.at("sealed") == true);
    CHECK(layer.at("entries") == 2);
    CHECK(layer.at("refused").empty());

    for (const char* verb : {"prune", "clear"}) {
        const auto refused = program.ask({"cache", verb, "--cache-dir", root});
        CHECK(refused.exit_code == 6);
        CHECK_THAT(refused.standard_error, Contains("sealed"));
    }
    std::filesystem::permissions(entry.parent_path(), std::filesystem::perms(0700));
    std::filesystem::permissions(entry, std::filesystem::perms(0700));
    std::filesystem::remove_all(entry);
    const auto after = program.ask({"cache", "verify", root});
    CHECK(after.exit_code == 1);
    CHECK_THAT(after.standard_error, Contains(entry.filename().string()));
}

TEST_CASE("seal refuses what is missing, empty or not sound", "[tools]") {
    const OpforgeProgram program;
    CHECK(program.ask({"cache", "seal"}).exit_code == 2);
    CHECK(program.ask({"cache", "seal", program.folder() / "missing"}).exit_code == 4);
    const std::filesystem::path root = program.folder() / "layer";
    const std::filesystem::path entry = publish(root, "first");
    CHECK(program.ask({"cache", "seal", root}, {{"SOURCE_DATE_EPOCH", "now"}}).exit_code == 2);
    flip_byte(entry / "kernels.cubin", 3);
    const auto bad = program.ask({"cache", "seal", root});
    CHECK(bad.exit_code == 1);
    CHECK(bad.error_kind() == "IntegrityError");
    CHECK_THAT(bad.standard_error, Contains((entry / "kernels.cubin").string()));
    std::filesystem::remove_all(entry);
    CHECK(program.ask({"cache", "seal", root}).exit_code == 4);
}

TEST_CASE("prune and clear say the same in a dry run, and then do it", "[tools]") {
    const OpforgeProgram program;
    const std::string root = program.folder() / "cache";
    for (const char* name : {"first", "second", "third"}) {
        static_cast<void>(publish(root, name));
    }
    const auto run = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--cache-dir", root});
        return program.ask(arguments);
    };
    const auto same = [](const OpforgeProgram::Answer& dry, const OpforgeProgram::Answer& real) {
        tools::Json expected = dry.data();
        CHECK(expected.at("dry_run") == true);
        expected["dry_run"] = false;
        CHECK(real.data() == expected);
    };
    const std::uint64_t bytes = run({"cache", "list"}).data().at("bytes");
    const std::string most = std::to_string(bytes - 1);
    const auto dry = run({"cache", "prune", "--max-size", most, "--dry-run"});
    CHECK(dry.data().at("removed").at("entries") == 1);
    CHECK(run({"cache", "list"}).data().at("entries").size() == 3);
    same(dry, run({"cache", "prune", "--max-size", most}));
    CHECK(run({"cache", "list"}).data().at("entries").size() == 2);
    CHECK(run({"cache", "prune"}).data().at("removed").at("entries") == 0);
    CHECK(run({"cache", "prune", "--max-size", "big"}).exit_code == 2);

    const auto dry_clear = run({"cache", "clear", "--dry-run"});
    CHECK(dry_clear.data().at("removed").at("entries") == 2);
    same(dry_clear, run({"cache", "clear", "--yes"}));
    CHECK(run({"cache", "list"}).data().at("entries").empty());
    CHECK(run({"cache", "clear"}).exit_code == 0);
}

TEST_CASE("stats tells of the cap, of what is there and of what is wrong with it", "[tools]") {
    const OpforgeProgram program;
    const std::string root = program.folder() / "cache";
    static_cast<void>(publish(root, "first"));
    flip_byte(publish(root, "second") / "manifest.json", 20);
    const auto stats = program.ask(
        {"cache", "stats", "--cache-dir", root},
        {{"OPFORGE_CACHE_MAX_SIZE", "512M"}, {"OPFORGE_LAYERS", "/nonexistent/layer:relative"}});
    CHECK(stats.exit_code == 0);
    CHECK(stats.data().at("entries") == 1);
    CHECK(stats.data().at("max_bytes") == 536870912);
    CHECK(stats.data().at("max_entries") == 20000);
    const tools::Json& layers = stats.data().at("layers");
    REQUIRE(layers.size() == 3);
    CHECK(layers.at(0).at("usable") == false);
    CHECK_THAT(layers.at(0).at("reason").get<std::string>(), Contains("No such file"));
    CHECK_THAT(layers.at(1).at("reason").get<std::string>(), Contains("absolute"));
    CHECK(layers.at(2).at("kind") == "user_directory");
    CHECK(layers.at(2).at("refused").at("malformed") == 1);
    CHECK(program.ask({"cache", "stats"}, {{"OPFORGE_CACHE_MAX_SIZE", "big"}}).exit_code == 2);
}

TEST_CASE("verify with --expect-all-hits names every program that a layer lacks", "[tools]") {
    const OpforgeProgram program;
    const std::string root = program.folder() / "layer";
    static_cast<void>(publish(root, "first"));
    const auto verify =
        program.ask({"cache", "verify", root, "--expect-all-hits", "--arch", "sm_90"});
    CHECK(verify.exit_code == 1);
    CHECK(verify.error_kind() == "CheckFailed");
    const auto expected = verify.data().at("expected").get<std::size_t>();
    CHECK(expected > 10);
    CHECK(verify.data().at("missing").size() == expected);
    CHECK(verify.data().at("bad").empty());
    CHECK(program.ask({"cache", "verify", root, "--arch", "sm_90"}).exit_code == 2);
}

}  // namespace
}  // namespace opforge::test
