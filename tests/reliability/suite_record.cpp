#include "suite_record.hpp"

#include <nlohmann/json.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

namespace opforge::test {
namespace {

constexpr std::size_t kViolationsKept = 10;

const char* to_string(Form form) {
    return form == Form::brief ? "short" : "long";
}

}  // namespace

std::uint64_t reliability_seed() {
    const char* const text = std::getenv("RELIABILITY_SEED");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

SuiteRecord::SuiteRecord(int number, std::string suite, std::string part, std::string visited,
                         Form form)
    : number_(number), suite_(std::move(suite)), part_(std::move(part)),
      visited_name_(std::move(visited)), form_(form), seed_(reliability_seed()) {}

void SuiteRecord::visit(std::uint64_t more) {
    const std::lock_guard lock(mutex_);
    visited_ += more;
}

void SuiteRecord::count(const std::string& what, std::uint64_t more) {
    const std::lock_guard lock(mutex_);
    const auto place = std::find_if(counts_.begin(), counts_.end(),
                                    [&](const auto& one) { return one.first == what; });
    if (place == counts_.end()) {
        counts_.emplace_back(what, more);
    } else {
        place->second += more;
    }
}

void SuiteRecord::note(const std::string& what, const std::string& text) {
    const std::lock_guard lock(mutex_);
    notes_.emplace_back(what, text);
}

void SuiteRecord::violation(const std::string& text) {
    const std::lock_guard lock(mutex_);
    ++violations_;
    if (first_violations_.size() < kViolationsKept) {
        first_violations_.push_back(text);
    }
}

void SuiteRecord::check() const {
    std::string list;
    for (const std::string& text : first_violations_) {
        list += "\n  " + text;
    }
    INFO(violations_ << " violations; the first of them:" << list);
    CHECK(violations_ == 0);
    CHECK(visited_ > 0);
}

SuiteRecord::~SuiteRecord() {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    nlohmann::ordered_json record = {{"number", number_},
                                     {"suite", suite_},
                                     {"part", part_},
                                     {"form", to_string(form_)},
                                     {"seed", seed_},
                                     {"seconds", seconds},
                                     {"visited", visited_},
                                     {"visited_name", visited_name_},
                                     {"violations", violations_}};
    std::ostringstream line;
    line << "suite " << number_ << " (" << suite_ << (part_.empty() ? "" : ", ") << part_ << ", "
         << to_string(form_) << " form): " << visited_ << ' ' << visited_name_;
    auto counts = nlohmann::ordered_json::object();
    for (const auto& [what, number] : counts_) {
        line << ", " << number << ' ' << what;
        counts[what] = number;
    }
    auto notes = nlohmann::ordered_json::object();
    for (const auto& [what, text] : notes_) {
        line << ", " << what << ' ' << text;
        notes[what] = text;
    }
    record["counts"] = counts;
    record["notes"] = notes;
    line.precision(3);
    line << ", " << violations_ << " violations, seed " << seed_ << ", " << seconds << " s\n";
    std::cout << line.str();
    // A suite that cannot leave its record has still run.
    const std::filesystem::path folder = OPFORGE_RELIABILITY_RECORDS;
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    std::string name =
        std::to_string(number_) + '-' + suite_ + '-' + part_ + '-' + to_string(form_);
    std::replace(name.begin(), name.end(), ' ', '_');
    std::ofstream(folder / (name + ".json")) << record.dump(2) << '\n';
}

}  // namespace opforge::test
