// Suite 6: every bit of an entry flipped, every length cut, bytes added, entries mixed up. None is
// accepted; each goes to quarantine and costs one rebuild.
#include "memory_disk.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <string>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

constexpr const char* kRoot = "/disk/root";

Bytes bytes_of(const std::string& text) {
    const auto bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
}

// A disk with one sound entry, and others to mix it up with; damaged anew for each case.
class Patient {
public:
    Patient(std::size_t artifact_bytes, SuiteRecord& record)
        : built_(sample_built(sample_request(), sample_toolchain(), artifact_bytes)),
          record_(record) {
        MemoryDisk disk("disk");
        publish(disk, built_);
        publish(disk,
                sample_built(sample_request("other"), sample_toolchain(), artifact_bytes + 1));
        publish(disk, sample_built(sample_request(), sample_toolchain(13, 9), artifact_bytes + 2));
        Request elsewhere = sample_request();
        elsewhere.target = "sm_80";
        publish(disk, sample_built(elsewhere, sample_toolchain(), artifact_bytes));
        sound_ = disk.image();
        manifest_ = disk.contents(file("manifest.json"));
        artifact_ = disk.contents(file("kernels.cubin"));
    }

    [[nodiscard]] static std::string file(const std::string& name,
                                          const Request& request = sample_request(),
                                          const Toolchain& toolchain = sample_toolchain()) {
        return (entry_directory(kRoot, request, toolchain) / name).string();
    }
    [[nodiscard]] const Bytes& manifest() const { return manifest_; }
    [[nodiscard]] const Bytes& artifact() const { return artifact_; }

    /// The entry after `damage`: turned down, moved away, built once, served from then on.
    void check(const std::string& what, const std::function<void(MemoryDisk&)>& damage) {
        record_.visit();
        MemoryDisk disk(sound_);
        damage(disk);
        const auto require = [&](bool holds, const char* fault) {
            if (!holds) {
                record_.violation(what + ": " + fault);
            }
        };
        Counters counters;
        for (const bool first : {true, false}) {
            Cache cache({kRoot, false}, disk);
            const Result result = cache.find_or_build(sample_lookup(), [this] { return built_; });
            require(result.entry && result.entry->artifact == built_.artifact,
                    "wrong bytes are served");
            require((result.origin == Origin::compiled) == first,
                    first ? "it was accepted" : "it was built twice");
            if (first) {
                counters = cache.counters();
            }
        }
        require(counters.compiles == 1, "not one rebuild");
        require(counters.quarantined == 1, "it was not moved to quarantine");
        require(counters.published == 1, "the rebuild was not kept");
    }
    void check_contents(const std::string& what, const std::string& name, Bytes contents) {
        check(what, [&](MemoryDisk& disk) { disk.set_contents(file(name), std::move(contents)); });
    }

private:
    static void publish(MemoryDisk& disk, const Built& built) {
        DirectoryStore(kRoot, disk).publish(built.manifest, built.artifact);
    }

    Built built_;
    SuiteRecord& record_;
    DiskImage sound_;
    Bytes manifest_;
    Bytes artifact_;
};

void flip_every_bit(Patient& patient, SuiteRecord& record, const std::string& name,
                    const Bytes& sound, std::uint64_t step) {
    for (std::uint64_t bit = record.seed() % step; bit < sound.size() * 8; bit += step) {
        Bytes flipped = sound;
        flipped[bit / 8] ^= std::byte{1} << (bit % 8);
        record.count("bits of " + name);
        patient.check_contents(name + ", bit " + std::to_string(bit), name, std::move(flipped));
    }
}

void cut_at_every_length(Patient& patient, SuiteRecord& record, const std::string& name,
                         const Bytes& sound, std::uint64_t step) {
    for (std::uint64_t length = 0; length < sound.size(); length += step) {
        record.count("truncations of " + name);
        patient.check_contents(
            name + " of " + std::to_string(length) + " bytes", name,
            Bytes(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(length)));
    }
}

void add_bytes(Patient& patient, SuiteRecord& record, const std::string& name, const Bytes& sound) {
    for (std::size_t more = 1; more <= 4096; more *= 2) {
        for (const char filling : {'\0', ' ', '\n', '}'}) {
            Bytes longer = sound;
            longer.resize(sound.size() + more, static_cast<std::byte>(filling));
            record.count("appended");
            patient.check_contents(name + " and " + std::to_string(more) + " bytes", name,
                                   std::move(longer));
        }
    }
    Bytes twice = sound;
    twice.insert(twice.end(), sound.begin(), sound.end());
    patient.check_contents(name + " twice", name, std::move(twice));
    patient.check_contents(name + " of zeros", name, Bytes(sound.size()));
}

void mix_up(Patient& patient, SuiteRecord& record) {
    Request elsewhere = sample_request();
    elsewhere.target = "sm_80";
    struct Other {
        const char* what;
        Request request;
        Toolchain toolchain;
    };
    const Other others[] = {{"another program's", sample_request("other"), sample_toolchain()},
                            {"another toolchain's", sample_request(), sample_toolchain(13, 9)},
                            {"another target's", elsewhere, sample_toolchain()}};
    for (const Other& other : others) {
        for (const bool with_manifest : {true, false}) {
            for (const bool with_artifact : {true, false}) {
                // Equal artifacts prove nothing when swapped alone.
                if (!with_manifest && (!with_artifact || other.request.target == "sm_80")) {
                    continue;
                }
                record.count("mixed up");
                patient.check(std::string(other.what) + (with_manifest && with_artifact ? " entry"
                                                         : with_manifest ? " manifest"
                                                                         : " artifact"),
                              [&](MemoryDisk& disk) {
                                  for (const char* name : {"manifest.json", "kernels.cubin"}) {
                                      const bool swapped = std::string(name) == "manifest.json"
                                                               ? with_manifest
                                                               : with_artifact;
                                      if (swapped) {
                                          disk.set_contents(
                                              Patient::file(name),
                                              disk.contents(Patient::file(name, other.request,
                                                                          other.toolchain)));
                                      }
                                  }
                              });
            }
        }
    }
    // A newer schema's manifest, otherwise sound: what an older program must not take for its own.
    std::string text(reinterpret_cast<const char*>(patient.manifest().data()),
                     patient.manifest().size());
    const std::string from = "\"schema\":1";
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
        text.replace(at, from.size(), "\"schema\":2");
    }
    const std::string seal = ",\"manifest_sha256\":\"";
    const std::size_t at = text.find(seal);
    std::string unsealed = text;
    unsealed.erase(at, seal.size() + 65);
    text.replace(at + seal.size(), 64, sha256(unsealed).hex());
    record.count("mixed up");
    patient.check_contents("another schema's manifest", "manifest.json", bytes_of(text));
}

void run_corruption(Form form) {
    const LogCapture quiet;
    SuiteRecord record(6, "corruption", "", "damaged entries", form);
    Patient patient(form == Form::full ? 32768 : 600, record);
    const std::uint64_t step = kSlowdown;
    flip_every_bit(patient, record, "manifest.json", patient.manifest(), step);
    flip_every_bit(patient, record, "kernels.cubin", patient.artifact(), step);
    cut_at_every_length(patient, record, "manifest.json", patient.manifest(), step);
    cut_at_every_length(patient, record, "kernels.cubin", patient.artifact(), step);
    add_bytes(patient, record, "manifest.json", patient.manifest());
    add_bytes(patient, record, "kernels.cubin", patient.artifact());
    mix_up(patient, record);
    record.check();
}

}  // namespace

TEST_CASE("no damaged entry is accepted: each costs one rebuild", "[corruption]") {
    run_corruption(Form::brief);
}

TEST_CASE("no damaged entry of a real kernel's size is accepted", "[corruption][.stress]") {
    run_corruption(Form::full);
}
