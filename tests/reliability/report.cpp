// docs/reliability.md and docs/reliability.svg from what the suites, the mutation check and the
// coverage run left behind.
//
//   reliability_report RECORDS DOCS
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Record {
    int number = 0;
    std::string suite;
    std::string part;
    std::string form;
    std::uint64_t seed = 0;
    double seconds = 0;
    std::uint64_t visited = 0;
    std::string visited_name;
    std::uint64_t violations = 0;
    Json counts;
    Json notes;
};

Json read_json(const fs::path& path) {
    std::ifstream stream(path);
    return Json::parse(stream);
}

std::vector<Record> read_records(const fs::path& folder) {
    std::vector<Record> records;
    for (const auto& entry : fs::directory_iterator(folder)) {
        // "<number>-<suite>-..."; what is not a suite's has another name.
        const std::string name = entry.path().filename().string();
        if (entry.path().extension() != ".json" || name[0] < '0' || name[0] > '9') {
            continue;
        }
        const Json json = read_json(entry.path());
        Record record;
        record.number = json.at("number").get<int>();
        record.suite = json.at("suite").get<std::string>();
        record.part = json.at("part").get<std::string>();
        record.form = json.at("form").get<std::string>();
        record.seed = json.at("seed").get<std::uint64_t>();
        record.seconds = json.at("seconds").get<double>();
        record.visited = json.at("visited").get<std::uint64_t>();
        record.visited_name = json.at("visited_name").get<std::string>();
        record.violations = json.at("violations").get<std::uint64_t>();
        record.counts = json.at("counts");
        record.notes = json.at("notes");
        records.push_back(std::move(record));
    }
    std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) {
        return std::tie(a.number, a.suite, a.part, b.form) <
               std::tie(b.number, b.suite, b.part, a.form);
    });
    return records;
}

std::string grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3;) {
        at -= 3;
        text.insert(at, 1, ' ');
    }
    return text;
}

std::string title(const Record& record) {
    return record.suite + (record.part.empty() ? "" : ", " + record.part);
}

std::string details(const Record& record) {
    std::string text;
    const auto add = [&](const std::string& one) { text += (text.empty() ? "" : "; ") + one; };
    for (const auto& [name, count] : record.counts.items()) {
        add(grouped(count.get<std::uint64_t>()) + ' ' + name);
    }
    for (const auto& [name, note] : record.notes.items()) {
        add(name + ": " + note.get<std::string>());
    }
    return text;
}

// The widest form of each suite that was run.
std::vector<Record> widest(const std::vector<Record>& records) {
    std::vector<Record> bars;
    for (const Record& record : records) {
        const auto same = std::find_if(bars.begin(), bars.end(), [&](const Record& bar) {
            return bar.number == record.number && title(bar) == title(record);
        });
        if (same == bars.end()) {
            bars.push_back(record);
        } else if (record.visited > same->visited) {
            *same = record;
        }
    }
    return bars;
}

std::string picture(const std::vector<Record>& bars) {
    constexpr double kLeft = 270;
    constexpr double kWidth = 470;  // of the longest bar
    constexpr double kRow = 22;
    constexpr double kTop = 46;
    double most = 1;
    for (const Record& bar : bars) {
        most = std::max(most, std::ceil(std::log10(static_cast<double>(bar.visited) + 1)));
    }
    const double height = kTop + kRow * static_cast<double>(bars.size()) + 30;
    std::string svg = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {0:.0f}" width="960" height="{0:.0f}" font-family="sans-serif" font-size="12">
<rect width="960" height="{0:.0f}" fill="#ffffff"/>
<text x="12" y="22" font-size="15" font-weight="bold" fill="#1b1f24">States visited by each suite (logarithmic)</text>
)",
        height);
    for (double power = 0; power <= most; ++power) {
        const double x = kLeft + kWidth * power / most;
        svg += fmt::format(
            R"(<line x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}" stroke="#d8dee4"/>
<text x="{0:.1f}" y="{3:.1f}" text-anchor="middle" fill="#57606a">10<tspan dy="-4" font-size="9">{4:.0f}</tspan></text>
)",
            x, kTop - 8, height - 26, height - 10, power);
    }
    double y = kTop;
    for (const Record& bar : bars) {
        const double length =
            kWidth * std::log10(static_cast<double>(std::max<std::uint64_t>(bar.visited, 1))) /
            most;
        svg += fmt::format(
            R"(<text x="{0:.1f}" y="{1:.1f}" text-anchor="end" fill="#1b1f24">{2} · {3}</text>
<rect x="{4:.1f}" y="{5:.1f}" width="{6:.1f}" height="14" rx="2" fill="{7}"/>
<text x="{8:.1f}" y="{1:.1f}" fill="#1b1f24">{9} {10}</text>
)",
            kLeft - 8, y + 11, bar.number, title(bar), kLeft, y, std::max(length, 2.0),
            bar.violations == 0 ? "#2f81f7" : "#cf222e", kLeft + std::max(length, 2.0) + 6,
            grouped(bar.visited), bar.visited_name);
        y += kRow;
    }
    return svg + "</svg>\n";
}

std::string document(const fs::path& folder, const std::vector<Record>& records) {
    std::uint64_t visited = 0;
    std::uint64_t violations = 0;
    double seconds = 0;
    for (const Record& record : records) {
        visited += record.visited;
        violations += record.violations;
        seconds += record.seconds;
    }
    std::string text = fmt::format(
        R"(# Reliability of the cache

Made by a run of the suites: do not edit. `ctest --preset release -L reliability` (short forms), `ctest --preset stress`
(long forms), `tests/reliability/mutants/check.sh` and `.ci/coverage.sh` leave their counts in `build/release/reliability`;
`cmake --build --preset release --target reliability-report` writes this file and the picture from them. `RELIABILITY_SEED=N`
repeats a run.

**{} states visited, {} violations**, in {:.0f} s on {} processors.

![States visited by each suite](reliability.svg)

## What is checked after every fault

| | invariant |
|---|---|
| I1 | a manifest that can be seen has a complete, matching artifact |
| I2 | nothing unverified is served |
| I3 | the op returns right results or a typed error, and never hangs past its limit |
| I4 | the next run compiles at most once a key |
| I5 | no descriptor, thread, staging folder (after a sweep) or lock is left |
| I6 | nothing outside the root is touched |

## Threat model

Trusted: the user whom the process runs as, and root. Not trusted: other local users, the working directory, the environment of
a setuid process, a shared layer that nobody declared, and what the disk holds after a crash or a fault. Out of scope: an attacker
who already is the user; side channels; defects of the driver's loader, which therefore only ever sees bytes that matched a digest
computed in this process.

A power failure is modelled as POSIX has it: an fsync of a file makes its bytes durable, an fsync of a directory the names made,
removed and moved into it; of all else any part may be lost, zero, or cut at a sector. A rename is atomic.

## Suites

| # | suite | form | visited | violations | seed | time |
|---|---|---|---|---|---|---|
)",
        grouped(visited), violations, seconds, std::thread::hardware_concurrency());
    for (const Record& record : records) {
        text += fmt::format("| {} | {} | {} | {} {} | {} | {} | {:.1f} s |\n", record.number,
                            title(record), record.form, grouped(record.visited),
                            record.visited_name, record.violations, record.seed, record.seconds);
    }
    text += "\n## Counts\n\n";
    for (const Record& record : records) {
        if (const std::string more = details(record); !more.empty()) {
            text += fmt::format("- **{} {}**, {} form: {}.\n", record.number, title(record),
                                record.form, more);
        }
    }
    if (const fs::path mutants = folder / "mutants.json"; fs::exists(mutants)) {
        text +=
            "\n## Mutation check\n\nEach defect is put into a copy of the tree, which is built, "
            "and the suites have to go red.\n\n| mutant | what it breaks | caught by "
            "|\n|---|---|---|\n";
        for (const Json& mutant : read_json(mutants)) {
            const auto caught = mutant.at("caught_by").get<std::string>();
            text += fmt::format("| {} | {} | {} |\n", mutant.at("name").get<std::string>(),
                                mutant.at("about").get<std::string>(),
                                caught.empty() ? "**nothing**" : caught);
        }
    }
    if (const fs::path coverage = folder / "coverage.json"; fs::exists(coverage)) {
        const Json json = read_json(coverage);
        text += fmt::format(
            "\n## Coverage of `cache/`\n\n{:.1f} % of lines, {:.1f} % of branches (those "
            "of exceptions and those that cannot be reached left out), suites of faults "
            "included.\n\n"
            "| file | lines | branches |\n|---|---|---|\n",
            json.at("line_percent").get<double>(), json.at("branch_percent").get<double>());
        for (const Json& file : json.at("files")) {
            const auto branches = file.at("branch_total").get<int>();
            text += fmt::format(
                "| `{}` | {:.1f} % | {} |\n", file.at("filename").get<std::string>(),
                file.at("line_percent").get<double>(),
                branches == 0 ? std::string("none")
                              : fmt::format("{:.1f} %", file.at("branch_percent").get<double>()));
        }
    }
    return text;
}

void write(const fs::path& path, const std::string& text) {
    std::ofstream stream(path);
    if (!(stream << text).flush()) {
        throw std::runtime_error("cannot write " + path.string());
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: reliability_report RECORDS DOCS\n";
        return 2;
    }
    try {
        const fs::path folder = argv[1];
        const fs::path docs = argv[2];
        const std::vector<Record> records = read_records(folder);
        if (records.empty()) {
            std::cerr << "reliability_report: no records in " << folder
                      << "; run ctest --preset release -L reliability first\n";
            return 1;
        }
        write(docs / "reliability.md", document(folder, records));
        write(docs / "reliability.svg", picture(widest(records)));
    } catch (const std::exception& error) {
        std::cerr << "reliability_report: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
