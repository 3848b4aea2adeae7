#include "suggestion.hpp"

#include <algorithm>
#include <vector>

namespace opforge::tools {

std::size_t edit_distance(std::string_view from, std::string_view to) {
    // Optimal string alignment: rows of the usual table, three of them for the swaps.
    std::vector<std::size_t> before_last(to.size() + 1);
    std::vector<std::size_t> last(to.size() + 1);
    std::vector<std::size_t> row(to.size() + 1);
    for (std::size_t j = 0; j <= to.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 1; i <= from.size(); ++i) {
        std::swap(before_last, last);
        std::swap(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= to.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
    }
    return row[to.size()];
}

std::optional<std::string> nearest_word(std::string_view typed,
                                        std::span<const std::string> known) {
    std::optional<std::string> best;
    // A third of the letters may be wrong: "quantise" means quantize, "build" means nothing here.
    std::size_t best_distance = typed.size() / 3 + 2;
    for (const std::string& word : known) {
        const std::size_t distance = edit_distance(typed, word);
        const bool begins_so = typed.size() >= 2 && word.starts_with(typed);
        const std::size_t cost = begins_so ? 1 : distance;
        if (cost < best_distance) {
            best = word;
            best_distance = cost;
        }
    }
    return best;
}

}  // namespace opforge::tools
