#include "canonical_json.hpp"

#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace opforge::cache {
namespace {

constexpr std::size_t kMaxExcerpt = 64;

// A hostile text as it may stand in a message: escaped to ASCII (no terminal control sequences),
// and short. Cut as JSON text, so that no character is halved before it is escaped.
std::string excerpt(const std::string& text) {
    std::string escaped = Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
    if (escaped.size() > kMaxExcerpt) {
        escaped.resize(kMaxExcerpt);
        escaped += "...";
    }
    return escaped;
}

// Sees each event before any value is stored. nlohmann's parser does not recurse, so depth costs no
// stack here.
class Inspector final : public nlohmann::json_sax<Json> {
public:
    explicit Inspector(int max_depth) : max_depth_(max_depth) {}

    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

    bool null() override { return true; }
    bool boolean(bool /*value*/) override { return true; }
    bool number_integer(number_integer_t /*value*/) override { return true; }
    bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
    bool number_float(number_float_t /*value*/, const string_t& text) override {
        return fail(fmt::format("{} is not an integer of 64 bits", excerpt(text)));
    }
    bool string(string_t& /*value*/) override { return true; }
    bool binary(binary_t& /*value*/) override { return fail("binary value"); }
    bool start_object(std::size_t /*elements*/) override {
        keys_.emplace_back();
        return descend();
    }
    bool key(string_t& name) override {
        return keys_.back().insert(name).second ||
               fail(fmt::format("key {} appears twice", excerpt(name)));
    }
    bool end_object() override {
        keys_.pop_back();
        --depth_;
        return true;
    }
    bool start_array(std::size_t /*elements*/) override { return descend(); }
    bool end_array() override {
        --depth_;
        return true;
    }
    bool parse_error(std::size_t position, const std::string& /*token*/,
                     const nlohmann::detail::exception& /*error*/) override {
        return fail(fmt::format("not JSON at byte {}", position));
    }

private:
    bool descend() {
        ++depth_;
        return depth_ <= max_depth_ || fail(fmt::format("nested deeper than {}", max_depth_));
    }
    bool fail(std::string fault) {
        fault_ = std::move(fault);
        return false;
    }

    int max_depth_;
    int depth_ = 0;
    std::vector<std::set<std::string>> keys_;
    std::string fault_;
};

bool is_plain(char c) {
    return c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
}

// A warm start writes its entry's manifest four times over, for its digests: nlohmann's own writer,
// which looks at every byte as possible UTF-8, took a third of the time of a verified read.
void append_text(std::string& to, const std::string& text) {
    if (std::all_of(text.begin(), text.end(), is_plain)) {
        to += '"';
        to += text;
        to += '"';
    } else {
        to += Json(text).dump(-1, ' ', false, Json::error_handler_t::strict);
    }
}

void append(std::string& to, const Json& value, std::string_view left_out = {}) {
    if (value.is_object()) {
        to += '{';
        bool first = true;
        for (const auto& [name, member] : value.get_ref<const Json::object_t&>()) {
            if (!left_out.empty() && name == left_out) {
                continue;
            }
            if (!first) {
                to += ',';
            }
            first = false;
            append_text(to, name);
            to += ':';
            append(to, member);
        }
        to += '}';
    } else if (value.is_array()) {
        to += '[';
        bool first = true;
        for (const Json& element : value.get_ref<const Json::array_t&>()) {
            if (!first) {
                to += ',';
            }
            first = false;
            append(to, element);
        }
        to += ']';
    } else if (value.is_string()) {
        append_text(to, value.get_ref<const std::string&>());
    } else {
        to += value.dump();  // a number, true, false or null
    }
}

std::vector<std::string> sorted(std::vector<std::string> texts) {
    std::sort(texts.begin(), texts.end());
    return texts;
}

void insert_unique(Json& object, const std::string& name, std::string value, const char* what) {
    if (!object.emplace(name, std::move(value)).second) {
        throw InvalidArgument(fmt::format(
            "identify program: {} '{}' is given twice; pass each name once", what, name));
    }
}

}  // namespace

std::string dump_canonical(const Json& value, std::string_view subject, std::string_view left_out) {
    try {
        std::string text;
        append(text, value, left_out);
        return text;
    } catch (const Json::type_error&) {
        throw InvalidArgument(
            fmt::format("encode {}: a text in it is not valid UTF-8; convert it first", subject));
    }
}

std::string json_fault(std::string_view text, int max_depth) {
    Inspector inspector(max_depth);
    Json::sax_parse(text.begin(), text.end(), &inspector);
    return inspector.fault();
}

Json inputs_json(const Request& request) {
    Json headers = Json::object();
    for (const HeaderDigest& header : request.headers) {
        insert_unique(headers, header.name, header.digest.hex(), "header");
    }
    Json defines = Json::object();
    for (const auto& [name, value] : request.defines) {
        insert_unique(defines, name, value, "define");
    }
    // Member by member: an initializer list would copy every one.
    Json inputs = Json::object();
    inputs["artifact_kind"] = request.artifact_kind;
    inputs["defines"] = std::move(defines);
    inputs["headers"] = std::move(headers);
    inputs["kernels"] = sorted(request.kernels);
    inputs["op"] = request.op;
    inputs["options"] = sorted(request.options);
    inputs["program"] = request.program;
    inputs["schema"] = kSchema;
    inputs["source"] = request.source.hex();
    inputs["target"] = request.target;
    return inputs;
}

Json toolchain_json(const Toolchain& toolchain) {
    return {{"fingerprint", toolchain.fingerprint},
            {"major", toolchain.major},
            {"minor", toolchain.minor},
            {"name", toolchain.name}};
}

}  // namespace opforge::cache
