#include "vectors.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <system_error>
#include <utility>

namespace opforge::golden {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Far above any real file, far below what would exhaust the machine.
constexpr std::size_t kMaxJsonBytes = std::size_t{256} << 20U;
constexpr std::size_t kMaxTensorBytes = std::size_t{1} << 30U;
constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kAlignment = 16;

constexpr std::array<std::pair<std::string_view, std::size_t>, 13> kDtypes{{
    {"float16", 2},
    {"bfloat16", 2},
    {"float32", 4},
    {"float64", 8},
    {"int8", 1},
    {"uint8", 1},
    {"int16", 2},
    {"uint16", 2},
    {"int32", 4},
    {"uint32", 4},
    {"int64", 8},
    {"uint64", 8},
    {"bool", 1},
}};

std::string reason_of(int error) {
    return std::generic_category().message(error);
}

std::string in_quotes(const std::string& text) {
    return '"' + printable(text) + '"';
}

std::string read_plain(const fs::path& path, std::size_t limit) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw VectorError(fmt::format("read {}: {}", path.string(), reason_of(errno)));
    }
    std::string text;
    std::array<char, 65536> block{};
    while (file.read(block.data(), block.size()), file.gcount() > 0) {
        text.append(block.data(), static_cast<std::size_t>(file.gcount()));
        if (text.size() > limit) {
            throw VectorError(
                fmt::format("read {}: more than {}", path.string(), format_size(limit)));
        }
    }
    if (file.bad()) {
        throw VectorError(fmt::format("read {}: {}", path.string(), reason_of(errno)));
    }
    return text;
}

struct CloseGz {
    void operator()(gzFile file) const noexcept { gzclose_r(file); }
};

Bytes read_packed(const fs::path& path) {
    const std::unique_ptr<gzFile_s, CloseGz> file(gzopen(path.c_str(), "rb"));
    if (file == nullptr) {
        throw VectorError(fmt::format("read {}: {}", path.string(), reason_of(errno)));
    }
    gzbuffer(file.get(), 1U << 18U);
    if (gzdirect(file.get()) != 0) {  // zlib would hand out anything else as it stands
        throw VectorError(fmt::format("read {}: not a gzip file", path.string()));
    }
    Bytes bytes;
    std::vector<std::byte> block(std::size_t{1} << 20U);
    for (;;) {
        const int count = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()));
        int error = Z_OK;
        const char* reason = gzerror(file.get(), &error);
        // A file that ends early is reported by gzerror alone; gzread gives what there was.
        if (count < 0 || (error != Z_OK && error != Z_STREAM_END)) {
            throw VectorError(
                fmt::format("read {}: {}", path.string(),
                            error == Z_ERRNO ? reason_of(errno) : std::string(reason)));
        }
        if (count == 0) {
            return bytes;
        }
        bytes.insert(bytes.end(), block.begin(), block.begin() + count);
        if (bytes.size() > kMaxTensorBytes) {
            throw VectorError(fmt::format("read {}: more than {} of tensors", path.string(),
                                          format_size(kMaxTensorBytes)));
        }
    }
}

Bytes read_tensors(const fs::path& plain, const fs::path& packed) {
    std::error_code ignored;
    if (!fs::exists(plain, ignored)) {
        return read_packed(packed);
    }
    if (fs::exists(packed, ignored)) {
        throw VectorError(fmt::format("read {}: {} lies beside it; remove the one that is stale",
                                      plain.string(), packed.filename().string()));
    }
    const std::string text = read_plain(plain, kMaxTensorBytes);
    const auto bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
}

json parse(const std::string& text, const fs::path& path) {
    // Deep nesting would overflow the stack when the document is copied or destroyed.
    const auto limit_depth = [](int depth, json::parse_event_t, json&) {
        if (depth > kMaxDepth) {
            throw VectorError(fmt::format("nested deeper than {} levels", kMaxDepth));
        }
        return true;
    };
    try {
        return json::parse(text, limit_depth);
    } catch (const json::exception& error) {
        throw VectorError(fmt::format("parse {}: {}", path.string(), error.what()));
    } catch (const VectorError& error) {
        throw VectorError(fmt::format("parse {}: {}", path.string(), error.what()));
    }
}

std::optional<std::uint64_t> as_unsigned(const json& value) {
    if (value.is_number_unsigned()) {
        return value.get<std::uint64_t>();
    }
    return std::nullopt;  // the parser gives every integer from 0 on as unsigned
}

std::uint64_t member(const json& tensor, const char* name) {
    const auto found = tensor.find(name);
    const auto value = found == tensor.end() ? std::nullopt : as_unsigned(*found);
    if (!value.has_value()) {
        throw VectorError(fmt::format("\"{}\" must be an integer from 0 on", name));
    }
    return *value;
}

Tensor parse_tensor(const json& tensor, const std::shared_ptr<const Bytes>& storage) {
    if (!tensor.is_object()) {
        throw VectorError("a tensor must be an object");
    }
    const auto dtype = tensor.find("dtype");
    if (dtype == tensor.end() || !dtype->is_string()) {
        throw VectorError("\"dtype\" must be a text");
    }
    const auto dimensions = tensor.find("shape");
    if (dimensions == tensor.end() || !dimensions->is_array()) {
        throw VectorError("\"shape\" must be a list of integers from 0 on");
    }
    std::vector<std::int64_t> shape;
    for (const json& dimension : *dimensions) {
        const auto value = as_unsigned(dimension);
        if (!value.has_value() ||
            *value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
            throw VectorError("\"shape\" must be a list of integers from 0 on");
        }
        shape.push_back(static_cast<std::int64_t>(*value));
    }
    const std::uint64_t offset = member(tensor, "offset");
    if (offset % kAlignment != 0) {
        throw VectorError(fmt::format("offset {} is not a multiple of {}", offset, kAlignment));
    }
    return {dtype->get<std::string>(), std::move(shape), storage, offset, member(tensor, "bytes")};
}

Tensors parse_tensors(const json& entry, const char* role,
                      const std::shared_ptr<const Bytes>& storage) {
    Tensors tensors;
    const auto found = entry.find(role);
    if (found == entry.end()) {
        return tensors;
    }
    if (!found->is_object()) {
        throw VectorError(fmt::format("\"{}\" must be an object", role));
    }
    for (const auto& item : found->items()) {
        try {
            tensors.emplace(item.key(), parse_tensor(item.value(), storage));
        } catch (const VectorError& error) {
            throw VectorError(fmt::format("{} {}: {}", role, in_quotes(item.key()), error.what()));
        }
    }
    return tensors;
}

Case parse_case(const json& entry, std::size_t index, const std::shared_ptr<const Bytes>& storage) {
    if (!entry.is_object()) {
        throw VectorError("a case must be an object");
    }
    const auto op = entry.find("op");
    if (op == entry.end() || !op->is_string()) {
        throw VectorError("\"op\" must be a text");
    }
    Case result;
    result.index = index;
    result.op = op->get<std::string>();
    result.attributes = json::object();
    for (const auto& item : entry.items()) {
        if (item.key() != "op" && item.key() != "inputs" && item.key() != "expected" &&
            item.key() != "outputs") {
            result.attributes[item.key()] = item.value();
        }
    }
    result.inputs = parse_tensors(entry, "inputs", storage);
    result.expected = parse_tensors(entry, "expected", storage);
    result.outputs = parse_tensors(entry, "outputs", storage);
    return result;
}

// The file under its name is always a whole one: a reader may look while it is being written.
void write_whole(const fs::path& path, std::span<const std::byte> bytes) {
    fs::path staged = path;
    staged += ".partial";
    {
        std::ofstream file(staged, std::ios::binary | std::ios::trunc);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
        file.close();
        if (!file) {
            const int error = errno;
            std::error_code ignored;
            fs::remove(staged, ignored);
            throw WriteError(fmt::format("write {}: {}", staged.string(), reason_of(error)));
        }
    }
    std::error_code error;
    fs::rename(staged, path, error);
    if (error) {
        throw WriteError(
            fmt::format("rename {} to {}: {}", staged.string(), path.string(), error.message()));
    }
}

}  // namespace

VectorError::~VectorError() = default;
std::string_view VectorError::kind() const noexcept {
    return "VectorError";
}
WriteError::~WriteError() = default;
std::string_view WriteError::kind() const noexcept {
    return "WriteError";
}

std::optional<std::size_t> dtype_bytes(std::string_view dtype) noexcept {
    for (const auto& [name, size] : kDtypes) {
        if (name == dtype) {
            return size;
        }
    }
    return std::nullopt;
}

std::string printable(const std::string& text) {
    const std::string escaped = json(text).dump(-1, ' ', true, json::error_handler_t::replace);
    return escaped.substr(1, escaped.size() - 2);
}

Tensor::Tensor(std::string dtype, std::vector<std::int64_t> shape, Bytes bytes) {
    const std::uint64_t size_bytes = bytes.size();
    *this = Tensor(std::move(dtype), std::move(shape),
                   std::make_shared<const Bytes>(std::move(bytes)), 0, size_bytes);
}

Tensor::Tensor(std::string dtype, std::vector<std::int64_t> shape,
               std::shared_ptr<const Bytes> storage, std::uint64_t offset, std::uint64_t size_bytes)
    : dtype_(std::move(dtype)), shape_(std::move(shape)), storage_(std::move(storage)) {
    const auto element = dtype_bytes(dtype_);
    if (!element.has_value()) {
        throw VectorError(fmt::format("unknown dtype {}", in_quotes(dtype_)));
    }
    if (shape_.size() > kMaxRank) {
        throw VectorError(
            fmt::format("{} dimensions; at most {} are supported", shape_.size(), kMaxRank));
    }
    if (offset > storage_->size() || size_bytes > storage_->size() - offset) {
        throw VectorError(
            fmt::format("{} bytes at offset {} end past the file's {} bytes of tensors", size_bytes,
                        offset, storage_->size()));
    }
    std::uint64_t needed = *element;
    for (const std::int64_t dimension : shape_) {
        if (dimension < 0 ||
            __builtin_mul_overflow(needed, static_cast<std::uint64_t>(dimension), &needed)) {
            throw VectorError(fmt::format("shape [{}] is not a tensor's", fmt::join(shape_, ", ")));
        }
    }
    if (needed != size_bytes) {
        throw VectorError(fmt::format("{} of shape [{}] takes {} bytes, the tensor has {}", dtype_,
                                      fmt::join(shape_, ", "), needed, size_bytes));
    }
    bytes_ = std::span(*storage_).subspan(static_cast<std::size_t>(offset),
                                          static_cast<std::size_t>(size_bytes));
}

Vectors read_vectors(const fs::path& directory) {
    const fs::path index = directory / "reference.json";
    const json document = parse(read_plain(index, kMaxJsonBytes), index);
    if (!document.is_object() || !document.contains("cases") || !document["cases"].is_array()) {
        throw VectorError(fmt::format("read {}: no list \"cases\"", index.string()));
    }
    if (document["cases"].empty()) {
        throw VectorError(
            fmt::format("read {}: \"cases\" is empty: nothing to check", index.string()));
    }
    const auto storage = std::make_shared<const Bytes>(
        read_tensors(directory / "reference.bin", directory / "reference.bin.gz"));
    Vectors vectors;
    if (document.contains("source") && document["source"].is_string()) {
        vectors.source = document["source"].get<std::string>();
    }
    for (const json& entry : document["cases"]) {
        const std::size_t number = vectors.cases.size();
        try {
            vectors.cases.push_back(parse_case(entry, number, storage));
        } catch (const VectorError& error) {
            throw VectorError(
                fmt::format("read {}: case {}: {}", index.string(), number, error.what()));
        }
    }
    return vectors;
}

void write_vectors(const fs::path& directory, const Vectors& vectors) {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) {
        throw WriteError(
            fmt::format("make the directory {}: {}", directory.string(), error.message()));
    }
    const fs::path packed = directory / "reference.bin.gz";
    if (fs::exists(packed, error)) {
        throw WriteError(fmt::format("write vectors to {}: {} is already there and would "
                                     "contradict them; choose another directory",
                                     directory.string(), packed.filename().string()));
    }
    Bytes tensors;
    json cases = json::array();
    for (const Case& one : vectors.cases) {
        json entry = one.attributes;
        entry["op"] = one.op;
        entry["outputs"] = json::object();
        for (const auto& [name, tensor] : one.outputs) {
            tensors.resize((tensors.size() + kAlignment - 1) / kAlignment * kAlignment);
            entry["outputs"][name] = {{"offset", tensors.size()},
                                      {"bytes", tensor.bytes().size()},
                                      {"dtype", tensor.dtype()},
                                      {"shape", tensor.shape()}};
            tensors.insert(tensors.end(), tensor.bytes().begin(), tensor.bytes().end());
        }
        cases.push_back(std::move(entry));
    }
    const json document = {{"source", vectors.source}, {"cases", std::move(cases)}};
    // The tensors first: a reader that finds the index finds what it points to.
    write_whole(directory / "reference.bin", tensors);
    write_whole(directory / "reference.json", as_bytes(document.dump() + "\n"));
}

namespace {

[[noreturn]] void complain(const Case& of, std::string_view what) {
    throw VectorError(fmt::format("case {} ({}): {}", of.index, in_quotes(of.op), what));
}

}  // namespace

const Tensor& input(const Case& of, const std::string& name) {
    const auto found = of.inputs.find(name);
    if (found == of.inputs.end()) {
        complain(of, fmt::format("no input \"{}\"", name));
    }
    return found->second;
}

std::int64_t integer(const Case& of, const std::string& name) {
    const auto found = of.attributes.find(name);
    if (found == of.attributes.end() || !found->is_number_integer() ||
        (found->is_number_unsigned() &&
         found->get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})) {
        complain(of, fmt::format("\"{}\" must be an integer", name));
    }
    return found->get<std::int64_t>();
}

std::uint64_t unsigned_integer(const Case& of, const std::string& name) {
    const auto found = of.attributes.find(name);
    const auto value = found == of.attributes.end() ? std::nullopt : as_unsigned(*found);
    if (!value.has_value()) {
        complain(of, fmt::format("\"{}\" must be an integer from 0 to 2^64 - 1", name));
    }
    return *value;
}

bool flag(const Case& of, const std::string& name) {
    const auto found = of.attributes.find(name);
    if (found == of.attributes.end()) {
        return false;
    }
    if (!found->is_boolean()) {
        complain(of, fmt::format("\"{}\" must be true or false", name));
    }
    return found->get<bool>();
}

double number(const Case& of, const std::string& name) {
    const auto found = of.attributes.find(name);
    if (found == of.attributes.end() || !found->is_number()) {
        complain(of, fmt::format("\"{}\" must be a number", name));
    }
    return found->get<double>();
}

std::string text(const Case& of, const std::string& name) {
    const auto found = of.attributes.find(name);
    if (found == of.attributes.end() || !found->is_string()) {
        complain(of, fmt::format("\"{}\" must be text", name));
    }
    return found->get<std::string>();
}

int small_integer(const Case& of, const std::string& name) {
    const std::int64_t value = integer(of, name);
    if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) {
        complain(of, fmt::format("\"{}\" {} does not fit an int", name, value));
    }
    return static_cast<int>(value);
}

}  // namespace opforge::golden
