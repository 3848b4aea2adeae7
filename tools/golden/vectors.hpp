// A directory of vectors: recorded cases of an op with their inputs and the outputs that they must
// give. Reading checks every count and offset, since such files come from elsewhere. Any thread;
// the tensors read are views that keep their file's bytes alive.
//   reference.json    {"source": text, "cases": [{"op": ..., <attributes>, "inputs": {...},
//   "expected": {...}}]}
//                     a tensor is {"offset", "bytes", "dtype", "shape"}
//   reference.bin.gz  the tensors, little-endian, each at a 16-byte aligned offset; or
//   reference.bin, not compressed
#pragma once

#include <opforge/base/bytes.hpp>
#include <opforge/base/error.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::golden {

/// A vector file that is missing, unreadable, or not what the format says; the text names the file
/// and the place in it.
class VectorError : public Error {
public:
    using Error::Error;
    VectorError(const VectorError&) = default;
    VectorError(VectorError&&) = default;
    VectorError& operator=(const VectorError&) = default;
    VectorError& operator=(VectorError&&) = default;
    ~VectorError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

/// Bytes of one element of a dtype by numpy's name, or of "bfloat16"; nullopt for a name that
/// vectors don't use.
[[nodiscard]] std::optional<std::size_t> dtype_bytes(std::string_view dtype) noexcept;

/// A name from a file, fit for a terminal: control characters escaped.
[[nodiscard]] std::string printable(const std::string& text);

class Tensor {
public:
    Tensor() = default;
    /// Takes the bytes. @throws VectorError where they are not the shape's
    Tensor(std::string dtype, std::vector<std::int64_t> shape, Bytes bytes);
    /// A view into `storage`, which it keeps alive. @throws VectorError as above, or outside the
    /// storage
    Tensor(std::string dtype, std::vector<std::int64_t> shape, std::shared_ptr<const Bytes> storage,
           std::uint64_t offset, std::uint64_t size_bytes);
    [[nodiscard]] const std::string& dtype() const noexcept { return dtype_; }
    [[nodiscard]] const std::vector<std::int64_t>& shape() const noexcept { return shape_; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

private:
    std::string dtype_;
    std::vector<std::int64_t> shape_;
    std::shared_ptr<const Bytes> storage_;
    std::span<const std::byte> bytes_;
};

using Tensors = std::map<std::string, Tensor>;

struct Case {
    std::size_t index = 0;
    std::string op;
    nlohmann::json attributes;  // every member but "op" and the tensors
    Tensors inputs;
    Tensors expected;
    Tensors outputs;  // what the file's own maker got; for information
};

struct Vectors {
    std::string source;
    std::vector<Case> cases;
};

/// @throws VectorError
[[nodiscard]] Vectors read_vectors(const std::filesystem::path& directory);

/// Writes reference.json, with `outputs` as the only tensors, and reference.bin. The directory is
/// made where it is missing; each file appears whole or not at all. @throws WriteError
class WriteError : public Error {
public:
    using Error::Error;
    WriteError(const WriteError&) = default;
    WriteError(WriteError&&) = default;
    WriteError& operator=(const WriteError&) = default;
    WriteError& operator=(WriteError&&) = default;
    ~WriteError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};
void write_vectors(const std::filesystem::path& directory, const Vectors& vectors);

// Attributes of a case, checked. @throws VectorError naming the case and the attribute
[[nodiscard]] const Tensor& input(const Case& of, const std::string& name);
[[nodiscard]] std::int64_t integer(const Case& of, const std::string& name);
[[nodiscard]] std::uint64_t unsigned_integer(const Case& of, const std::string& name);
/// Absent is false.
[[nodiscard]] bool flag(const Case& of, const std::string& name);
[[nodiscard]] double number(const Case& of, const std::string& name);
[[nodiscard]] std::string text(const Case& of, const std::string& name);
/// The attribute, which must fit an int.
[[nodiscard]] int small_integer(const Case& of, const std::string& name);

}  // namespace opforge::golden
