#include "canonical_json.hpp"
#include "manifest_fault.hpp"

#include <opforge/cache/manifest.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace opforge::cache {
namespace {

// A log of warnings is kept for people; it must not push a sound kernel over the manifest's cap.
// One byte of it may take six in JSON (a control character), and even then there is room for the
// rest.
constexpr std::size_t kMaxLogBytes = std::size_t{64} << 10U;
constexpr std::string_view kLogCut = "\n[cut here]";

constexpr const char* kSeal = "manifest_sha256";
constexpr std::array<std::string_view, 13> kFields = {
    "artifact", "compile_log", "full_digest", "inputs",  "kernels",   "manifest_sha256", "producer",
    "requires", "schema",      "target",      "timings", "toolchain", "want_digest"};

bool is_known(std::string_view field) {
    return std::find(kFields.begin(), kFields.end(), field) != kFields.end();
}

// The kind becomes a file's name, so nothing but these two may ever pass.
bool is_kind(std::string_view kind) {
    return kind == "cubin" || kind == "ptx";
}

std::string cleaned_log(std::string_view log) {
    std::string text(log.substr(0, kMaxLogBytes));
    if (log.size() > kMaxLogBytes) {
        text += kLogCut;
    }
    // What a compiler prints need not be UTF-8 (it quotes the source), and it is no reason not to
    // cache.
    const std::string dumped = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
    return Json::parse(dumped).get<std::string>();
}

void require_argument(bool holds, std::string_view what) {
    if (!holds) {
        throw InvalidArgument(fmt::format("encode manifest: {}", what));
    }
}

Json kernels_json(const std::vector<KernelRecord>& kernels) {
    Json records = Json::array();
    for (const KernelRecord& kernel : kernels) {
        require_argument(
            kernel.registers >= -1 && kernel.static_shared_bytes >= -1,
            "a kernel's registers and shared memory must be counts, or -1 for unknown");
        records.push_back({{"lowered_name", kernel.lowered_name},
                           {"name", kernel.name},
                           {"registers", kernel.registers},
                           {"static_shared_bytes", kernel.static_shared_bytes}});
    }
    return records;
}

void add_extra(Json& document, const std::string& extra) {
    if (extra.empty()) {
        return;
    }
    const std::string fault = json_fault(extra, kMaxManifestDepth);
    require_argument(fault.empty(), "extra_json: " + fault);
    const Json fields = Json::parse(extra);
    require_argument(fields.is_object(), "extra_json is not an object");
    for (const auto& [name, value] : fields.items()) {
        require_argument(!is_known(name),
                         fmt::format("extra_json holds the known field '{}'", name));
        document[name] = value;
    }
}

// Reads one closed object: a field that is missing, of another type, or not known is a fault.
// Fields that newer writers add belong at the top level, where they are kept; one inside an object
// could change what it means.
class Reader {
public:
    Reader(const Json& object, std::string_view where, std::size_t fields)
        : object_(object), where_(where) {
        if (!object.is_object() || object.size() != fields) {
            throw fault("is not an object of the fields expected");
        }
    }
    [[nodiscard]] const Json& at(const char* name) const {
        const auto found = object_.find(name);
        if (found == object_.end()) {
            throw fault(fmt::format("lacks '{}'", name));
        }
        return *found;
    }
    [[nodiscard]] std::string text(const char* name) const {
        const Json& value = at(name);
        if (!value.is_string()) {
            throw fault(fmt::format("has a '{}' that is not a text", name));
        }
        return value.get<std::string>();
    }
    [[nodiscard]] std::int64_t integer(const char* name, std::int64_t low,
                                       std::int64_t high) const {
        const Json& value = at(name);
        // An unsigned value above int64's range would wrap to a negative one: compare it as what it
        // is.
        const bool fits = value.is_number_unsigned()
                              ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high)
                              : value.is_number_integer() && value.get<std::int64_t>() <= high;
        if (!fits || value.get<std::int64_t>() < low) {
            throw fault(
                fmt::format("has a '{}' that is not an integer from {} to {}", name, low, high));
        }
        return value.get<std::int64_t>();
    }
    [[nodiscard]] int small(const char* name) const {
        return static_cast<int>(integer(name, 0, std::numeric_limits<int>::max()));
    }
    [[nodiscard]] Digest digest(const char* name) const { return digest_of(at(name), name); }
    [[nodiscard]] std::vector<std::string> texts(const char* name) const {
        const Json& value = at(name);
        if (!value.is_array()) {
            throw fault(fmt::format("has a '{}' that is not a list", name));
        }
        std::vector<std::string> all;
        for (const Json& element : value) {
            if (!element.is_string()) {
                throw fault(fmt::format("has a '{}' that does not list texts", name));
            }
            all.push_back(element.get<std::string>());
        }
        return all;
    }
    [[nodiscard]] const Json& object(const char* name) const {
        const Json& value = at(name);
        if (!value.is_object()) {
            throw fault(fmt::format("has a '{}' that is not an object", name));
        }
        return value;
    }
    [[nodiscard]] Digest digest_of(const Json& value, std::string_view name) const {
        const auto digest = value.is_string()
                                ? Digest::from_hex(value.get_ref<const std::string&>())
                                : std::nullopt;
        if (!digest) {
            throw fault(fmt::format("has a '{}' that is not 64 lower-case hex digits", name));
        }
        return *digest;
    }
    [[nodiscard]] ManifestFault fault(const std::string& what) const {
        return {Refusal::malformed, fmt::format("{} {}", where_, what)};
    }

private:
    const Json& object_;
    std::string_view where_;
};

Request read_request(const Json& inputs) {
    const Reader reader(inputs, "'inputs'", 10);
    if (reader.integer("schema", 0, std::numeric_limits<int>::max()) != kSchema) {
        throw ManifestFault(Refusal::wrong_target, "another schema's inputs");
    }
    Request request;
    request.op = reader.text("op");
    request.program = reader.text("program");
    request.source = reader.digest("source");
    for (const auto& [name, value] : reader.object("headers").items()) {
        request.headers.push_back({name, reader.digest_of(value, "headers")});
    }
    request.options = reader.texts("options");
    for (const auto& [name, value] : reader.object("defines").items()) {
        if (!value.is_string()) {
            throw reader.fault("has a define that is not a text");
        }
        request.defines.emplace_back(name, value.get<std::string>());
    }
    request.kernels = reader.texts("kernels");
    request.target = reader.text("target");
    request.artifact_kind = reader.text("artifact_kind");
    // The digests below are taken of sorted lists; here a second spelling would pass for the first.
    // (Headers and defines are members of objects, which the parser sorts.)
    if (!std::is_sorted(request.options.begin(), request.options.end()) ||
        !std::is_sorted(request.kernels.begin(), request.kernels.end())) {
        throw reader.fault("has lists that are not sorted");
    }
    return request;
}

std::vector<KernelRecord> read_kernels(const Json& list) {
    if (!list.is_array()) {
        throw ManifestFault(Refusal::malformed, "'kernels' is not a list");
    }
    std::vector<KernelRecord> kernels;
    kernels.reserve(list.size());
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    for (const Json& record : list) {
        const Reader reader(record, "a kernel", 4);
        kernels.push_back({reader.text("name"), reader.text("lowered_name"),
                           reader.integer("registers", -1, kMax),
                           reader.integer("static_shared_bytes", -1, kMax)});
    }
    return kernels;
}

// Takes what is not known out of the document.
std::string take_unknown_fields(Json& document) {
    Json unknown = Json::object();
    for (const auto& [name, value] : document.items()) {
        if (!is_known(name)) {
            unknown[name] = std::move(value);
        }
    }
    if (unknown.empty()) {
        return {};
    }
    for (const auto& [name, value] : unknown.items()) {
        document.erase(name);
    }
    return dump_canonical(unknown, "unknown fields");
}

// The document, once its text is known to be sound, canonical and sealed.
Json verified_document(std::string_view text) {
    Json document = Json::parse(text.begin(), text.end(), nullptr, false);
    MemberPlace seal_place;
    const bool canonical = !document.is_discarded() &&
                           is_canonical(document, text, kMaxManifestDepth, kSeal, seal_place);
    if (!canonical) {
        // What is sound has been seen to be; of the rest, say what is wrong with it.
        if (const std::string fault = json_fault(text, kMaxManifestDepth); !fault.empty()) {
            throw ManifestFault(Refusal::malformed, fault);
        }
    }
    if (!document.is_object()) {
        throw ManifestFault(Refusal::malformed, "not an object");
    }
    const auto seal = document.find(kSeal);
    if (seal == document.end() || !seal->is_string()) {
        throw ManifestFault(Refusal::malformed, "no seal (manifest_sha256)");
    }
    if (!canonical) {
        throw ManifestFault(Refusal::malformed, "not in canonical form");
    }
    std::string sealed(text.substr(0, seal_place.begin));
    sealed += text.substr(seal_place.end);
    if (sha256(sealed).hex() != seal->get_ref<const std::string&>()) {
        throw ManifestFault(Refusal::malformed,
                            "the seal (manifest_sha256) does not match the rest");
    }
    return document;
}

}  // namespace

std::string to_canonical_json(const Manifest& manifest) {
    require_argument(is_kind(manifest.artifact.kind), "the artifact's kind must be cubin or ptx");
    require_argument(manifest.artifact.kind == manifest.request.artifact_kind,
                     "the artifact's kind must be the one asked for");
    require_argument(manifest.artifact.size_bytes <= kMaxArtifactBytes,
                     fmt::format("an artifact of {} bytes is above the cap of {}",
                                 manifest.artifact.size_bytes, kMaxArtifactBytes));
    require_argument(manifest.minimum_driver >= 0 && manifest.compile_microseconds >= 0 &&
                         manifest.toolchain.major >= 0 && manifest.toolchain.minor >= 0,
                     "versions and times must not be negative");
    const CanonicalIdentity identity = canonical_identity(manifest.request, manifest.toolchain);
    Json document = {{"artifact",
                      {{"bytes", manifest.artifact.size_bytes},
                       {"kind", manifest.artifact.kind},
                       {"sha256", manifest.artifact.sha256.hex()}}},
                     {"compile_log", cleaned_log(manifest.compile_log)},
                     {"full_digest", full_digest(identity).hex()},
                     {"inputs", Json::parse(identity.inputs)},
                     {"kernels", kernels_json(manifest.kernels)},
                     {"producer", manifest.producer},
                     {"requires", {{"minimum_driver", manifest.minimum_driver}}},
                     {"schema", kSchema},
                     {"target", manifest.request.target},
                     {"timings", {{"compile_microseconds", manifest.compile_microseconds}}},
                     {"toolchain", Json::parse(identity.toolchain)},
                     {"want_digest", sha256(identity.inputs).hex()}};
    add_extra(document, manifest.extra_json);
    document[kSeal] = sha256(dump_canonical(document, "the manifest")).hex();
    std::string text = dump_canonical(document, "the manifest");
    require_argument(
        text.size() <= kMaxManifestBytes,
        fmt::format("{} bytes are above the cap of {}", text.size(), kMaxManifestBytes));
    return text;
}

Manifest parse_manifest(std::string_view text) {
    return parse_identified_manifest(text).manifest;
}

IdentifiedManifest parse_identified_manifest(std::string_view text) {
    if (text.size() > kMaxManifestBytes) {
        throw ManifestFault(Refusal::malformed, fmt::format("{} bytes are above the cap of {}",
                                                            text.size(), kMaxManifestBytes));
    }
    Json document = verified_document(text);

    Manifest manifest;
    manifest.extra_json = take_unknown_fields(document);
    const Reader reader(document, "the manifest", kFields.size());
    if (reader.integer("schema", 0, std::numeric_limits<int>::max()) != kSchema) {
        throw ManifestFault(Refusal::wrong_target, "another schema");
    }
    manifest.request = read_request(reader.at("inputs"));
    const Reader toolchain(reader.at("toolchain"), "'toolchain'", 4);
    manifest.toolchain = {toolchain.text("name"), toolchain.small("major"),
                          toolchain.small("minor"), toolchain.text("fingerprint")};
    const Reader artifact(reader.at("artifact"), "'artifact'", 3);
    manifest.artifact = {artifact.text("kind"), artifact.digest("sha256"),
                         static_cast<std::uint64_t>(artifact.integer(
                             "bytes", 0, static_cast<std::int64_t>(kMaxArtifactBytes)))};
    manifest.kernels = read_kernels(reader.at("kernels"));
    manifest.minimum_driver =
        Reader(reader.at("requires"), "'requires'", 1).small("minimum_driver");
    manifest.compile_microseconds =
        Reader(reader.at("timings"), "'timings'", 1)
            .integer("compile_microseconds", 0, std::numeric_limits<std::int64_t>::max());
    manifest.compile_log = reader.text("compile_log");
    manifest.producer = reader.text("producer");

    if (!is_kind(manifest.artifact.kind) ||
        manifest.artifact.kind != manifest.request.artifact_kind) {
        throw reader.fault("has an artifact of another kind than asked for");
    }
    if (reader.text("target") != manifest.request.target) {
        throw ManifestFault(Refusal::wrong_target, "'target' is not the one in 'inputs'");
    }
    // Digests of the parsed fields, not of the text: whatever the parser read is what is vouched
    // for.
    const CanonicalIdentity identity = canonical_identity(manifest.request, manifest.toolchain);
    const Digest want = sha256(identity.inputs);
    if (reader.digest("want_digest") != want ||
        reader.digest("full_digest") != full_digest(identity)) {
        throw ManifestFault(Refusal::wrong_digest, "the inputs do not hash to the digests stored");
    }
    return {std::move(manifest), want};
}

}  // namespace opforge::cache
