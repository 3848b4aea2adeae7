// The tensors of one call: checked against what the op needs and against each other before anything
// is allocated, launched or written. Each check throws with the op's name, what was found and what
// to do.
#pragma once

#include <opforge/runtime/op_options.hpp>
#include <opforge/runtime/op_outputs.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

namespace opforge::runtime {

/// float16, bfloat16, float32. @throws UnsupportedDtype
void check_float(const char* op, const char* what, Dtype dtype);

/// Where a kernel is to read a RandomState: an address that is not aligned would fault there.
void check_device_random(const char* op, driver::DevicePointer address);

class Operands {
public:
    /// Where `takes_random` is false, options about random numbers are refused.
    Operands(const char* op, Device device, const OpOptions& options, bool takes_random = false);

    /// @param written changed by the call
    void add(const char* what, const TensorView& tensor, std::initializer_list<Dtype> dtypes,
             std::int64_t elements, bool written = false);
    /// Checks the caller's output, or that there is an allocator to ask.
    void add_output(const char* what, const std::optional<TensorView>& given,
                    const OutputSpec& spec, std::initializer_list<Dtype> dtypes);
    /// @throws InvalidArgument where a tensor that is written overlaps another
    void check_overlaps() const;

    /// The caller's output, or a new one. After all checks.
    /// @throws InvalidArgument where the allocator gives nothing, or memory of another tensor
    [[nodiscard]] TensorView output(const char* what, const std::optional<TensorView>& given,
                                    const OutputSpec& spec);

private:
    struct Operand {
        const char* what;
        TensorView tensor;
        bool written;
    };
    const char* op_;
    Device device_;
    const OpOptions* options_;
    std::vector<Operand> all_;
};

}  // namespace opforge::runtime
