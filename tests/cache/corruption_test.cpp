// Every way a file can be damaged by one byte or by its length: never a crash, never wrong bytes,
// always noticed, moved to quarantine, and built anew by the next call.
#include "support/cache_samples.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
namespace fs = std::filesystem;

namespace {

// One published entry, and what a caller sees of it after each damage.
class Patient {
public:
    Patient()
        : store_(root_.path() / "root", files_), request_(test::sample_request()),
          toolchain_(test::sample_toolchain()), built_(test::sample_built(request_, toolchain_)),
          entry_(store_.publish(built_.manifest, built_.artifact)) {}

    [[nodiscard]] fs::path file(const std::string& name) const { return entry_ / name; }
    [[nodiscard]] fs::path entry() const { return entry_; }
    [[nodiscard]] const fs::path& root() const { return store_.root(); }

    // Empty: the damage was noticed and healed. Otherwise what went wrong: a text, since a CHECK
    // for each of thousands of damages would take longer than the damages do.
    [[nodiscard]] std::string outcome_of(Refusal expected_a, Refusal expected_b) {
        const DirectoryStore::Found found = store_.find(request_, toolchain_, {});
        if (found.entry) {
            return "served";
        }
        if (found.refusal != expected_a && found.refusal != expected_b) {
            return "refused as " + std::string(to_string(found.refusal)) + ": " + found.reason;
        }
        if (found.refused != 1 || found.quarantined != 1 || fs::exists(entry_)) {
            return "not moved to quarantine: " + found.reason;
        }
        store_.publish(built_.manifest, built_.artifact);
        const DirectoryStore::Found again = store_.find(request_, toolchain_, {});
        if (!again.entry || again.entry->artifact != built_.artifact) {
            return "not served after it was built anew: " + again.reason;
        }
        return {};
    }

    [[nodiscard]] std::size_t quarantined() const {
        const auto all = fs::directory_iterator(store_.root() / "v1" / "quarantine");
        return static_cast<std::size_t>(std::distance(begin(all), end(all)));
    }

    [[nodiscard]] DirectoryStore& store() { return store_; }
    [[nodiscard]] const Request& request() const { return request_; }
    [[nodiscard]] const Toolchain& toolchain() const { return toolchain_; }
    [[nodiscard]] const Built& built() const { return built_; }

private:
    test::TemporaryDirectory root_{test::fastest_parent()};
    test::FaultyFileSystem files_;  // without faults here; it spares thousands of fsyncs
    DirectoryStore store_;
    Request request_;
    Toolchain toolchain_;
    Built built_;
    fs::path entry_;
};

constexpr Refusal kManifestA = Refusal::malformed;
constexpr Refusal kManifestB = Refusal::wrong_target;
constexpr Refusal kArtifact = Refusal::wrong_digest;

void flip_each_byte(Patient& patient, const std::string& name, Refusal a, Refusal b,
                    const std::vector<unsigned>& patterns) {
    const std::string sound = test::read_file(patient.file(name));
    for (const unsigned pattern : patterns) {
        for (std::size_t i = 0; i < sound.size(); ++i) {
            std::string damaged = sound;
            damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ pattern);
            test::write_file(patient.file(name), damaged);
            const std::string outcome = patient.outcome_of(a, b);
            if (!outcome.empty()) {
                FAIL("byte " << i << " of " << name << " ^ " << pattern << ": " << outcome);
            }
        }
    }
    CHECK(test::read_file(patient.file(name)) == sound);
}

void truncate_at_each_length(Patient& patient, const std::string& name, Refusal a, Refusal b) {
    const std::string sound = test::read_file(patient.file(name));
    for (std::size_t length = 0; length < sound.size(); ++length) {
        test::write_file(patient.file(name), sound.substr(0, length));
        const std::string outcome = patient.outcome_of(a, b);
        if (!outcome.empty()) {
            FAIL(name << " cut to " << length << ": " << outcome);
        }
    }
    CHECK(test::read_file(patient.file(name)) == sound);
}

}  // namespace

// One pattern here; more follow below, without the disk.
TEST_CASE("each flipped byte of a manifest is noticed and healed", "[corruption]") {
    Patient patient;
    flip_each_byte(patient, "manifest.json", kManifestA, kManifestB, {0x01U});
    CHECK(patient.quarantined() == 16);
}

TEST_CASE("each flipped byte of an artifact is noticed and healed", "[corruption]") {
    Patient patient;
    flip_each_byte(patient, "kernels.cubin", kArtifact, kArtifact, {0x01U, 0x80U});
    CHECK(patient.quarantined() == 16);
}

TEST_CASE("a manifest cut at any length is noticed and healed", "[corruption]") {
    Patient patient;
    truncate_at_each_length(patient, "manifest.json", kManifestA, kManifestB);
}

TEST_CASE("an artifact cut at any length is noticed and healed", "[corruption]") {
    Patient patient;
    truncate_at_each_length(patient, "kernels.cubin", kArtifact, kArtifact);
}

// Five patterns a byte, one byte less, one byte doubled; without the disk, so that many are
// cheap.
TEST_CASE("no manifest with one byte changed, lost or doubled parses", "[corruption]") {
    const Built built = test::sample_built(test::sample_request(), test::sample_toolchain());
    const std::string sound = to_canonical_json(built.manifest);
    REQUIRE_NOTHROW(parse_manifest(sound));
    std::size_t accepted = 0;
    for (std::size_t i = 0; i < sound.size(); ++i) {
        // 0x20 (the case of a letter) and 0x01 (a digit's neighbour) are the likeliest to pass.
        for (const unsigned pattern : {0x01U, 0x08U, 0x20U, 0x80U, 0xffU}) {
            std::string damaged = sound;
            damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ pattern);
            try {
                static_cast<void>(parse_manifest(damaged));
                ++accepted;
            } catch (const IntegrityError&) {
                continue;
            }
        }
        std::string shorter = sound;
        shorter.erase(i, 1);
        CHECK_THROWS_AS(parse_manifest(shorter), IntegrityError);
        std::string doubled = sound;
        doubled.insert(i, 1, sound[i]);
        CHECK_THROWS_AS(parse_manifest(doubled), IntegrityError);
    }
    CHECK(accepted == 0);
}

TEST_CASE("bytes added to a file are noticed", "[corruption]") {
    for (const char* name : {"manifest.json", "kernels.cubin"}) {
        Patient patient;
        const std::string sound = test::read_file(patient.file(name));
        for (const std::string& more : {std::string(1, '\0'), std::string("\n"), sound}) {
            test::write_file(patient.file(name), sound + more);
            CHECK(patient.outcome_of(kManifestA, kArtifact) == "");
        }
    }
}

TEST_CASE("a file that is missing is noticed", "[corruption]") {
    Patient patient;
    for (const char* name : {"manifest.json", "kernels.cubin"}) {
        fs::remove(patient.file(name));
        CHECK(patient.outcome_of(kManifestA, kManifestA) == "");
    }
    fs::remove(patient.file("manifest.json"));
    fs::remove(patient.file("kernels.cubin"));
    CHECK(patient.outcome_of(kManifestA, kManifestA) == "");
}

TEST_CASE("a huge file under a manifest's or an artifact's name is not read", "[corruption]") {
    Patient patient;
    fs::resize_file(patient.file("manifest.json"), std::uintmax_t{1} << 40U);
    CHECK(patient.outcome_of(kManifestA, kManifestA) == "");
    fs::resize_file(patient.file("kernels.cubin"), std::uintmax_t{1} << 40U);
    CHECK(patient.outcome_of(kArtifact, kArtifact) == "");
}

TEST_CASE("a sound entry under another entry's name is noticed", "[corruption]") {
    Patient patient;
    const auto publish_other = [&](const Request& request, const Toolchain& toolchain) {
        const Built built = test::sample_built(request, toolchain, 210);
        return patient.store().publish(built.manifest, built.artifact);
    };
    const std::vector<fs::path> others = {
        publish_other(test::sample_request("ds_quantize_bf16"), patient.toolchain()),
        publish_other(patient.request(), test::sample_toolchain(13, 9))};
    for (const fs::path& other : others) {
        INFO(other);
        fs::remove_all(patient.entry());
        fs::copy(other, patient.entry(), fs::copy_options::recursive);
        CHECK(patient.outcome_of(Refusal::wrong_target, Refusal::wrong_target) == "");
    }
}

TEST_CASE("another entry's artifact beside a sound manifest is noticed", "[corruption]") {
    Patient patient;
    std::string other = test::read_file(patient.file("kernels.cubin"));
    std::reverse(other.begin(), other.end());
    test::write_file(patient.file("kernels.cubin"), other);
    CHECK(patient.outcome_of(kArtifact, kArtifact) == "");
}

TEST_CASE("a damaged entry is built anew by find_or_build, once, and served after",
          "[corruption]") {
    const test::TemporaryDirectory root;
    const Lookup lookup = test::sample_lookup();
    const Built built = test::sample_built(lookup.request, *lookup.toolchain);
    int builds = 0;
    const auto build = [&] {
        ++builds;
        return built;
    };
    for (const char* name : {"manifest.json", "kernels.cubin"}) {
        builds = 0;
        fs::path entry;
        {
            Cache cache({root.path() / name, false});
            entry = cache.find_or_build(lookup, build).entry->directory;
        }
        std::string text = test::read_file(entry / name);
        text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
        test::write_file(entry / name, text);

        Cache cache({root.path() / name, false});
        const Result result = cache.find_or_build(lookup, build);
        CHECK(builds == 2);
        CHECK(result.origin == Origin::compiled);
        CHECK(result.entry->artifact == built.artifact);
        CHECK(cache.counters().quarantined == 1);
        CHECK(cache.counters().refused == 1);

        Cache third({root.path() / name, false});
        CHECK(third.find_or_build(lookup, build).origin == Origin::user_directory);
        CHECK(builds == 2);
    }
}

TEST_CASE("publishing over a damaged entry moves it to quarantine", "[corruption]") {
    Patient patient;
    test::write_file(patient.file("kernels.cubin"), "short");
    patient.store().publish(patient.built().manifest, patient.built().artifact);
    CHECK(patient.quarantined() == 1);
    const auto found = patient.store().find(patient.request(), patient.toolchain(), {});
    REQUIRE(found.entry);
    CHECK(found.entry->artifact == patient.built().artifact);
}

TEST_CASE("a damaged entry is passed over for a sound one of an older toolchain", "[corruption]") {
    Patient patient;
    const Built newer = test::sample_built(patient.request(), test::sample_toolchain(13, 5), 250);
    const fs::path entry = patient.store().publish(newer.manifest, newer.artifact);
    const auto served = [&] { return patient.store().find_any(patient.request(), {}); };
    REQUIRE(served().entry->artifact == newer.artifact);

    test::write_file(entry / "kernels.cubin", "short");
    DirectoryStore::Found found = served();
    REQUIRE(found.entry);
    CHECK(found.entry->artifact == patient.built().artifact);
    CHECK(found.refused == 1);
    CHECK(found.quarantined == 1);

    const fs::path again = patient.store().publish(newer.manifest, newer.artifact);
    test::write_file(again / "manifest.json", "{}");
    found = served();
    REQUIRE(found.entry);
    CHECK(found.entry->artifact == patient.built().artifact);
    CHECK(found.quarantined == 1);
}
