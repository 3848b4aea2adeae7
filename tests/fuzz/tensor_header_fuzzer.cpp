// Headers of safetensors and npy files come from anywhere. What is taken lies inside the file: the
// tensors follow each other without a hole, and each has the bytes that its shape takes.
#include "fuzz.hpp"

#include <npy.hpp>
#include <safetensors.hpp>

#include <vector>

namespace {

using opforge::tools::TensorEntry;
using opforge::tools::TensorIndex;

const std::vector<std::string>& seeds() {
    static const std::vector<std::string> all = {
        R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
        R"("b":{"dtype":"F16","shape":[],"data_offsets":[16,18]},)"
        R"("c":{"dtype":"F4","shape":[3,4],"data_offsets":[18,24]}})",
        R"({"z":{"dtype":"BF16","shape":[0,7],"data_offsets":[0,0]}})",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (), }\n",
        "{'descr': [('a', '>i4')], 'fortran_order': True, 'shape': (3L,), }\n"};
    return all;
}

void check_safetensors(std::string_view header, std::uint64_t data_bytes) {
    opforge::fuzz::taken([&] {
        const TensorIndex index =
            opforge::tools::parse_safetensors_header("fuzz", header, data_bytes);
        std::uint64_t next = index.data_offset;
        for (const TensorEntry& tensor : index.tensors) {
            opforge::fuzz::require(tensor.offset == next, "tensors leave no hole");
            next += tensor.size_bytes;
        }
        opforge::fuzz::require(next == index.data_offset + data_bytes, "tensors fill the file");
    });
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned random) {
    return opforge::fuzz::mutate_from_seeds(seeds(), data, size, max_size, random);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view header = opforge::fuzz::as_text(data, size);
    for (const std::uint64_t data_bytes : {0U, 24U, 1U << 20U}) {
        check_safetensors(header, data_bytes);
    }
    opforge::fuzz::taken([&] {
        const TensorEntry tensor = opforge::tools::parse_npy_header("fuzz.npy", header);
        const std::uint64_t each = tensor.element == opforge::runtime::Dtype::float16 ? 2 : 4;
        opforge::fuzz::require(tensor.size_bytes / each == tensor.elements &&
                                   tensor.size_bytes % each == 0,
                               "a tensor has the bytes of its elements");
    });
    return 0;
}
