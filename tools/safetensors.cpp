#include "safetensors.hpp"

#include "file_errors.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>

namespace opforge::tools {
namespace {

using runtime::Dtype;

struct DtypeRow {
    std::string_view name;
    std::uint64_t bits;
    std::optional<Dtype> element;
};

constexpr std::array<DtypeRow, 23> kDtypes = {{
    {"F16", 16, Dtype::float16},      {"BF16", 16, Dtype::bfloat16},
    {"F32", 32, Dtype::float32},      {"F64", 64, Dtype::float64},
    {"I8", 8, Dtype::int8},           {"U8", 8, Dtype::uint8},
    {"I16", 16, Dtype::int16},        {"I32", 32, Dtype::int32},
    {"I64", 64, Dtype::int64},        {"BOOL", 8, Dtype::boolean},
    {"U16", 16, std::nullopt},        {"U32", 32, std::nullopt},
    {"U64", 64, std::nullopt},        {"C64", 64, std::nullopt},
    {"F8_E4M3", 8, std::nullopt},     {"F8_E5M2", 8, std::nullopt},
    {"F8_E8M0", 8, std::nullopt},     {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},     {"F4", 4, std::nullopt},
    {"F4_E2M1", 4, std::nullopt},     {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt},
}};

const DtypeRow* find_dtype(std::string_view name) {
    const auto* row = std::find_if(kDtypes.begin(), kDtypes.end(),
                                   [name](const DtypeRow& each) { return each.name == name; });
    return row == kDtypes.end() ? nullptr : row;
}

// Takes the header's events one by one, with no document in between: a hostile header costs no more
// memory than its own text, and nothing is ever nested deeper than the format allows.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
public:
    HeaderReader(const std::filesystem::path& path, std::uint64_t data_bytes)
        : path_(path), data_bytes_(data_bytes) {}

    TensorIndex take() { return std::move(index_); }

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("a boolean"); }
    bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
    bool number_float(number_float_t, const string_t&) override {
        return unexpected("a fraction or a number past 2^64");
    }
    bool binary(binary_t&) override { return unexpected("binary data"); }

    bool number_unsigned(number_unsigned_t value) override {
        if (place_ == Place::shape) {
            tensor_.shape.push_back(value);
        } else if (place_ == Place::offsets) {
            offsets_.push_back(value);
        } else {
            return unexpected("a number");
        }
        return true;
    }

    bool string(string_t& value) override {
        if (place_ == Place::metadata) {
            index_.metadata.emplace_back(key_, std::move(value));
        } else if (place_ == Place::tensor && key_ == "dtype") {
            tensor_.dtype = std::move(value);
        } else {
            return unexpected("a text");
        }
        return true;
    }

    bool start_object(std::size_t) override {
        switch (place_) {
        case Place::outside:
            place_ = Place::top;
            return true;
        case Place::top:
            place_ = key_ == "__metadata__" ? Place::metadata : Place::tensor;
            inner_keys_.clear();
            tensor_ = TensorEntry{};
            tensor_.name = key_;
            offsets_.clear();
            return true;
        default:
            return unexpected("an object");
        }
    }

    bool key(string_t& value) override {
        auto& keys = place_ == Place::top ? names_ : inner_keys_;
        if (!keys.insert(value).second) {
            fail(fmt::format("the key \"{}\" occurs twice{}", value, where()));
        }
        if (place_ == Place::tensor && value != "dtype" && value != "shape" &&
            value != "data_offsets") {
            fail(fmt::format("unknown field \"{}\"{}", value, where()));
        }
        key_ = std::move(value);
        return true;
    }

    bool end_object() override {
        if (place_ == Place::tensor) {
            add_tensor();
        }
        place_ = place_ == Place::top ? Place::outside : Place::top;
        return true;
    }

    bool start_array(std::size_t) override {
        if (place_ == Place::tensor && key_ == "shape") {
            place_ = Place::shape;
        } else if (place_ == Place::tensor && key_ == "data_offsets") {
            place_ = Place::offsets;
        } else {
            return unexpected("a list");
        }
        return true;
    }

    bool end_array() override {
        place_ = Place::tensor;
        return true;
    }

    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::json::exception& error) override {
        // nlohmann's text begins with its own exception id, which says nothing to a user.
        const std::string_view text = error.what();
        const std::size_t bracket = text.find("] ");
        fail(fmt::format("the header is not valid JSON (byte {}): {}", position,
                         bracket == std::string_view::npos ? text : text.substr(bracket + 2)));
    }

private:
    enum class Place { outside, top, metadata, tensor, shape, offsets };

    [[noreturn]] void fail(const std::string& cause) const { throw InputError(path_, cause); }

    [[nodiscard]] std::string where() const {
        switch (place_) {
        case Place::outside:
        case Place::top:
            return {};
        case Place::metadata:
            return " in __metadata__";
        default:
            return fmt::format(" in tensor \"{}\"", tensor_.name);
        }
    }

    [[noreturn]] bool unexpected(const char* what) const {
        if (place_ == Place::outside) {
            fail(fmt::format("the header is {}, not an object", what));
        }
        fail(fmt::format("{} where the format has none, after key \"{}\"{}", what, key_, where()));
    }

    void add_tensor() {
        for (const char* field : {"dtype", "shape", "data_offsets"}) {
            if (!inner_keys_.contains(field)) {
                fail(fmt::format("tensor \"{}\" has no {}", tensor_.name, field));
            }
        }
        const DtypeRow* dtype = find_dtype(tensor_.dtype);
        if (dtype == nullptr) {
            fail(fmt::format("tensor \"{}\" has the unknown dtype \"{}\"", tensor_.name,
                             tensor_.dtype));
        }
        tensor_.element = dtype->element;
        if (offsets_.size() != 2 || offsets_[0] > offsets_[1]) {
            fail(fmt::format("tensor \"{}\": data_offsets must be [begin, end] with begin <= end",
                             tensor_.name));
        }
        if (offsets_[1] > data_bytes_) {
            fail(fmt::format("tensor \"{}\" ends at data byte {}, past the end of the file, which "
                             "has {}: the file is truncated or its header lies",
                             tensor_.name, offsets_[1], data_bytes_));
        }
        tensor_.offset = offsets_[0];
        tensor_.size_bytes = offsets_[1] - offsets_[0];
        const auto extent = tensor_extent(tensor_.shape, dtype->bits);
        if (!extent) {
            fail(fmt::format("tensor \"{}\": the shape {} of {} is too large, or fills no whole "
                             "number of bytes",
                             tensor_.name, format_shape(tensor_.shape), tensor_.dtype));
        }
        if (extent->size_bytes != tensor_.size_bytes) {
            fail(fmt::format("tensor \"{}\": {} of shape {} takes {} bytes, data_offsets give {}",
                             tensor_.name, tensor_.dtype, format_shape(tensor_.shape),
                             extent->size_bytes, tensor_.size_bytes));
        }
        tensor_.elements = extent->elements;
        index_.tensors.push_back(std::move(tensor_));
    }

    const std::filesystem::path& path_;
    std::uint64_t data_bytes_;
    TensorIndex index_;
    Place place_ = Place::outside;
    std::string key_;
    std::unordered_set<std::string> names_;       // of tensors, and __metadata__
    std::unordered_set<std::string> inner_keys_;  // of the object being read
    TensorEntry tensor_;
    std::vector<std::uint64_t> offsets_;
};

// The header's keys may be in any order; the bytes decide.
void order_and_check(const std::filesystem::path& path, std::vector<TensorEntry>& tensors,
                     std::uint64_t data_bytes) {
    std::stable_sort(tensors.begin(), tensors.end(),
                     [](const TensorEntry& left, const TensorEntry& right) {
                         return std::pair(left.offset, left.offset + left.size_bytes) <
                                std::pair(right.offset, right.offset + right.size_bytes);
                     });
    std::uint64_t expected = 0;
    for (const TensorEntry& tensor : tensors) {
        if (tensor.offset != expected) {
            throw InputError(path, fmt::format("tensor \"{}\" begins at data byte {} where byte {} "
                                               "is due: its bytes {}",
                                               tensor.name, tensor.offset, expected,
                                               tensor.offset < expected ? "overlap another tensor's"
                                                                        : "leave a hole"));
        }
        expected = tensor.offset + tensor.size_bytes;
    }
    if (expected != data_bytes) {
        throw InputError(
            path, fmt::format("{} bytes at the end belong to no tensor", data_bytes - expected));
    }
}

}  // namespace

TensorIndex parse_safetensors_header(const std::filesystem::path& path, std::string_view header,
                                     std::uint64_t data_bytes) {
    // Checked here, because the JSON reader would skip a byte order mark and would take a zero byte
    // for the end.
    if (header.empty() || header.front() != '{') {
        throw InputError(path, "the header does not begin with '{': the file is not safetensors");
    }
    if (header.find('\0') != std::string_view::npos) {
        throw InputError(path, "the header holds a zero byte");
    }
    HeaderReader reader(path, data_bytes);
    nlohmann::json::sax_parse(header.begin(), header.end(), &reader);
    TensorIndex index = reader.take();
    index.format = "safetensors";
    index.data_offset = sizeof(std::uint64_t) + header.size();
    order_and_check(path, index.tensors, data_bytes);
    for (TensorEntry& tensor : index.tensors) {
        tensor.offset += index.data_offset;
    }
    return index;
}

TensorIndex read_safetensors_index(const InputFile& file) {
    std::array<std::byte, sizeof(std::uint64_t)> prefix{};
    if (file.size_bytes() < prefix.size()) {
        throw InputError(file.path(), fmt::format("{} bytes are too few for a safetensors file: "
                                                  "it is truncated or something else",
                                                  file.size_bytes()));
    }
    file.read(0, prefix);
    std::uint64_t length = 0;
    for (std::size_t i = prefix.size(); i-- > 0;) {
        length = length << 8U | std::to_integer<std::uint64_t>(prefix.at(i));
    }
    if (length > kMaxSafetensorsHeaderBytes) {
        throw InputError(file.path(),
                         fmt::format("a header of {} bytes (at most {} are allowed): the file is "
                                     "damaged or not safetensors",
                                     length, kMaxSafetensorsHeaderBytes));
    }
    const std::uint64_t rest = file.size_bytes() - prefix.size();
    if (length > rest) {
        throw InputError(file.path(),
                         fmt::format("a header of {} bytes, and {} bytes follow: the file is "
                                     "truncated or not safetensors",
                                     length, rest));
    }
    std::string header(static_cast<std::size_t>(length), '\0');
    file.read(prefix.size(), std::as_writable_bytes(std::span(header)));
    return parse_safetensors_header(file.path(), header, rest - length);
}

}  // namespace opforge::tools
