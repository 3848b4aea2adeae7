#include <opforge/base/error.hpp>
#include <opforge/cache/cache_key.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace opforge;
using namespace opforge::cache;

namespace {

Request smallest_request() {
    Request request;
    request.op = "demo";
    request.program = "p";
    request.source = sha256("");
    request.target = "compute_90";
    request.artifact_kind = "ptx";
    return request;
}

// Something in every field, so that each can change.
Request full_request() {
    Request request;
    request.op = "quantizer";
    request.program = "ds_quantize_fp16";
    request.source = sha256("source");
    request.headers = {{"opforge/kernels/rounding.cuh", sha256("rounding")},
                       {"opforge/kernels/pack.cuh", sha256("pack")}};
    request.options = {"--std=c++17", "--fmad=false"};
    request.defines = {{"OPFORGE_BITS", "8"}, {"OPFORGE_ASYM", ""}};
    request.kernels = {"quantize_wide", "quantize_narrow"};
    request.target = "sm_90";
    request.artifact_kind = "cubin";
    return request;
}

Toolchain sample_toolchain() {
    return {"nvrtc", 13, 0, "build-id:0123abcd"};
}

std::vector<std::string> words(const char* prefix, int count) {
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i) {
        all.push_back(prefix + std::to_string(*rc::gen::inRange(0, 50)) + "-" + std::to_string(i));
    }
    return all;
}

// Any request, its lists without repeated names.
Request any_request() {
    const auto count = rc::gen::inRange(0, 6);
    Request request = full_request();
    request.program = *rc::gen::container<std::string>(rc::gen::inRange<char>('a', 'z'));
    request.headers.clear();
    request.defines.clear();
    for (const std::string& name : words("h", *count)) {
        request.headers.push_back({name, sha256(name + "text")});
    }
    request.options = words("--o", *count);
    for (const std::string& name : words("D", *count)) {
        request.defines.emplace_back(name, std::to_string(*rc::gen::arbitrary<int>()));
    }
    request.kernels = words("k", *count);
    return request;
}

template <typename List>
void shuffle(List& list, unsigned seed) {
    std::shuffle(list.begin(), list.end(), std::mt19937(seed));
}

using Change = std::pair<const char*, std::function<void(Request&)>>;

// One for each field, and for each way a list can differ.
const std::vector<Change>& changes() {
    static const std::vector<Change> all = {
        {"op", [](Request& r) { r.op += "x"; }},
        {"program", [](Request& r) { r.program += "x"; }},
        {"source", [](Request& r) { r.source = sha256(r.source.hex()); }},
        {"header added",
         [](Request& r) {
             r.headers.push_back({"new", sha256("new")});
         }},
        {"header digest", [](Request& r) { r.headers[0].digest = sha256("other"); }},
        {"header name", [](Request& r) { r.headers[0].name += "x"; }},
        {"header gone", [](Request& r) { r.headers.pop_back(); }},
        {"option added", [](Request& r) { r.options.emplace_back("--new"); }},
        {"option changed", [](Request& r) { r.options[0] += "x"; }},
        {"option repeated", [](Request& r) { r.options.push_back(r.options[0]); }},
        {"option gone", [](Request& r) { r.options.pop_back(); }},
        {"define added", [](Request& r) { r.defines.emplace_back("NEW", ""); }},
        {"define value", [](Request& r) { r.defines[0].second += "1"; }},
        {"define name", [](Request& r) { r.defines[0].first += "x"; }},
        {"define gone", [](Request& r) { r.defines.pop_back(); }},
        {"kernel added", [](Request& r) { r.kernels.emplace_back("new"); }},
        {"kernel changed", [](Request& r) { r.kernels[0] += "x"; }},
        {"kernel gone", [](Request& r) { r.kernels.pop_back(); }},
        {"target", [](Request& r) { r.target += "a"; }},
        {"artifact kind", [](Request& r) { r.artifact_kind = "ptx"; }},
    };
    return all;
}

}  // namespace

// The example that docs/key.md works by hand; the other golden keys are in key_vectors_test.cpp.
TEST_CASE("the canonical text and the keys are those that the document works out", "[cache_key]") {
    const std::string fields =
        R"({"artifact_kind":"ptx","defines":{},"headers":{},"kernels":[],"op":"demo",)"
        R"("options":[],"program":"p","schema":1,)"
        R"("source":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",)"
        R"("target":"compute_90")";
    const std::string compiler =
        R"({"fingerprint":"build-id:0123abcd","major":13,"minor":0,"name":"nvrtc"})";
    const Request request = smallest_request();
    const Toolchain toolchain = sample_toolchain();
    CHECK(canonical_inputs(request) == fields + "}");
    CHECK(canonical_toolchain(toolchain) == compiler);
    CHECK(want_digest(request).hex() ==
          "4c7f44b61382dbd504f88b9e9c0170c9d5163799642038cb0a1974b167fd97d9");
    CHECK(full_digest(request, toolchain).hex() ==
          "b4a26ab2de6af3d376fd16345eb6061f64b9504714ffbba1741932fe0994b555");
    CHECK(full_digest(request, toolchain) == sha256(fields + ",\"toolchain\":" + compiler + "}"));
    CHECK(entry_name(want_digest(request), toolchain) ==
          "4c7f44b61382dbd504f88b9e9c0170c9d5163799642038cb0a1974b167fd97d9.e377d5b35f22");
}

TEST_CASE("the order of inputs never changes a key", "[cache_key]") {
    CHECK(rc::check([] {
        const Request request = any_request();
        const auto seed = *rc::gen::arbitrary<unsigned>();
        Request shuffled = request;
        shuffle(shuffled.headers, seed);
        shuffle(shuffled.options, seed + 1);
        shuffle(shuffled.defines, seed + 2);
        shuffle(shuffled.kernels, seed + 3);

        RC_ASSERT(want_digest(shuffled) == want_digest(request));
        RC_ASSERT(full_digest(shuffled, sample_toolchain()) ==
                  full_digest(request, sample_toolchain()));
        RC_ASSERT(canonical(shuffled) == canonical(request));
    }));
}

TEST_CASE("a change of any field changes both keys", "[cache_key]") {
    const Request request = full_request();
    const Toolchain toolchain = sample_toolchain();
    std::set<Digest> seen = {want_digest(request), full_digest(request, toolchain)};
    for (const auto& [name, change] : changes()) {
        INFO(name);
        Request changed = request;
        change(changed);
        CHECK_FALSE(changed == request);
        CHECK(seen.insert(want_digest(changed)).second);
        CHECK(seen.insert(full_digest(changed, toolchain)).second);
    }
}

TEST_CASE("two requests that differ have two keys", "[cache_key]") {
    CHECK(rc::check([] {
        const Request a = any_request();
        const Request b = any_request();
        RC_ASSERT((want_digest(a) == want_digest(b)) == (canonical(a) == canonical(b)));
    }));
}

TEST_CASE("each field of the toolchain is in the full digest and none in the want digest",
          "[cache_key]") {
    const Request request = full_request();
    const Toolchain toolchain = sample_toolchain();
    const std::vector<Toolchain> others = {
        {"nvcc", toolchain.major, toolchain.minor, toolchain.fingerprint},
        {toolchain.name, toolchain.major + 1, toolchain.minor, toolchain.fingerprint},
        {toolchain.name, toolchain.major, toolchain.minor + 1, toolchain.fingerprint},
        {toolchain.name, toolchain.major, toolchain.minor, "build-id:0123abce"}};
    std::set<Digest> digests = {full_digest(request, toolchain)};
    std::set<std::string> names = {entry_name(want_digest(request), toolchain)};
    for (const Toolchain& other : others) {
        CHECK(digests.insert(full_digest(request, other)).second);
        CHECK(names.insert(entry_name(want_digest(request), other)).second);
    }
}

// Text moved from one field into the next must not give the same bytes.
TEST_CASE("fields do not run into each other", "[cache_key]") {
    Request a = smallest_request();
    a.op = "ab";
    a.program = "c";
    Request b = smallest_request();
    b.op = "a";
    b.program = "bc";
    CHECK(want_digest(a) != want_digest(b));

    a = smallest_request();
    a.options = {"x", "y"};
    b = smallest_request();
    b.options = {"x\",\"y"};
    CHECK(want_digest(a) != want_digest(b));

    b = smallest_request();
    b.kernels = {"x", "y"};
    CHECK(want_digest(a) != want_digest(b));
}

TEST_CASE("a request that names no one program is an invalid argument", "[cache_key]") {
    Request request = full_request();
    request.headers.push_back(request.headers.front());
    CHECK_THROWS_AS(want_digest(request), InvalidArgument);

    request = full_request();
    request.defines.emplace_back(request.defines.front().first, "another value");
    CHECK_THROWS_WITH(want_digest(request), Catch::Contains("OPFORGE_BITS"));

    request = full_request();
    request.options.emplace_back("\xff\xfe");
    CHECK_THROWS_WITH(want_digest(request), Catch::Contains("UTF-8"));
    CHECK_THROWS_WITH(full_digest(full_request(), {"nvrtc", 13, 0, "\xff"}),
                      Catch::Contains("the toolchain") && Catch::Contains("UTF-8"));
}
