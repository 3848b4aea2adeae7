// Fake quantization with DeepSpeed's names, arguments and defaults: quantizes and at once
// dequantizes each group. Any thread. Device work is queued on the caller's stream and not waited
// for; host tensors are done when it returns. The first call for a dtype and a set of flags on a
// device may compile (see warm_up.hpp). Source: contract sections 1.1, 3 and 9.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/cuda_types.hpp>
#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>
#include <optional>

namespace opforge::runtime {

struct CallOptions {
    /// Device tensors only. Null: the default stream of the current context, or of the device's
    /// primary context where the current one is another device's.
    driver::StreamHandle stream = nullptr;
    /// Where the result goes; unset: in place. Same dtype, element count and device; either the
    /// input's own memory or memory that does not overlap it.
    std::optional<TensorView> output;
    /// Stochastic rounding only; unset: the process-wide generator.
    std::optional<RandomState> random;
    /// Stochastic rounding on a device only: the device address of a RandomState that the kernel
    /// reads when it runs, so that the replays of a captured graph need not repeat their noise.
    /// Wins over `random`; 0: none.
    driver::DevicePointer device_random = 0;
    /// Host tensors only: at most this many threads; 0: as many as the machine has.
    int threads = 0;
};

inline constexpr int kMinBits = 2;
inline constexpr int kMaxBits = 16;

/// @param input   float16, bfloat16 or float32, any shape; changed in place unless options.output
/// is set
/// @param groups  how many equal runs of consecutive elements share one range; must divide the
/// element count
/// @param bit_num 2 to 16
/// @param sr      stochastic rounding
/// @param asym    asymmetric range (minimum and maximum), else symmetric (largest magnitude)
/// @return the tensor that holds the result. A group with a NaN or an infinity comes out all NaN.
/// Empty input: a no-op.
/// @throws UnsupportedDtype, InvalidArgument before anything is launched or written; NoDevice,
/// DriverError,
///         CompileError, ToolchainNotFound, OfflineMiss where a first use fails
OPFORGE_API TensorView ds_quantizer(const TensorView& input, std::int64_t groups = 1,
                                    int bit_num = 8, bool sr = false, bool asym = false,
                                    const CallOptions& options = {});

// The extension's eight functions: as ds_quantizer with the flags of the name, and only the dtype
// of the name.
// @throws UnsupportedDtype for any other
OPFORGE_API TensorView ds_quantize_fp16(const TensorView& vals, std::int64_t groups, int bits,
                                        const CallOptions& options = {});
OPFORGE_API TensorView ds_quantize_fp32(const TensorView& vals, std::int64_t groups, int bits,
                                        const CallOptions& options = {});
OPFORGE_API TensorView ds_sr_quantize_fp16(const TensorView& vals, std::int64_t groups, int bits,
                                           const CallOptions& options = {});
OPFORGE_API TensorView ds_sr_quantize_fp32(const TensorView& vals, std::int64_t groups, int bits,
                                           const CallOptions& options = {});
OPFORGE_API TensorView ds_quantize_asym_fp16(const TensorView& vals, std::int64_t groups, int bits,
                                             const CallOptions& options = {});
OPFORGE_API TensorView ds_quantize_asym_fp32(const TensorView& vals, std::int64_t groups, int bits,
                                             const CallOptions& options = {});
OPFORGE_API TensorView ds_sr_quantize_asym_fp16(const TensorView& vals, std::int64_t groups,
                                                int bits, const CallOptions& options = {});
OPFORGE_API TensorView ds_sr_quantize_asym_fp32(const TensorView& vals, std::int64_t groups,
                                                int bits, const CallOptions& options = {});

}  // namespace opforge::runtime
