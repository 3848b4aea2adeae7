// The arithmetic of shapes and counts behind op_outputs.hpp, in the name of the op that asks. Each
// throws InvalidArgument with the op's name, the values found and what to do.
#pragma once

#include <opforge/runtime/op_outputs.hpp>

#include <cstdint>

namespace opforge::runtime {

void check_bits(const char* op, int num_bits, bool two_as_well);
void check_type(const char* op, QuantizationType type);
void check_positive(const char* op, const char* what, std::int64_t value);
void check_whole_bytes(const char* op, std::int64_t group_size, int num_bits);
/// count / by, which must be whole.
[[nodiscard]] std::int64_t divided(const char* op, std::int64_t count, const char* of_what,
                                   std::int64_t by, const char* by_what);
/// Elements a group; the groups must divide them and fill whole bytes.
std::int64_t group_size_of(const char* op, std::int64_t elements, std::int64_t groups,
                           int num_bits);
/// Numbers in the records of so many groups.
[[nodiscard]] std::int64_t numbers_of_records(const char* op, std::int64_t groups,
                                              QuantizationType type);
/// How many codes a tensor of bytes holds.
[[nodiscard]] std::int64_t elements_of_codes(const char* op, const Shape& codes, int num_bits);
/// nodes * devices_per_node * pipeline_size
[[nodiscard]] std::int64_t partitions_of(const char* op, std::int64_t pipeline_size,
                                         std::int64_t nodes, std::int64_t devices_per_node);

[[nodiscard]] QuantizedSpec quantized_spec(const char* op, const Shape& input, std::int64_t groups,
                                           int num_bits, QuantizationType type);
[[nodiscard]] OutputSpec dequantized_spec(const char* op, const Shape& codes, std::int64_t groups,
                                          int num_bits, Dtype dtype);
[[nodiscard]] OutputSpec experimental_spec(const char* op, std::int64_t num_group,
                                           std::int64_t group_size, int num_bits);
[[nodiscard]] QuantizedSpec swizzled_spec(const char* op, const Shape& input, std::int64_t groups,
                                          int num_bits, QuantizationType type,
                                          std::int64_t pipeline_size, std::int64_t nodes,
                                          std::int64_t devices_per_node);
[[nodiscard]] QuantizedSpec reduced_spec(const char* op, const Shape& codes, std::int64_t in_groups,
                                         std::int64_t out_groups, int num_bits,
                                         QuantizationType type, std::int64_t devices_per_node);

}  // namespace opforge::runtime
