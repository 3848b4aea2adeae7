// What is measured: one cell for each op, dtype, width, type, rounding, group size and tensor size.
#pragma once

#include <opforge/driver/cuda_types.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace opforge::bench {

/// Of every swizzle: pipelined once, over so many nodes of so many devices.
inline constexpr int kSwizzleNodes = 2;
inline constexpr int kSwizzleDevices = 8;

/// Device memory that all cells share, large enough for any of them.
struct CellMemory {
    void* input = nullptr;    // values, in any dtype's bits
    void* output = nullptr;   // values or codes
    void* error = nullptr;    // LoCo's
    void* codes = nullptr;    // of a dequantizer or a reduction
    void* params = nullptr;   // records read
    void* records = nullptr;  // records written
    void* peer = nullptr;     // values that a peer quantizes in place, as large as any input
};

struct Cell {
    std::string op;
    std::string dtype;
    int bits = 8;
    std::string type;  // "symmetric", "asymmetric"
    bool stochastic = false;
    std::int64_t group_size = 0;
    std::int64_t elements = 0;
    std::int64_t devices = 1;
    double bytes = 0;  // read and written, by the op's definition
    std::function<void(const CellMemory&, driver::StreamHandle)> run;

    /// "ds_quantizer fp16 8 symmetric nearest group 128 of 67108864"
    [[nodiscard]] std::string name() const;
};

/// What a figure is about: the cell's name and each of its fields.
[[nodiscard]] nlohmann::json describe(const Cell& cell);

/// @param thorough every combination, else the ones that tell the most
[[nodiscard]] std::vector<Cell> all_cells(bool thorough);

/// ds_quantizer on tensors of 4 Ki to 1 Mi values in groups of at most 16 Ki: what a launch costs
/// beyond its bytes.
[[nodiscard]] std::vector<Cell> replay_cells();

/// Those that DeepSpeed and torch.compile are measured in too, 64 Mi values each.
[[nodiscard]] std::vector<Cell> baseline_cells();

}  // namespace opforge::bench
