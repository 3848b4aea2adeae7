// What is measured: one cell for each op, dtype, width, type, rounding, group size and tensor size.
#pragma once

#include <opforge/driver/cuda_types.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace opforge::bench {

/// Device memory that all cells share, large enough for any of them.
struct CellMemory {
    void* input = nullptr;    // values, in any dtype's bits
    void* output = nullptr;   // values or codes
    void* error = nullptr;    // LoCo's
    void* codes = nullptr;    // of a dequantizer or a reduction
    void* params = nullptr;   // records read
    void* records = nullptr;  // records written
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

/// @param thorough every combination, else the ones that tell the most
[[nodiscard]] std::vector<Cell> all_cells(bool thorough);

}  // namespace opforge::bench
