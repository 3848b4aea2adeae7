#include "include_scan.hpp"

#include <optional>

namespace opforge::builder {
namespace {

std::size_t skip_blanks(std::string_view text, std::size_t at) {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) {
        ++at;
    }
    return at;
}

std::optional<IncludeLine> parse_line(std::string_view line) {
    std::size_t at = skip_blanks(line, 0);
    if (at == line.size() || line[at] != '#') {
        return std::nullopt;
    }
    at = skip_blanks(line, at + 1);
    constexpr std::string_view kWord = "include";
    if (line.substr(at, kWord.size()) != kWord) {
        return std::nullopt;
    }
    at = skip_blanks(line, at + kWord.size());
    IncludeLine found;
    if (at == line.size() || (line[at] != '"' && line[at] != '<')) {
        return found;
    }
    found.quoted = line[at] == '"';
    const std::size_t end = line.find(found.quoted ? '"' : '>', at + 1);
    if (end != std::string_view::npos) {
        found.begin = at + 1;
        found.name = line.substr(at + 1, end - at - 1);
    }
    return found;
}

}  // namespace

std::vector<IncludeLine> scan_includes(std::string_view text) {
    std::vector<IncludeLine> includes;
    std::size_t number = 1;
    for (std::size_t begin = 0; begin < text.size(); ++number) {
        std::size_t end = text.find('\n', begin);
        end = end == std::string_view::npos ? text.size() : end;
        if (auto found = parse_line(text.substr(begin, end - begin))) {
            found->line = number;
            found->begin += begin;
            includes.push_back(*std::move(found));
        }
        begin = end + 1;
    }
    return includes;
}

}  // namespace opforge::builder
