#include "canonical_json.hpp"

#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
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

// nlohmann's own writer looks at every byte as possible UTF-8, which took a third of the time of a
// verified read.
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

// Walks a value and its text side by side.
class Matcher {
public:
    Matcher(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

    [[nodiscard]] bool matches(const Json& value, std::string_view member, MemberPlace& place) {
        return walk(value, 1, member, &place) && at_ == text_.size();
    }

private:
    [[nodiscard]] bool skip(std::string_view expected) {
        if (text_.substr(at_, expected.size()) != expected) {
            return false;
        }
        at_ += expected.size();
        return true;
    }
    [[nodiscard]] bool skip_text(const std::string& text) {
        if (std::all_of(text.begin(), text.end(), is_plain)) {
            return skip("\"") && skip(text) && skip("\"");
        }
        return skip(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    [[nodiscard]] bool walk(const Json& value, int depth, std::string_view member,
                            MemberPlace* place) {
        if (value.is_object()) {
            return depth <= max_depth_ && walk_object(value, depth, member, place);
        }
        if (value.is_array()) {
            return depth <= max_depth_ && walk_array(value, depth);
        }
        if (value.is_string()) {
            return skip_text(value.get_ref<const std::string&>());
        }
        return !value.is_number_float() && skip(value.dump());
    }
    [[nodiscard]] bool walk_object(const Json& value, int depth, std::string_view member,
                                   MemberPlace* place) {
        bool first = true;
        for (const auto& [name, child] : value.get_ref<const Json::object_t&>()) {
            const std::size_t begin = at_;
            if (!skip(first ? "{" : ",") || !skip_text(name) || !skip(":") ||
                !walk(child, depth + 1, {}, nullptr)) {
                return false;
            }
            if (place != nullptr && name == member) {
                // The first member has no comma before it, but one behind it.
                const bool followed = text_.substr(at_, 1) == ",";
                *place = first ? MemberPlace{begin + 1, at_ + (followed ? 1 : 0)}
                               : MemberPlace{begin, at_};
            }
            first = false;
        }
        return (!first || skip("{")) && skip("}");
    }
    [[nodiscard]] bool walk_array(const Json& value, int depth) {
        bool first = true;
        for (const Json& element : value.get_ref<const Json::array_t&>()) {
            if (!skip(first ? "[" : ",") || !walk(element, depth + 1, {}, nullptr)) {
                return false;
            }
            first = false;
        }
        return (!first || skip("[")) && skip("]");
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int max_depth_;
};

// Of sorted elements, the order made without copying one: `less` compares two of them, `write`
// appends one.
template <typename Element, typename Less, typename Write>
void append_sorted(std::string& to, const std::vector<Element>& elements, Less less, Write write) {
    std::vector<const Element*> order;
    order.reserve(elements.size());
    for (const Element& element : elements) {
        order.push_back(&element);
    }
    std::sort(order.begin(), order.end(),
              [&](const Element* a, const Element* b) { return less(*a, *b); });
    const Element* before = nullptr;
    for (const Element* element : order) {
        to += before == nullptr ? "" : ",";
        write(*element, before);
        before = element;
    }
}

void append_list(std::string& to, const std::vector<std::string>& texts) {
    to += '[';
    append_sorted(to, texts, std::less<>(),
                  [&](const std::string& text, const std::string*) { append_text(to, text); });
    to += ']';
}

// An object whose members are named by `name_of` and whose values `write` appends.
template <typename Element, typename NameOf, typename Write>
void append_members(std::string& to, const std::vector<Element>& elements, const char* what,
                    NameOf name_of, Write write) {
    to += '{';
    append_sorted(
        to, elements, [&](const Element& a, const Element& b) { return name_of(a) < name_of(b); },
        [&](const Element& element, const Element* before) {
            const std::string& name = name_of(element);
            if (before != nullptr && name_of(*before) == name) {
                throw InvalidArgument(fmt::format(
                    "identify program: {} '{}' is given twice; pass each name once", what, name));
            }
            append_text(to, name);
            to += ':';
            write(element);
        });
    to += '}';
}

std::string write_inputs(const Request& request) {
    std::string text;
    text.reserve(4096);
    const auto begin_member = [&text](const char* name) {
        text += text.empty() ? "{\"" : ",\"";
        text += name;
        text += "\":";
    };
    begin_member("artifact_kind");
    append_text(text, request.artifact_kind);
    begin_member("defines");
    append_members(
        text, request.defines, "define",
        [](const auto& define) -> const std::string& { return define.first; },
        [&](const auto& define) { append_text(text, define.second); });
    begin_member("headers");
    append_members(
        text, request.headers, "header",
        [](const HeaderDigest& header) -> const std::string& { return header.name; },
        [&](const HeaderDigest& header) { append_text(text, header.digest.hex()); });
    begin_member("kernels");
    append_list(text, request.kernels);
    begin_member("op");
    append_text(text, request.op);
    begin_member("options");
    append_list(text, request.options);
    begin_member("program");
    append_text(text, request.program);
    begin_member("schema");
    text += fmt::format("{}", kSchema);
    begin_member("source");
    append_text(text, request.source.hex());
    begin_member("target");
    append_text(text, request.target);
    return text + '}';
}

std::string write_toolchain(const Toolchain& toolchain) {
    std::string text = R"({"fingerprint":)";
    append_text(text, toolchain.fingerprint);
    text += fmt::format(R"(,"major":{},"minor":{},"name":)", toolchain.major, toolchain.minor);
    append_text(text, toolchain.name);
    return text + '}';
}

InvalidArgument not_utf8(std::string_view subject) {
    InvalidArgument error(
        fmt::format("encode {}: a text in it is not valid UTF-8; convert it first", subject));
    return error;
}

}  // namespace

std::string dump_canonical(const Json& value, std::string_view subject, std::string_view left_out) {
    try {
        std::string text;
        append(text, value, left_out);
        return text;
    } catch (const Json::type_error&) {
        throw not_utf8(subject);
    }
}

bool is_canonical(const Json& value, std::string_view text, int max_depth, std::string_view member,
                  MemberPlace& place) {
    return Matcher(text, max_depth).matches(value, member, place);
}

std::string json_fault(std::string_view text, int max_depth) {
    Inspector inspector(max_depth);
    Json::sax_parse(text.begin(), text.end(), &inspector);
    return inspector.fault();
}

std::string inputs_text(const Request& request) {
    try {
        return write_inputs(request);
    } catch (const Json::type_error&) {
        throw not_utf8("the request");
    }
}

std::string toolchain_text(const Toolchain& toolchain) {
    try {
        return write_toolchain(toolchain);
    } catch (const Json::type_error&) {
        throw not_utf8("the toolchain");
    }
}

CanonicalIdentity canonical_identity(const Request& request, const Toolchain& toolchain) {
    return {inputs_text(request), toolchain_text(toolchain)};
}

Digest full_digest(const CanonicalIdentity& identity) {
    // "toolchain" sorts behind every name of the inputs.
    const std::string_view open(identity.inputs.data(), identity.inputs.size() - 1);
    return sha256(fmt::format(R"({},"toolchain":{}}})", open, identity.toolchain));
}

}  // namespace opforge::cache
