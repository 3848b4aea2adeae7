// Vector directories come from elsewhere: what is wrong with one is a typed error, never a crash or
// a silent skip.
#include "golden/vectors.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include <filesystem>
#include <limits>
#include <string>

namespace golden = opforge::golden;
namespace fs = std::filesystem;
using nlohmann::json;
using opforge::test::TemporaryDirectory;
using opforge::test::write_file;

namespace {

json tensor(const json& offset, const json& bytes, const json& dtype, const json& shape) {
    return {{"offset", offset}, {"bytes", bytes}, {"dtype", dtype}, {"shape", shape}};
}

json document(const json& input) {
    return {
        {"source", "a test"},
        {"cases",
         {{{"op", "ds_quantizer"}, {"groups", 1}, {"bits", 8}, {"inputs", {{"input", input}}}}}}};
}

const std::string kBlob(64, 'x');

// The text of the error that reading gives; fails the test where there is none.
std::string refusal(const fs::path& directory) {
    try {
        static_cast<void>(golden::read_vectors(directory));
    } catch (const golden::VectorError& error) {
        return error.what();
    }
    FAIL("read without complaint");
    return {};
}

std::string refusal_of(const std::string& index, const std::string& blob = kBlob) {
    const TemporaryDirectory directory;
    write_file(directory.path() / "reference.json", index);
    write_file(directory.path() / "reference.bin", blob);
    return refusal(directory.path());
}

std::string refusal_of_tensor(const json& input) {
    return refusal_of(document(input).dump());
}

void write_gz(const fs::path& path, const std::string& text) {
    gzFile file = gzopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    REQUIRE(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) ==
            static_cast<int>(text.size()));
    REQUIRE(gzclose(file) == Z_OK);
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("a case reads as it was written", "[golden]") {
    const TemporaryDirectory directory;
    write_file(directory.path() / "reference.json", document(tensor(16, 6, "float16", {3})).dump());
    write_file(directory.path() / "reference.bin",
               std::string(16, '\0') + "abcdef" + std::string(10, '\0'));

    const golden::Vectors vectors = golden::read_vectors(directory.path());

    CHECK(vectors.source == "a test");
    REQUIRE(vectors.cases.size() == 1);
    const golden::Case& only = vectors.cases.front();
    CHECK(only.op == "ds_quantizer");
    CHECK(golden::integer(only, "bits") == 8);
    CHECK_FALSE(golden::flag(only, "sr"));
    const golden::Tensor& input = golden::input(only, "input");
    CHECK(input.dtype() == "float16");
    CHECK(input.shape() == std::vector<std::int64_t>{3});
    CHECK(std::string(reinterpret_cast<const char*>(input.bytes().data()), input.bytes().size()) ==
          "abcdef");
}

TEST_CASE("compressed and plain tensors read alike", "[golden]") {
    const TemporaryDirectory directory;
    write_file(directory.path() / "reference.json", document(tensor(0, 64, "uint8", {64})).dump());
    write_gz(directory.path() / "reference.bin.gz", kBlob);
    const golden::Vectors vectors = golden::read_vectors(directory.path());
    CHECK(golden::input(vectors.cases.front(), "input").bytes()[63] == std::byte{'x'});
}

TEST_CASE("plain tensors that begin like a gzip file are taken as they are", "[golden]") {
    const TemporaryDirectory directory;
    write_file(directory.path() / "reference.json", document(tensor(0, 4, "uint8", {4})).dump());
    write_file(directory.path() / "reference.bin", "\x1f\x8b\x08\x08");
    CHECK(golden::read_vectors(directory.path()).cases.size() == 1);
}

TEST_CASE("scalars and empty tensors are tensors", "[golden]") {
    const TemporaryDirectory directory;
    json both = document(tensor(64, 0, "float32", {4, 0}));
    both["cases"][0]["inputs"]["scalar"] = tensor(0, 4, "float32", json::array());
    write_file(directory.path() / "reference.json", both.dump());
    write_file(directory.path() / "reference.bin", kBlob);
    const golden::Vectors vectors = golden::read_vectors(directory.path());
    CHECK(golden::input(vectors.cases.front(), "input").bytes().empty());
    CHECK(golden::input(vectors.cases.front(), "scalar").bytes().size() == 4);
}

TEST_CASE("outputs are written in the format that is read", "[golden]") {
    const TemporaryDirectory directory;
    golden::Vectors vectors;
    vectors.source = "written";
    for (std::size_t i = 0; i < 3; ++i) {
        golden::Case one;
        one.op = "op" + std::to_string(i);
        one.attributes = {{"bits", i}, {"seed", std::numeric_limits<std::uint64_t>::max()}};
        one.outputs.emplace("output", golden::Tensor("int8", {3}, opforge::Bytes(3, std::byte(i))));
        vectors.cases.push_back(std::move(one));
    }
    const fs::path out = directory.path() / "new" / "place";
    golden::write_vectors(out, vectors);
    golden::write_vectors(out, vectors);  // over an older dump

    const golden::Vectors back = golden::read_vectors(out);
    CHECK(back.source == "written");
    REQUIRE(back.cases.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(back.cases[i].op == "op" + std::to_string(i));
        CHECK(back.cases[i].attributes == vectors.cases[i].attributes);
        const golden::Tensor& output = back.cases[i].outputs.at("output");
        CHECK(output.shape() == std::vector<std::int64_t>{3});
        CHECK(output.bytes()[2] == std::byte(i));
    }
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(out)) {
        static_cast<void>(entry);
        ++files;
    }
    CHECK(files == 2);  // nothing staged is left
}

TEST_CASE("a dump beside compressed tensors, or into a file's place, is refused", "[golden]") {
    const TemporaryDirectory directory;
    write_gz(directory.path() / "reference.bin.gz", kBlob);
    CHECK_THROWS_AS(golden::write_vectors(directory.path(), {}), golden::WriteError);
    write_file(directory.path() / "file", "");
    CHECK_THROWS_AS(golden::write_vectors(directory.path() / "file" / "below", {}),
                    golden::WriteError);
}

TEST_CASE("missing files are named", "[golden]") {
    const TemporaryDirectory directory;
    CHECK_THAT(refusal(directory.path() / "nowhere"),
               Contains("reference.json") && Contains("No such file"));
    write_file(directory.path() / "reference.json", document(tensor(0, 2, "float16", {1})).dump());
    CHECK_THAT(refusal(directory.path()), Contains("reference.bin.gz") && Contains("No such file"));
}

TEST_CASE("tensors in both files are ambiguous", "[golden]") {
    const TemporaryDirectory directory;
    write_file(directory.path() / "reference.json", document(tensor(0, 2, "float16", {1})).dump());
    write_file(directory.path() / "reference.bin", kBlob);
    write_gz(directory.path() / "reference.bin.gz", kBlob);
    CHECK_THAT(refusal(directory.path()), Contains("stale"));
}

TEST_CASE("a directory in a file's place is refused", "[golden]") {
    const TemporaryDirectory directory;
    fs::create_directory(directory.path() / "reference.json");
    CHECK_THAT(refusal(directory.path()), Contains("reference.json"));
}

TEST_CASE("compressed tensors cut at any length, or with a flipped byte, are refused", "[golden]") {
    const TemporaryDirectory directory;
    const fs::path packed = directory.path() / "reference.bin.gz";
    write_file(directory.path() / "reference.json", document(tensor(0, 64, "uint8", {64})).dump());
    std::string varied;
    for (int i = 0; i < 64; ++i) {
        varied.push_back(static_cast<char>(i * 37));
    }
    write_gz(packed, varied);
    const std::string whole = opforge::test::read_file(packed);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        write_file(packed, whole.substr(0, length));
        INFO("cut at " << length << " of " << whole.size());
        CHECK_FALSE(refusal(directory.path()).empty());
    }
    // The ten bytes of gzip's header hold a time and a system, and the next one the padding of a
    // stored block.
    for (std::size_t i = 11; i < whole.size(); ++i) {
        std::string flipped = whole;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
        write_file(packed, flipped);
        INFO("byte " << i << " of " << whole.size());
        CHECK_FALSE(refusal(directory.path()).empty());
    }
}

TEST_CASE("tensors outside the file are refused", "[golden]") {
    CHECK_THAT(refusal_of_tensor(tensor(64, 2, "float16", {1})),
               Contains("case 0") && Contains("end past"));
    CHECK_THAT(refusal_of_tensor(tensor(48, 32, "float16", {16})), Contains("end past"));
    CHECK_THAT(refusal_of_tensor(tensor(1U << 20U, 0, "float16", {0})), Contains("end past"));
    const std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
    CHECK_THAT(refusal_of_tensor(tensor(last - 15, 32, "uint8", {32})), Contains("end past"));
    CHECK_THAT(refusal_of_tensor(tensor(16, last, "uint8", {48})), Contains("end past"));
    CHECK_THAT(refusal_of_tensor(tensor(0, last, "uint8", {64})), Contains("end past"));
}

TEST_CASE("offsets off the alignment are refused", "[golden]") {
    CHECK_THAT(refusal_of_tensor(tensor(8, 2, "float16", {1})), Contains("multiple of 16"));
}

TEST_CASE("shapes that lie about the bytes are refused", "[golden]") {
    CHECK_THAT(refusal_of_tensor(tensor(0, 4, "float16", {3})), Contains("takes 6 bytes"));
    CHECK_THAT(refusal_of_tensor(tensor(0, 4, "float32", json::array({1, 2}))),
               Contains("takes 8 bytes"));
    // Products that wrap around to something plausible.
    const std::int64_t half = std::int64_t{1} << 62U;
    CHECK_THAT(refusal_of_tensor(tensor(0, 0, "float32", {half})), Contains("not a tensor's"));
    CHECK_THAT(refusal_of_tensor(tensor(0, 0, "uint8", json::array({half, half, 4}))),
               Contains("not a tensor's"));
    CHECK_THAT(refusal_of_tensor(tensor(0, 1, "uint8", json::array({1, 1, 1, 1, 1, 1, 1, 1, 1}))),
               Contains("dimensions"));
}

TEST_CASE("fields of the wrong type are refused", "[golden]") {
    const json good = tensor(0, 2, "float16", {1});
    for (const char* field : {"offset", "bytes", "dtype", "shape"}) {
        json missing = good;
        missing.erase(field);
        CHECK_THAT(refusal_of_tensor(missing), Contains(field));
        for (const json& wrong :
             {json(nullptr), json(-16), json(0.5), json(json::object()), json(true),
              json(json::array({-1})), json(json::array({"1"})), json("no dtype")}) {
            json changed = good;
            changed[field] = wrong;
            INFO(field << " " << wrong);
            CHECK_FALSE(refusal_of_tensor(changed).empty());
        }
    }
    CHECK_THAT(refusal_of_tensor("text"), Contains("object"));
    CHECK_THAT(refusal_of_tensor(tensor(0, 2, "float\x1b[2J", {1})), !Contains("\x1b"));
}

TEST_CASE("documents that are not vectors are refused", "[golden]") {
    for (const char* text :
         {"", "{", "[]", "null", "{}", R"({"cases": 3})", R"({"cases": []})", R"({"cases": [3]})",
          R"({"cases": [{}]})", R"({"cases": [{"op": 3}]})",
          R"({"cases": [{"op": "a", "inputs": []}]})", "{\"cases\": [{\"op\": \"\xff\"}]}"}) {
        INFO(text);
        CHECK_THAT(refusal_of(text), Contains("reference.json"));
    }
    const std::string deep =
        R"({"cases": )" + std::string(100000, '[') + std::string(100000, ']') + "}";
    CHECK_THAT(refusal_of(deep), Contains("nested deeper"));
}

TEST_CASE("an index cut at any length is refused", "[golden]") {
    const std::string whole = document(tensor(0, 2, "float16", {1})).dump();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK_FALSE(refusal_of(whole.substr(0, length)).empty());
    }
}

TEST_CASE("attributes of the wrong type name the case and the attribute", "[golden]") {
    golden::Case of;
    of.index = 7;
    of.op = "ds_quantizer";
    of.attributes = {{"bits", "8"},
                     {"sr", 1},
                     {"seed", -1},
                     {"groups", std::numeric_limits<std::uint64_t>::max()}};
    CHECK_THROWS_WITH(golden::integer(of, "bits"), Contains("case 7") && Contains("bits"));
    CHECK_THROWS_WITH(golden::integer(of, "groups"), Contains("groups"));
    CHECK_THROWS_WITH(golden::integer(of, "absent"), Contains("absent"));
    CHECK_THROWS_WITH(golden::unsigned_integer(of, "seed"), Contains("seed"));
    CHECK_THROWS_WITH(golden::unsigned_integer(of, "absent"), Contains("absent"));
    CHECK_THROWS_WITH(golden::flag(of, "sr"), Contains("sr"));
    CHECK_THROWS_WITH(golden::input(of, "input"), Contains("no input"));
    of.attributes["seed"] = std::numeric_limits<std::uint64_t>::max();
    CHECK(golden::unsigned_integer(of, "seed") == std::numeric_limits<std::uint64_t>::max());
}
