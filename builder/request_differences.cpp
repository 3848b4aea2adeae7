// A request and an entry's manifest, field by field.
#include <opforge/builder/explain.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace opforge::builder {
namespace {

using Fields = std::map<std::string, std::string>;

void compare(std::vector<FieldDifference>& into, const std::string& prefix, const Fields& asked,
             const Fields& found) {
    Fields names = asked;
    names.insert(found.begin(), found.end());
    for (const auto& [name, ignored] : names) {
        const auto one = asked.find(name);
        const auto other = found.find(name);
        FieldDifference difference;
        difference.field = prefix + name;
        if (one != asked.end()) {
            difference.asked = one->second;
        }
        if (other != found.end()) {
            difference.found = other->second;
        }
        if (difference.asked != difference.found) {
            into.push_back(std::move(difference));
        }
    }
}

void compare(std::vector<FieldDifference>& into, const std::string& field, const std::string& asked,
             const std::string& found) {
    if (asked != found) {
        into.push_back({field, asked, found});
    }
}

Fields headers_of(const cache::Request& request) {
    Fields fields;
    for (const cache::HeaderDigest& header : request.headers) {
        fields[header.name] = header.digest.hex();
    }
    return fields;
}

// "--fmad=false" -> "--fmad", "false"
Fields options_of(const cache::Request& request) {
    Fields fields;
    for (const std::string& option : request.options) {
        const std::size_t equals = std::min(option.find('='), option.size());
        std::string& value = fields[option.substr(0, equals)];
        value += value.empty() ? "" : " ";
        value += option.substr(std::min(equals + 1, option.size()));
    }
    return fields;
}

std::string kernels_of(const cache::Request& request) {
    return fmt::format("{}", fmt::join(cache::canonical(request).kernels, ", "));
}

std::string name_of(const cache::Toolchain& toolchain) {
    return fmt::format("{} {}.{}", toolchain.name, toolchain.major, toolchain.minor);
}

void compare_toolchains(std::vector<FieldDifference>& into, const cache::Toolchain& asked,
                        const cache::Toolchain& found) {
    compare(into, "toolchain", name_of(asked), name_of(found));
    if (name_of(asked) == name_of(found)) {
        compare(into, "toolchain fingerprint", asked.fingerprint, found.fingerprint);
    }
}

bool is_digest(const FieldDifference& difference) {
    return difference.field == "source" || difference.field.starts_with("header ") ||
           difference.field == "toolchain fingerprint";
}

}  // namespace

std::vector<FieldDifference> differences(const cache::Request& asked,
                                         const std::optional<cache::Toolchain>& toolchain,
                                         const cache::Manifest& manifest) {
    const cache::Request& found = manifest.request;
    std::vector<FieldDifference> result;
    compare(result, "op", asked.op, found.op);
    compare(result, "program", asked.program, found.program);
    compare(result, "source", asked.source.hex(), found.source.hex());
    compare(result, "header ", headers_of(asked), headers_of(found));
    compare(result, "option ", options_of(asked), options_of(found));
    compare(result, "define ", Fields(asked.defines.begin(), asked.defines.end()),
            Fields(found.defines.begin(), found.defines.end()));
    compare(result, "kernels", kernels_of(asked), kernels_of(found));
    compare(result, "target", asked.target, found.target);
    compare(result, "artifact_kind", asked.artifact_kind, found.artifact_kind);
    if (toolchain) {
        compare_toolchains(result, *toolchain, manifest.toolchain);
    }
    return result;
}

std::string FieldDifference::text() const {
    if (field == "integrity") {
        return fmt::format("the entry is not sound: {}", found.value_or(""));
    }
    if (field == "layer") {
        return fmt::format("the layer is passed over: {}", found.value_or(""));
    }
    if (field == "driver") {
        return fmt::format("the entry needs driver {}, this one is {}", found.value_or("?"),
                           asked.value_or("?"));
    }
    if (!asked || !found) {
        const bool nothing_there = field == "program" || field == "op";
        return nothing_there
                   ? fmt::format("no entry of {} {}", field, asked.value_or(""))
                   : fmt::format("{} {}", field, asked ? "is new" : "is no longer asked for");
    }
    if (is_digest(*this)) {
        return field + " changed";
    }
    // Toolchains begin with their name, which is then said once: "nvrtc 12.9 -> 13.0".
    const std::size_t blank = asked->find(' ');
    if (field == "toolchain" && blank != std::string::npos &&
        found->starts_with(asked->substr(0, blank + 1))) {
        return fmt::format("{} → {}", *found, asked->substr(blank + 1));
    }
    return field == "toolchain" ? fmt::format("{} → {}", *found, *asked)
                                : fmt::format("{} {} → {}", field, *found, *asked);
}

}  // namespace opforge::builder
