// A request, a toolchain and what an imaginary compiler makes of them: small, so that a test can
// try every byte.
#pragma once

#include <opforge/cache/cache.hpp>

#include <filesystem>
#include <string>

namespace opforge::test {

inline cache::Request sample_request(const std::string& program = "fake_quantize") {
    cache::Request request;
    request.op = "quantizer";
    request.program = program;
    request.source = cache::sha256(std::string_view("source"));
    request.headers = {
        {"opforge/kernels/rounding.cuh", cache::sha256(std::string_view("rounding"))},
        {"opforge/kernels/pack.cuh", cache::sha256(std::string_view("pack"))}};
    request.options = {"--std=c++17", "--fmad=false"};
    request.defines = {{"OPFORGE_BITS", "8"}, {"OPFORGE_ASYM", ""}};
    request.kernels = {"quantize_symmetric", "quantize_asymmetric"};
    request.target = "sm_90";
    request.artifact_kind = "cubin";
    return request;
}

inline cache::Toolchain sample_toolchain(int major = 13, int minor = 0,
                                         const std::string& fingerprint = "a1b2/c3d4") {
    return {"nvrtc", major, minor, fingerprint};
}

inline cache::Built sample_built(const cache::Request& request = sample_request(),
                                 const cache::Toolchain& toolchain = sample_toolchain(),
                                 std::size_t size_bytes = 200) {
    cache::Built built;
    for (std::size_t i = 0; i < size_bytes; ++i) {
        built.artifact.push_back(static_cast<std::byte>(i * 37 + 11));
    }
    cache::Manifest& manifest = built.manifest;
    manifest.request = request;
    manifest.toolchain = toolchain;
    manifest.artifact = {request.artifact_kind, cache::sha256(built.artifact),
                         built.artifact.size()};
    for (const std::string& kernel : request.kernels) {
        manifest.kernels.push_back({kernel, "_Z" + kernel, 32, 1024});
    }
    manifest.minimum_driver = 13000;
    manifest.compile_microseconds = 44000;
    manifest.compile_log = "warning: \"quoted\"\n";
    manifest.producer = "opforge test";
    return built;
}

/// What policy exact asks for.
inline cache::Lookup sample_lookup(const cache::Request& request = sample_request(),
                                   const cache::Toolchain& toolchain = sample_toolchain()) {
    cache::Lookup lookup;
    lookup.request = request;
    lookup.toolchain = toolchain;
    lookup.policy = cache::Policy::exact;
    return lookup;
}

inline std::filesystem::path
entry_directory(const std::filesystem::path& root, const cache::Request& request = sample_request(),
                const cache::Toolchain& toolchain = sample_toolchain()) {
    const std::string name = cache::entry_name(cache::want_digest(request), toolchain);
    return root / "v1" / "entries" / name.substr(0, 2) / name;
}

}  // namespace opforge::test
