#include "npy.hpp"

#include "file_errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace opforge::tools {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// Reads the one dictionary that numpy writes: {'descr': '<f2', 'fortran_order': False, 'shape': (3,
// 4), }
class HeaderParser {
public:
    HeaderParser(const std::filesystem::path& path, std::string_view text)
        : path_(path), text_(text) {}

    TensorEntry parse() {
        expect('{');
        while (!take('}')) {
            read_item();
            if (!take(',')) {
                expect('}');
                break;
            }
        }
        skip_space();
        if (position_ != text_.size()) {
            fail("text follows the dictionary");
        }
        for (const auto& [seen, name] :
             {std::pair(has_descr_, "descr"), std::pair(has_order_, "fortran_order"),
              std::pair(has_shape_, "shape")}) {
            if (!seen) {
                fail(fmt::format("the key '{}' is missing", name));
            }
        }
        return finish();
    }

private:
    [[noreturn]] void fail(const std::string& cause) const {
        throw InputError(path_, fmt::format("npy header, byte {}: {}", position_, cause));
    }

    void skip_space() {
        while (position_ < text_.size() &&
               std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos) {
            ++position_;
        }
    }

    bool take(char wanted) {
        skip_space();
        if (position_ < text_.size() && text_[position_] == wanted) {
            ++position_;
            return true;
        }
        return false;
    }

    void expect(char wanted) {
        if (!take(wanted)) {
            fail(fmt::format("'{}' is due here", wanted));
        }
    }

    std::string read_string() {
        skip_space();
        if (position_ >= text_.size() || (text_[position_] != '\'' && text_[position_] != '"')) {
            fail("a quoted text is due here");
        }
        const char quote = text_[position_++];
        const std::size_t end = text_.find(quote, position_);
        if (end == std::string_view::npos) {
            fail("a text without its closing quote");
        }
        const std::string_view body = text_.substr(position_, end - position_);
        if (body.find('\\') != std::string_view::npos) {
            fail("an escape in a text, which numpy does not write");
        }
        position_ = end + 1;
        return std::string(body);
    }

    std::uint64_t read_number() {
        skip_space();
        std::uint64_t value = 0;
        const char* begin = text_.data() + position_;
        const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
        if (error != std::errc{}) {
            fail("a dimension that is no number from 0 to 2^64 - 1");
        }
        position_ += static_cast<std::size_t>(end - begin);
        take('L');  // Python 2 wrote 3L
        return value;
    }

    bool read_boolean() {
        skip_space();
        for (const bool value : {false, true}) {
            const std::string_view word = value ? "True" : "False";
            if (text_.substr(position_).starts_with(word)) {
                position_ += word.size();
                return value;
            }
        }
        fail("True or False is due here");
    }

    void read_shape() {
        expect('(');
        while (!take(')')) {
            shape_.push_back(read_number());
            if (!take(',')) {
                expect(')');
                break;
            }
        }
    }

    void first(bool& seen, const std::string& key) const {
        if (seen) {
            fail(fmt::format("the key '{}' occurs twice", key));
        }
        seen = true;
    }

    void read_item() {
        const std::string key = read_string();
        expect(':');
        if (key == "descr") {
            first(has_descr_, key);
            skip_space();
            if (position_ < text_.size() && text_[position_] == '[') {
                fail("a structured dtype; opforge takes '<f2' and '<f4'");
            }
            descr_ = read_string();
        } else if (key == "fortran_order") {
            first(has_order_, key);
            fortran_order_ = read_boolean();
        } else if (key == "shape") {
            first(has_shape_, key);
            read_shape();
        } else {
            fail(fmt::format("unknown key '{}'", key));
        }
    }

    TensorEntry finish() const {
        TensorEntry tensor;
        tensor.name = path_.stem().string();
        tensor.dtype = descr_;
        tensor.shape = shape_;
        std::uint64_t bits = 0;
        if (descr_ == "<f2") {
            tensor.element = runtime::Dtype::float16;
            bits = 16;
        } else if (descr_ == "<f4") {
            tensor.element = runtime::Dtype::float32;
            bits = 32;
        } else if (descr_.starts_with('>')) {
            throw InputError(path_, fmt::format("dtype '{}' is big-endian; opforge takes '<f2' and "
                                                "'<f4': convert with array.astype('<f4')",
                                                descr_));
        } else {
            throw InputError(path_, fmt::format("dtype '{}' is none that opforge takes from an npy "
                                                "file ('<f2', '<f4'); bfloat16 fits in safetensors",
                                                descr_));
        }
        if (fortran_order_) {
            throw InputError(path_, "the array is in Fortran order, and groups are runs of "
                                    "consecutive elements in C order: save "
                                    "numpy.ascontiguousarray(array)");
        }
        const auto extent = tensor_extent(shape_, bits);
        if (!extent) {
            throw InputError(path_, fmt::format("the shape {} is too large", format_shape(shape_)));
        }
        tensor.elements = extent->elements;
        tensor.size_bytes = extent->size_bytes;
        return tensor;
    }

    const std::filesystem::path& path_;
    std::string_view text_;
    std::size_t position_ = 0;
    bool has_descr_ = false;
    bool has_order_ = false;
    bool has_shape_ = false;
    std::string descr_;
    bool fortran_order_ = false;
    std::vector<std::uint64_t> shape_;
};

}  // namespace

bool starts_like_npy(std::span<const std::byte> start) noexcept {
    const auto magic = std::as_bytes(std::span(kMagic));
    return start.size() >= magic.size() && std::equal(magic.begin(), magic.end(), start.begin());
}

TensorEntry parse_npy_header(const std::filesystem::path& path, std::string_view header) {
    return HeaderParser(path, header).parse();
}

TensorIndex read_npy_index(const InputFile& file) {
    // Magic, version, and a length of two bytes (1.0) or four (2.0, 3.0).
    std::array<std::byte, 12> start{};
    const auto have = std::min<std::uint64_t>(file.size_bytes(), start.size());
    file.read(0, std::span(start).first(static_cast<std::size_t>(have)));
    if (!starts_like_npy(std::span(start).first(static_cast<std::size_t>(have)))) {
        throw InputError(file.path(), "the first bytes are not npy's \"\\x93NUMPY\"");
    }
    const auto number = [&start](std::size_t at) {
        return std::to_integer<unsigned>(start.at(at));
    };
    const unsigned major = number(6);
    if (major < 1 || major > 3 || number(7) != 0) {
        throw InputError(file.path(), fmt::format("npy version {}.{}; opforge reads 1.0, 2.0, 3.0",
                                                  major, number(7)));
    }
    const std::uint64_t prefix = major == 1 ? 10 : 12;
    const std::uint64_t length =
        major == 1 ? number(8) | number(9) << 8U
                   : number(8) | number(9) << 8U | number(10) << 16U | number(11) << 24U;
    if (length > kMaxNpyHeaderBytes) {
        throw InputError(file.path(), fmt::format("an npy header of {} bytes (at most {} are read)",
                                                  length, kMaxNpyHeaderBytes));
    }
    if (file.size_bytes() < prefix + length) {
        throw InputError(file.path(),
                         fmt::format("truncated: the npy header needs {} bytes, the file has {}",
                                     prefix + length, file.size_bytes()));
    }
    std::string header(static_cast<std::size_t>(length), '\0');
    file.read(prefix, std::as_writable_bytes(std::span(header)));

    TensorIndex index;
    index.format = "npy";
    index.data_offset = prefix + length;
    TensorEntry tensor = parse_npy_header(file.path(), header);
    tensor.offset = index.data_offset;
    const std::uint64_t data_bytes = file.size_bytes() - index.data_offset;
    if (tensor.size_bytes != data_bytes) {
        throw InputError(file.path(),
                         fmt::format("{}: {} of shape {} takes {} bytes, the file has {}",
                                     data_bytes < tensor.size_bytes ? "truncated" : "too long",
                                     tensor.dtype, format_shape(tensor.shape), tensor.size_bytes,
                                     data_bytes));
    }
    index.tensors.push_back(std::move(tensor));
    return index;
}

}  // namespace opforge::tools
