// Kernel text that is known at run time only: what opforge_embed_kernels() makes at build time,
// made by a program. Each source's closure of headers is found by the same textual scan that
// ignores `#if`, and everything in it is in the key.
//
//     const EmbeddedSources& embedded() const override {
//         static const SourceSet sources(
//             {.sources = {{"scale.cu", text}}, .headers = {{"scale.cuh", header_text}}});
//         return sources.embedded();
//     }
//
// Immutable: any thread may read it. What embedded() gives lives as long as the set; a builder
// keeps it as a static or a member.
#pragma once

#include <opforge/base/embedded_sources.hpp>
#include <opforge/base/export.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace opforge::builder {

/// A file's text under the name that an include directive and compile errors use.
struct SourceText {
    std::string name;
    std::string text;
};

/// Reads a file of kernel text, 16 MiB at most. Its name is `name`, or the path's last part where
/// that is empty.
/// @throws InvalidArgument naming the path and the cause
[[nodiscard]] OPFORGE_API SourceText read_source(const std::filesystem::path& path,
                                                 std::string name = {});

/// What a set is made of.
struct SourceFiles {
    std::vector<SourceText> sources = {};
    std::vector<SourceText> headers = {};  // by the names that include directives use
    std::vector<std::filesystem::path> header_directories = {};
};

class OPFORGE_API SourceSet {
public:
    /// An include directive in quotes is looked for beside the file that has it, then by its full
    /// name among `headers`, then in `header_directories`; one in angle brackets in
    /// `header_directories` only (a toolkit's, say). What is found there is read now, once, and
    /// takes part in the key by its digest like any other header; nothing is read when a program is
    /// compiled. What the text of `sources` and `headers` includes must be found. What a file from
    /// a directory includes may be missing: the scan ignores `#if`, and such files include host
    /// headers behind one. If the compiler reaches it all the same, it fails.
    /// @throws InvalidArgument for an include directive that is not found, naming file, line and
    /// places; two files of one name; a directory or file that cannot be read
    explicit SourceSet(SourceFiles files);
    SourceSet(SourceSet&&) noexcept;
    SourceSet& operator=(SourceSet&&) noexcept;
    SourceSet(const SourceSet&) = delete;
    SourceSet& operator=(const SourceSet&) = delete;
    ~SourceSet();

    [[nodiscard]] const EmbeddedSources& embedded() const noexcept;

private:
    struct Files;
    std::unique_ptr<Files> files_;
};

}  // namespace opforge::builder
