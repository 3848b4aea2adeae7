// What a suite counted: printed, and written as JSON for docs/reliability.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace opforge::test {

enum class Form { brief, full };  // for every change; for the night (label `stress`)

/// Any thread.
class SuiteRecord {
public:
    /// `visited` names what the suite goes through ("kill points"): the figure of the picture.
    SuiteRecord(int number, std::string suite, std::string part, std::string visited,
                Form form = Form::brief);
    SuiteRecord(const SuiteRecord&) = delete;
    SuiteRecord& operator=(const SuiteRecord&) = delete;
    /// Prints and writes.
    ~SuiteRecord();

    /// From RELIABILITY_SEED, else 1.
    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

    void visit(std::uint64_t more = 1);
    void count(const std::string& what, std::uint64_t more = 1);
    /// A text beside the counts ("p50 of the wait": "3 ms").
    void note(const std::string& what, const std::string& text);
    /// An invariant did not hold. The first few are kept word for word.
    void violation(const std::string& text);

    /// CHECKs that something was visited and that nothing was violated.
    void check() const;

private:
    int number_;
    std::string suite_;
    std::string part_;
    std::string visited_name_;
    Form form_;
    std::uint64_t seed_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    mutable std::mutex mutex_;
    std::uint64_t visited_ = 0;
    std::vector<std::pair<std::string, std::uint64_t>> counts_;
    std::vector<std::pair<std::string, std::string>> notes_;
    std::uint64_t violations_ = 0;
    std::vector<std::string> first_violations_;
};

/// RELIABILITY_SEED, else 1.
[[nodiscard]] std::uint64_t reliability_seed();

/// Under a sanitizer everything takes many times as long: suites divide their sizes by this.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t kSlowdown = 8;
#else
inline constexpr std::uint64_t kSlowdown = 1;
#endif
[[nodiscard]] constexpr std::uint64_t scaled(std::uint64_t size) {
    return size / kSlowdown > 0 ? size / kSlowdown : 1;
}

}  // namespace opforge::test
