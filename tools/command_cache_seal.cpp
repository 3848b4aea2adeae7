// `opforge cache seal DIR`: makes a cache folder a read-only layer that can be shipped.
#include "command_cache.hpp"
#include "file_errors.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/cache/seal.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <optional>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "seal", "Make a cache folder a read-only layer, with a list of its digests",
    "  opforge prewarm --arch sm_80,sm_90 --cache-dir /opt/kernels\n"
    "  opforge cache seal /opt/kernels         then: OPFORGE_LAYERS=/opt/kernels\n"};

// https://reproducible-builds.org/specs/source-date-epoch/
std::optional<std::int64_t> source_date() {
    const auto text = environment("SOURCE_DATE_EPOCH");
    if (!text) {
        return std::nullopt;
    }
    std::int64_t seconds = 0;
    const char* const end = text->data() + text->size();
    const auto [rest, error] = std::from_chars(text->data(), end, seconds);
    constexpr std::int64_t kMost = 9'000'000'000;  // in nanoseconds it still has to fit
    if (error != std::errc() || rest != end || seconds < 0 || seconds > kMost) {
        throw InvalidArgument(fmt::format(
            "read SOURCE_DATE_EPOCH: '{}' is not a number of seconds since 1970", *text));
    }
    return seconds;
}

CommandResult seal(const std::string& given) {
    const std::filesystem::path folder = existing_folder(given);
    if (cache::DirectoryStore(folder).list(false).empty()) {
        throw InputError(folder, fmt::format("it holds no entries to seal; fill it first: opforge "
                                             "prewarm --cache-dir {}",
                                             folder.string()));
    }
    const cache::Sealed sealed = cache::seal_directory(folder, source_date());
    CommandResult result;
    result.data = {{"path", folder.string()},
                   {"entries", sealed.entries.entries},
                   {"bytes", sealed.entries.bytes},
                   {"sha256", sealed.list.hex()}};
    result.text = fmt::format("sealed {} entries, {}, in {}\n"
                              "use it with OPFORGE_LAYERS='{};sha256={}'\n",
                              sealed.entries.entries, format_size(sealed.entries.bytes),
                              folder.string(), folder.string(), sealed.list.hex());
    return result;
}

}  // namespace

void add_cache_seal(CLI::App& cache, Session& session) {
    CLI::App& verb = add_verb(cache, session, kText);
    const auto folder = std::make_shared<std::string>();
    verb.add_option("DIR", *folder, "The cache folder")
        ->option_text(" ")
        ->required()
        ->check(is_value);
    verb.callback([folder, &session] { session.action = [folder] { return seal(*folder); }; });
}

}  // namespace opforge::tools
