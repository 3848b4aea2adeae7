// A manifest comes from a disk that others may have written to. What parses is byte-equal to its
// canonical form. The seal would stop nearly every mutation at the door: half of them are sealed
// anew, as somebody would who can write to the cache.
#include "fuzz.hpp"
#include "support/cache_samples.hpp"

#include <opforge/cache/digest.hpp>
#include <opforge/cache/manifest.hpp>

#include <nlohmann/json.hpp>

#include <vector>

namespace {

using opforge::cache::Manifest;
using Json = nlohmann::json;

constexpr const char* kSeal = "manifest_sha256";

std::string sealed(Json document) {
    document.erase(kSeal);
    document[kSeal] = opforge::cache::sha256(std::string_view(document.dump())).hex();
    return document.dump();
}

const std::vector<std::string>& seeds() {
    static const std::vector<std::string> all = [] {
        const Manifest manifest = opforge::test::sample_built().manifest;
        Manifest newer = manifest;
        newer.extra_json = R"({"later":{"field":[1,2]}})";
        return std::vector<std::string>{opforge::cache::to_canonical_json(manifest),
                                        opforge::cache::to_canonical_json(newer)};
    }();
    return all;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned random) {
    size = opforge::fuzz::mutate_from_seeds(seeds(), data, size, max_size, random / 2);
    if (random % 2 == 0) {
        const Json document = Json::parse(opforge::fuzz::as_text(data, size), nullptr, false);
        if (document.is_object()) {
            try {
                size = opforge::fuzz::replace(sealed(document), data, size, max_size);
            } catch (const Json::exception&) {
                return size;  // not UTF-8: cannot be written as JSON, and goes as it is
            }
        }
    }
    return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = opforge::fuzz::as_text(data, size);
    opforge::fuzz::taken([&] {
        const Manifest manifest = opforge::cache::parse_manifest(text);
        opforge::fuzz::require(opforge::cache::to_canonical_json(manifest) == text,
                               "a manifest that is taken is its own canonical form");
    });
    return 0;
}
