// Profiles: what a run asked for, so that a prewarm can build exactly that. Written by every
// process whose environment has OPFORGE_PROFILE; read by `opforge prewarm --profile`.
//
// A profile is a text file of JSON objects, one a line:
//   {"op":"quantizer","program":"ds_quantize_fp16_groups","schema":1,"target":"sm_90"}
// `target` is what the device would run best. Lines are only ever appended, each by one write, so
// that threads and processes share a file; the same line may come again. Fields that a reader does
// not know, and empty lines, are passed over.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/prewarm.hpp>

#include <string_view>
#include <vector>

namespace opforge::builder {

/// Appends a line to the file that OPFORGE_PROFILE names; nothing where it is not set. A file that
/// cannot be written is one warning.
OPFORGE_API void note_in_profile(const PrewarmJob& asked) noexcept;

/// What a profile holds, each once, in the order of its first line.
/// @throws InvalidArgument naming the line that is none of a profile
[[nodiscard]] OPFORGE_API std::vector<PrewarmJob> parse_profile(std::string_view text);

/// The programs of a profile, for `targets` in place of those recorded where there are any.
/// @throws InvalidArgument for an op or a program that the catalog does not have
[[nodiscard]] OPFORGE_API std::vector<PrewarmJob>
profile_jobs(const OpCatalog& catalog, const BuilderContext& context,
             const std::vector<PrewarmJob>& profile, const std::vector<Target>& targets);

}  // namespace opforge::builder
