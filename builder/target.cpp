#include "architectures.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/target.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace opforge::builder {
namespace {

constexpr std::string_view kForms = "write sm_90, sm_90a (architecture-specific, from 9.0), "
                                    "sm_100f (family, from 10.0), compute_90 (PTX), 90, 9.0, "
                                    "9.0a or 10.0f";
constexpr std::string_view kListForms =
    "; a list also takes 8.6+PTX, native, all-major, and names such as Ampere, Hopper or Blackwell";

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// "90", "100", "9.0", "12.1": the last digit is the minor version.
std::optional<std::pair<int, int>> parse_version(std::string_view text) {
    const std::size_t dot = text.find('.');
    std::string digits(text);
    if (dot != std::string_view::npos) {
        if (dot + 2 != text.size()) {
            return std::nullopt;
        }
        digits.erase(dot, 1);
    }
    if (digits.size() < 2 || digits.size() > 3 || digits.front() == '0' ||
        !std::all_of(digits.begin(), digits.end(), is_digit)) {
        return std::nullopt;
    }
    int number = 0;
    for (const char c : digits) {
        number = number * 10 + (c - '0');
    }
    return std::pair(number / 10, number % 10);
}

std::optional<Target> read_target(std::string_view text) {
    Target target;
    if (text.starts_with("sm_")) {
        text.remove_prefix(3);
    } else if (text.starts_with("compute_")) {
        text.remove_prefix(8);
        target.ptx = true;
    }
    if (text.ends_with('a')) {
        target.suffix = Target::Suffix::architecture;
    } else if (text.ends_with('f')) {
        target.suffix = Target::Suffix::family;
    }
    if (target.suffix != Target::Suffix::none) {
        text.remove_suffix(1);
    }
    const auto version = parse_version(text);
    if (!version) {
        return std::nullopt;
    }
    std::tie(target.major, target.minor) = *version;
    const bool too_old_for_suffix =
        (target.suffix == Target::Suffix::architecture && target.major < 9) ||
        (target.suffix == Target::Suffix::family && target.major < 10);
    return too_old_for_suffix ? std::nullopt : std::optional(target);
}

// As torch.utils.cpp_extension has them.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"Kepler+Tesla", "3.7"},     {"Kepler", "3.5+PTX"},
    {"Maxwell+Tegra", "5.3"},    {"Maxwell", "5.0;5.2+PTX"},
    {"Pascal", "6.0;6.1+PTX"},   {"Volta+Tegra", "7.2"},
    {"Volta", "7.0+PTX"},        {"Turing", "7.5+PTX"},
    {"Ampere+Tegra", "8.7"},     {"Ampere", "8.0;8.6+PTX"},
    {"Ada", "8.9+PTX"},          {"Hopper", "9.0+PTX"},
    {"Blackwell+Tegra", "11.0"}, {"Blackwell", "10.0;10.3;12.0;12.1+PTX"},
};

std::vector<std::string_view> split(std::string_view text) {
    constexpr std::string_view kSeparators = ",; \t\r\n\f\v";
    std::vector<std::string_view> entries;
    std::size_t begin = text.find_first_not_of(kSeparators);
    while (begin != std::string_view::npos) {
        const std::size_t end = std::min(text.find_first_of(kSeparators, begin), text.size());
        entries.push_back(text.substr(begin, end - begin));
        begin = text.find_first_not_of(kSeparators, end);
    }
    return entries;
}

void add_once(std::vector<Target>& targets, const Target& target) {
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
        targets.push_back(target);
    }
}

void add_all(std::vector<Target>& targets, const std::vector<Target>& more, std::string_view entry,
             std::string_view without) {
    if (more.empty()) {
        throw InvalidArgument(
            fmt::format("targets: `{}` stands for nothing here: {}", entry, without));
    }
    for (const Target& target : more) {
        add_once(targets, target);
    }
}

void add_entry(std::vector<Target>& targets, std::string_view entry) {
    constexpr std::string_view kPlusPtx = "+PTX";
    std::string_view plain = entry;
    const bool and_ptx = plain.ends_with(kPlusPtx);
    if (and_ptx) {
        plain.remove_suffix(kPlusPtx.size());
    }
    auto target = read_target(plain);
    if (!target || (and_ptx && target->ptx)) {
        throw InvalidArgument(
            fmt::format("targets: `{}` is not an architecture; {}{}", entry, kForms, kListForms));
    }
    add_once(targets, *target);
    if (and_ptx) {
        target->ptx = true;
        add_once(targets, *target);
    }
}

}  // namespace

std::string Target::name() const {
    constexpr std::string_view kSuffixes[] = {"", "f", "a"};
    return fmt::format("{}_{}{}{}", ptx ? "compute" : "sm", major, minor,
                       kSuffixes[static_cast<std::size_t>(suffix)]);
}

Target parse_target(std::string_view text) {
    if (const auto target = read_target(text)) {
        return *target;
    }
    throw InvalidArgument(fmt::format("target: `{}` is not an architecture; {}", text, kForms));
}

std::vector<Target> parse_targets(std::string_view text, const TargetListContext& context) {
    std::vector<Target> targets;
    for (const std::string_view entry : split(text)) {
        const auto* named = std::find_if(std::begin(kNames), std::end(kNames),
                                         [&](const auto& one) { return one.first == entry; });
        if (named != std::end(kNames)) {
            for (const std::string_view one : split(named->second)) {
                add_entry(targets, one);
            }
        } else if (entry == "native") {
            add_all(targets, context.native, entry,
                    "no CUDA device was found; name the targets instead");
        } else if (entry == "all-major") {
            add_all(targets, context.all_major, entry,
                    "no NVRTC was found that could say; name the targets instead");
        } else {
            add_entry(targets, entry);
        }
    }
    if (targets.empty()) {
        throw InvalidArgument(fmt::format("targets: the list `{}` names no architecture; {}{}",
                                          text, kForms, kListForms));
    }
    return targets;
}

}  // namespace opforge::builder
