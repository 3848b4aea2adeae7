#include "support/temporary_directory.hpp"
#include "tensor_file_writers.hpp"

#include <file_errors.hpp>
#include <npy.hpp>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rapidcheck/catch.h>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using tools::InputError;

tools::TensorIndex read(const std::string& text, const std::string& name = "weights.npy") {
    const TemporaryDirectory folder;
    write_file(folder.path() / name, text);
    return tools::read_tensor_index(tools::InputFile(folder.path() / name));
}

std::string dictionary(std::string_view descr, std::string_view order, std::string_view shape) {
    return fmt::format("{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}", descr, order, shape);
}

TEST_CASE("an npy file of each version reads back as written", "[tools]") {
    rc::prop("dtype, shape and place", [] {
        const int version = *rc::gen::inRange(1, 4);
        const bool half = *rc::gen::arbitrary<bool>();
        const auto shape = *rc::gen::container<std::vector<std::uint64_t>>(
            *rc::gen::inRange(0, 5), rc::gen::inRange<std::uint64_t>(0, 6));
        std::uint64_t count = 1;
        for (const std::uint64_t dimension : shape) {
            count *= dimension;
        }
        const std::string data(count * (half ? 2 : 4), 'x');
        const std::string spelt = shape.size() == 1 ? fmt::format("({},)", shape[0])
                                                    : fmt::format("({})", fmt::join(shape, ", "));
        const std::string text =
            npy_text(dictionary(half ? "'<f2'" : "'<f4'", "False", spelt), data, version);
        const auto file = read(text);
        RC_ASSERT(file.format == "npy");
        RC_ASSERT(file.tensors.size() == 1U);
        RC_ASSERT(file.data_offset % 64 == 0U);
        RC_ASSERT(file.tensors[0].name == "weights");
        RC_ASSERT(file.tensors[0].element ==
                  (half ? runtime::Dtype::float16 : runtime::Dtype::float32));
        RC_ASSERT(file.tensors[0].shape == shape);
        RC_ASSERT(file.tensors[0].offset + data.size() == text.size());
    });
}

TEST_CASE("numpy's first bytes decide, whatever the file is called", "[tools]") {
    const std::string text = npy_text(dictionary("'<f4'", "False", "(1,)"), "1234");
    CHECK(read(text, "weights.bin").format == "npy");
    CHECK_THROWS_WITH(read("not numpy at all"), Contains("weights.npy") && Contains("NUMPY"));
}

TEST_CASE("headers as other writers spell them are read", "[tools]") {
    const std::string data = "12345678";
    CHECK(read(npy_text("{\"shape\":(2L,),\"descr\":\"<f4\",\"fortran_order\":False}", data))
              .tensors[0]
              .elements == 2);
    CHECK(read(npy_text("{ 'descr' : '<f2' , 'fortran_order':False, 'shape': ( 2 ,2 ) }", data))
              .tensors[0]
              .elements == 4);
}

TEST_CASE("an npy file cut short at any length is refused", "[tools]") {
    const std::string whole = npy_text(dictionary("'<f2'", "False", "(4,)"), "12345678");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        INFO(length);
        CHECK_THROWS_AS(read(whole.substr(0, length)), InputError);
    }
    CHECK_THROWS_WITH(read(whole + "!"), Contains("too long"));
}

TEST_CASE("a dtype, an order or a version that opforge does not take is named", "[tools]") {
    const auto refusal = [](std::string_view descr, std::string_view order = "False") {
        return npy_text(dictionary(descr, order, "(2,)"), "12345678");
    };
    CHECK_THROWS_WITH(read(refusal("'<f8'")), Contains("'<f8'"));
    CHECK_THROWS_WITH(read(refusal("'>f4'")), Contains("'>f4' is big-endian"));
    CHECK_THROWS_WITH(read(refusal("'|u1'")), Contains("'|u1'"));
    CHECK_THROWS_WITH(read(refusal("'bfloat16'")), Contains("bfloat16 fits in safetensors"));
    CHECK_THROWS_WITH(read(refusal("[('a', '<f4')]")), Contains("structured dtype"));
    CHECK_THROWS_WITH(read(refusal("'<f4'", "True")), Contains("Fortran order"));
    std::string version = refusal("'<f4'");
    version[6] = '\x04';
    CHECK_THROWS_WITH(read(version), Contains("npy version 4.0"));
}

TEST_CASE("a header that is not numpy's dictionary is refused", "[tools]") {
    const auto refused = [](std::string_view header, std::string_view because) {
        INFO(header.substr(0, 100));
        CHECK_THROWS_WITH(read(npy_text(header, "12345678")),
                          Contains("npy header, byte") && Contains(std::string(because)));
    };
    refused("", "'{' is due");
    refused("{}", "'descr' is missing");
    refused("{'descr': '<f4', 'shape': (2,)}", "'fortran_order' is missing");
    refused("{'descr': '<f4', 'fortran_order': False}", "'shape' is missing");
    refused("{'descr': '<f4', 'descr': '<f4'}", "occurs twice");
    refused("{'evil': '<f4'}", "unknown key 'evil'");
    refused("{'descr': <f4}", "a quoted text is due");
    refused("{'descr': '<f4}", "closing quote");
    refused("{'descr': '\\x3cf4'}", "an escape");
    refused("{'fortran_order': 0}", "True or False is due");
    refused("{'shape': [2]}", "'(' is due");
    refused("{'shape': (-2,)}", "no number");
    refused("{'shape': (18446744073709551616,)}", "no number");
    refused("{'shape': ((((((2,), )", "no number");
    refused(dictionary("'<f4'", "False", "(2,)") + " __import__('os')", "text follows");
    CHECK_THROWS_WITH(
        read(npy_text(dictionary("'<f4'", "False", "(4294967296, 4294967296)"), "12345678")),
        Contains("too large"));
    CHECK_THROWS_WITH(read(npy_text(std::string(70000, ' '), "", 2)), Contains("at most 65536"));
}

TEST_CASE("a byte of an npy header changed at random never gets past the checks unseen",
          "[tools]") {
    const std::string whole = npy_text(dictionary("'<f2'", "False", "(2, 2)"), "12345678");
    rc::prop("refused, or consistent with the file's size", [&whole] {
        std::string text = whole;
        const std::size_t at = *rc::gen::inRange<std::size_t>(0, text.size() - 8);
        text[at] = *rc::gen::arbitrary<char>();
        try {
            const auto file = read(text);
            RC_ASSERT(file.tensors.at(0).offset + file.tensors.at(0).size_bytes == text.size());
        } catch (const InputError&) {
            RC_SUCCEED("refused");
        }
    });
}

}  // namespace
}  // namespace opforge::test
