#include "support/temporary_directory.hpp"
#include "tensor_file_writers.hpp"

#include <file_errors.hpp>
#include <safetensors.hpp>
#include <tensor_file.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using tools::InputError;

tools::TensorIndex read(const std::string& text, const std::string& name = "model.safetensors") {
    const TemporaryDirectory folder;
    write_file(folder.path() / name, text);
    return tools::read_tensor_index(tools::InputFile(folder.path() / name));
}

std::string tensor(std::string_view name, std::string_view dtype, std::string_view shape,
                   std::string_view offsets) {
    return "\"" + std::string(name) + R"(":{"dtype":")" + std::string(dtype) + R"(","shape":)" +
           std::string(shape) + R"(,"data_offsets":)" + std::string(offsets) + "}";
}

// Each lie about a file of eight data bytes, and a word of the error it must get.
void check_refused(const std::string& header, const std::string& because,
                   const std::string& data = "12345678") {
    INFO(header.substr(0, 200));
    CHECK_THROWS_MATCHES(read(with_length(header) + data), InputError,
                         Catch::Matchers::Predicate<InputError>(
                             [&](const InputError& error) {
                                 const std::string text = error.what();
                                 UNSCOPED_INFO(text);
                                 return text.find("model.safetensors: ") != std::string::npos &&
                                        text.find(because) != std::string::npos;
                             },
                             "names the file, and says \"" + because + "\""));
}

TEST_CASE("a safetensors file reads back as written", "[tools]") {
    rc::prop("names, dtypes, shapes, places and metadata", [] {
        const std::vector<std::pair<std::string, std::uint64_t>> dtypes = {
            {"F16", 2}, {"BF16", 2}, {"F32", 4}, {"F64", 8}, {"I8", 1}, {"BOOL", 1}, {"I64", 8}};
        std::vector<WrittenTensor> tensors;
        const auto names =
            *rc::gen::unique<std::vector<std::string>>(rc::gen::string<std::string>());
        for (std::size_t i = 0; i < names.size(); ++i) {
            // Quotes and control characters stay: JSON escapes them. Bytes past ASCII need not be
            // UTF-8.
            std::string name = "t";
            for (const char each : names[i]) {
                name.push_back(static_cast<char>(each & 0x7F));
            }
            name += std::to_string(i);
            const auto& [dtype, size] = *rc::gen::elementOf(dtypes);
            const auto shape = *rc::gen::container<std::vector<std::uint64_t>>(
                *rc::gen::inRange(0, 4), rc::gen::inRange<std::uint64_t>(0, 5));
            std::uint64_t count = 1;
            for (const std::uint64_t dimension : shape) {
                count *= dimension;
            }
            tensors.push_back({name, dtype, shape, std::string(count * size, 'x')});
        }
        const auto file = read(safetensors_text(tensors, {{"format", "pt"}, {"b", "\"\n"}}));
        RC_ASSERT(file.metadata == (std::vector<std::pair<std::string, std::string>>{
                                       {"format", "pt"}, {"b", "\"\n"}}));
        RC_ASSERT(file.tensors.size() == tensors.size());
        std::uint64_t offset = file.data_offset;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            RC_ASSERT(file.tensors[i].name == tensors[i].name);
            RC_ASSERT(file.tensors[i].dtype == tensors[i].dtype);
            RC_ASSERT(file.tensors[i].shape == tensors[i].shape);
            RC_ASSERT(file.tensors[i].offset == offset);
            RC_ASSERT(file.tensors[i].size_bytes == tensors[i].bytes.size());
            offset += tensors[i].bytes.size();
        }
    });
}

TEST_CASE("the bytes decide the order of tensors, whatever the header's", "[tools]") {
    const auto file = read(with_length("{" + tensor("late", "U8", "[3]", "[5,8]") + "," +
                                       tensor("early", "U8", "[5]", "[0,5]") + "}") +
                           "12345678");
    REQUIRE(file.tensors.size() == 2);
    CHECK(file.tensors[0].name == "early");
    CHECK(file.tensors[1].name == "late");
}

TEST_CASE("a file without tensors, scalars and empty tensors are fine", "[tools]") {
    CHECK(read(with_length("{}")).tensors.empty());
    const auto file = read(with_length("{" + tensor("a", "F64", "[]", "[0,8]") + "," +
                                       tensor("b", "F32", "[0,7]", "[8,8]") + "}") +
                           "12345678");
    CHECK(file.tensors[0].elements == 1);
    CHECK(file.tensors[1].elements == 0);
}

TEST_CASE("a file cut short at any length is refused", "[tools]") {
    const std::string whole = safetensors_text({{"a", "F32", {2, 2}, std::string(16, 'x')}});
    for (std::size_t length = 0; length < whole.size(); ++length) {
        INFO(length);
        CHECK_THROWS_AS(read(whole.substr(0, length)), InputError);
    }
}

TEST_CASE("bytes after the last tensor are refused", "[tools]") {
    CHECK_THROWS_WITH(read(safetensors_text({{"a", "U8", {4}, "wxyz"}}) + "!"),
                      Contains("1 bytes at the end belong to no tensor"));
}

TEST_CASE("a header length that lies is refused before anything is read", "[tools]") {
    CHECK_THROWS_WITH(read(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)),
                      Contains("a header of 100000001 bytes"));
    CHECK_THROWS_WITH(read(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)),
                      Contains("a header of 18446744073709551615 bytes"));
    CHECK_THROWS_WITH(read(std::string("\x03\0\0\0\0\0\0\0{}", 10)),
                      Contains("a header of 3 bytes, and 2 bytes follow"));
    CHECK_THROWS_WITH(read(std::string(8, '\0') + "{"), Contains("does not begin with '{'"));
}

TEST_CASE("a header that is not a JSON object in UTF-8 is refused", "[tools]") {
    check_refused("\xef\xbb\xbf{}", "does not begin with '{'");
    check_refused(" {}", "does not begin with '{'");
    check_refused("[]", "does not begin with '{'");
    check_refused("{", "not valid JSON");
    check_refused("{} {}", "not valid JSON");
    check_refused(std::string("{}\0}", 4), "zero byte");
    check_refused("{" + tensor("a\xff", "U8", "[8]", "[0,8]") + "}", "not valid JSON");
    check_refused("{" + tensor("a\xc0\xaf", "U8", "[8]", "[0,8]") + "}", "not valid JSON");
    check_refused("{/* */}", "not valid JSON");
    check_refused("{\"a\":" + std::string(100000, '['), "a list");
    check_refused("{\"a\":" + std::string(100000, '{'), "not valid JSON");
}

TEST_CASE("a header of another structure is refused", "[tools]") {
    check_refused(R"({"a":1})", "a number where the format has none");
    check_refused(R"({"a":null})", "null");
    check_refused(R"({"a":"U8"})", "a text");
    check_refused(R"({"a":[]})", "a list");
    check_refused(R"({"a":{}})", "has no dtype");
    check_refused(R"({"a":{"dtype":"U8","shape":[8]}})", "has no data_offsets");
    check_refused(R"({"a":{"dtype":8,"shape":[8],"data_offsets":[0,8]}})", "a number");
    check_refused(R"({"a":{"dtype":"U8","shape":[[8]],"data_offsets":[0,8]}})", "a list");
    check_refused(R"({"a":{"dtype":"U8","shape":{},"data_offsets":[0,8]}})", "an object");
    check_refused(R"({"a":{"dtype":"U8","shape":[true],"data_offsets":[0,8]}})", "a boolean");
    check_refused(R"({"a":{"dtype":"U8","shape":["8"],"data_offsets":[0,8]}})", "a text");
    check_refused(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"x":1}})",
                  "unknown field \"x\"");
    check_refused(R"({"__metadata__":{"a":1}})", "a number");
    check_refused(R"({"__metadata__":{"a":{}}})", "an object");
    check_refused(R"({"__metadata__":[]})", "a list");
}

TEST_CASE("a key that occurs twice is refused, however it is spelt", "[tools]") {
    const std::string a = tensor("a", "U8", "[4]", "[0,4]");
    check_refused("{" + a + "," + tensor("a", "U8", "[4]", "[4,8]") + "}", "occurs twice");
    check_refused("{" + a + "," + tensor("\\u0061", "U8", "[4]", "[4,8]") + "}", "occurs twice");
    check_refused(R"({"a":{"dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8]}})",
                  "occurs twice in tensor \"a\"");
    check_refused(R"({"__metadata__":{"k":"1","k":"2"}})", "occurs twice in __metadata__");
    check_refused(R"({"__metadata__":{},"__metadata__":{}})", "occurs twice");
}

TEST_CASE("offsets that overlap, leave holes or leave the file are refused", "[tools]") {
    const std::string first = "{" + tensor("a", "U8", "[4]", "[0,4]") + ",";
    check_refused(first + tensor("b", "U8", "[5]", "[3,8]") + "}", "overlap");
    check_refused(first + tensor("b", "U8", "[4]", "[0,4]") + "}", "overlap");
    check_refused(first + tensor("b", "U8", "[3]", "[5,8]") + "}", "leave a hole");
    check_refused(first + tensor("b", "U8", "[5]", "[4,9]") + "}", "past the end of the file");
    check_refused(first + tensor("b", "U8", "[3]", "[4,7]") + "}", "belong to no tensor");
    check_refused("{" + tensor("a", "U8", "[7]", "[1,8]") + "}", "leave a hole");
    check_refused("{" + tensor("a", "U8", "[8]", "[8,0]") + "}", "begin <= end");
    check_refused("{" + tensor("a", "U8", "[8]", "[8]") + "}", "begin <= end");
    check_refused("{" + tensor("a", "U8", "[8]", "[0,4,8]") + "}", "begin <= end");
    check_refused("{" + tensor("a", "U8", "[8]", "[-1,8]") + "}", "a negative number");
    check_refused("{" + tensor("a", "U8", "[8]", "[0,8.0]") + "}", "a fraction");
    check_refused("{" + tensor("a", "U8", "[8]", "[0,18446744073709551616]") + "}",
                  "a number past");
}

TEST_CASE("a shape that does not fill its range is refused, also one that overflows", "[tools]") {
    check_refused("{" + tensor("a", "F16", "[8]", "[0,8]") + "}", "takes 16 bytes");
    check_refused("{" + tensor("a", "F16", "[3]", "[0,8]") + "}", "takes 6 bytes");
    check_refused("{" + tensor("a", "U8", "[4294967296,4294967296]", "[0,8]") + "}", "too large");
    check_refused("{" + tensor("a", "F64", "[2305843009213693953]", "[0,8]") + "}", "too large");
    check_refused("{" + tensor("a", "U8", "[18446744073709551615]", "[0,8]") + "}", "too large");
    check_refused("{" + tensor("a", "F4", "[15]", "[0,8]") + "}", "no whole number of bytes");
    check_refused("{" + tensor("a", "F17", "[8]", "[0,8]") + "}", "unknown dtype \"F17\"");
    CHECK(read(with_length("{" + tensor("a", "F4", "[16]", "[0,8]") + "}") + "12345678")
              .tensors[0]
              .elements == 16);
}

TEST_CASE("the 8-bit floats of other vendors are dtypes to skip, not damage", "[tools]") {
    for (const char* dtype : {"F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
        INFO(dtype);
        const std::string text = safetensors_text({WrittenTensor{"a", dtype, {8}, "12345678"}});
        CHECK_FALSE(read(text).tensors.front().element.has_value());
    }
}

TEST_CASE("a byte of the header changed at random never gets past the checks unseen", "[tools]") {
    const std::string whole = safetensors_text(
        {{"a", "F16", {4}, std::string(8, 'x')}, {"b", "I32", {2}, std::string(8, 'y')}},
        {{"format", "pt"}});
    rc::prop("refused, or consistent with the file's size", [&whole] {
        std::string text = whole;
        const std::size_t at = *rc::gen::inRange<std::size_t>(0, text.size() - 16);
        text[at] = *rc::gen::arbitrary<char>();
        try {
            const auto file = read(text);
            std::uint64_t end = file.data_offset;
            for (const auto& each : file.tensors) {
                RC_ASSERT(each.offset == end);
                end += each.size_bytes;
            }
            RC_ASSERT(end == text.size());
        } catch (const InputError&) {
            RC_SUCCEED("refused");
        }
    });
}

TEST_CASE("what is neither format is told so; a missing file and a folder are bad input",
          "[tools]") {
    CHECK_THROWS_WITH(read("PK\x03\x04 a zip archive", "model.bin"),
                      Contains("neither a safetensors nor an npy file"));
    CHECK_THROWS_WITH(read("short", "model.bin"), Contains("neither"));
    CHECK(read(with_length("{}"), "model.bin").format == "safetensors");
    const TemporaryDirectory folder;
    CHECK_THROWS_WITH(tools::InputFile(folder.path() / "none"),
                      Contains("No such file or directory"));
    CHECK_THROWS_WITH(tools::InputFile(folder.path()), Contains("not a regular file"));
}

}  // namespace
}  // namespace opforge::test
