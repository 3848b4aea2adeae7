// The one JSON form that is hashed and stored: keys sorted by their bytes, no white space, integers
// only, UTF-8 as it is, escapes only where JSON demands them. Private: nlohmann stays out of the
// public headers.
#pragma once

#include <opforge/cache/cache_key.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace opforge::cache {

using Json = nlohmann::json;

/// @param subject  what an error says is not UTF-8
/// @param left_out name of a member of the outermost object that is not written; empty: none
/// @throws InvalidArgument where a text is not UTF-8
[[nodiscard]] std::string dump_canonical(const Json& value, std::string_view subject,
                                         std::string_view left_out = {});

/// Where the member `member` of the outermost object stands in a canonical text, with the comma
/// that separates it; empty (begin == end) where there is none.
struct MemberPlace {
    std::size_t begin = 0;
    std::size_t end = 0;
};
/// Whether `text` is the canonical form of `value`: compared in place, nothing is written. False
/// also where the value is nested deeper than `max_depth` or holds a number that is no integer.
[[nodiscard]] bool is_canonical(const Json& value, std::string_view text, int max_depth,
                                std::string_view member, MemberPlace& place);

/// What keeps a hostile text from being built into a document at all.
/// Empty: sound. Otherwise what is wrong: not JSON, deeper than `max_depth`, a key twice in one
/// object, or a number that is not an integer of 64 bits.
[[nodiscard]] std::string json_fault(std::string_view text, int max_depth);

/// @throws InvalidArgument where two headers or two defines share a name: such a request names no
/// one program.
[[nodiscard]] std::string inputs_text(const Request& request);
[[nodiscard]] std::string toolchain_text(const Toolchain& toolchain);

/// What both digests of an entry are taken of, written once.
struct CanonicalIdentity {
    std::string inputs;     // hashes to the want digest
    std::string toolchain;  // with the inputs, hashes to the full digest
};
/// @throws as inputs_text
[[nodiscard]] CanonicalIdentity canonical_identity(const Request& request,
                                                   const Toolchain& toolchain);
/// The digest of the inputs with the toolchain among them.
[[nodiscard]] Digest full_digest(const CanonicalIdentity& identity);

}  // namespace opforge::cache
