// What a compiler made, as files for people to read: asked for by BuilderContext::keep_directory or
// OPFORGE_KEEP_DIR. Nothing is ever loaded from them. A file that cannot be written is one warning;
// the op goes on.
#pragma once

#include <opforge/base/bytes.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace opforge::builder {

class KeptCode {
public:
    /// Files go to `directory` as <op>.<program>.<target>.<what it is>.
    KeptCode(std::filesystem::path directory, const std::string& op, const std::string& program,
             const std::string& target);

    /// .ptx
    void keep_ptx(std::string_view text) const;
    /// .log, where there is any
    void keep_log(std::string_view text) const;
    /// .cubin, and its disassembly as .sass where an nvdisasm is found in PATH, CUDA_PATH,
    /// CUDA_HOME or /usr/local/cuda; of a PTX artifact .ptx
    void keep_artifact(const Bytes& artifact, bool is_ptx) const;

private:
    void write(const char* extension, std::string_view text) const;
    void disassemble() const;

    std::filesystem::path directory_;
    std::string stem_;
};

}  // namespace opforge::builder
