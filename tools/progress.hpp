// How far a long command is, on standard error: a bar on a terminal, a line now and then in a log,
// nothing for short runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace opforge::tools {

/// "[=========>          ]  45%", `width` cells between the brackets. A total of 0 counts as done.
[[nodiscard]] std::string render_bar(std::uint64_t done, std::uint64_t total, std::size_t width);

/// Not for several threads at once.
class Progress {
public:
    using Clock = std::chrono::steady_clock;
    struct Timing {
        std::chrono::milliseconds delay;     // nothing is shown before
        std::chrono::milliseconds interval;  // nor more often than this
    };
    static constexpr Timing kTerminal{std::chrono::milliseconds(400),
                                      std::chrono::milliseconds(100)};
    static constexpr Timing kLog{std::chrono::seconds(10), std::chrono::seconds(10)};

    /// `terminal`: the bar is drawn over itself and wiped at the end.
    Progress(std::ostream& out, bool terminal, std::uint64_t total, Timing timing);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress();

    /// `doing` is made printable and cut to fit a line.
    void update(std::uint64_t done, std::string_view doing);

private:
    std::ostream& out_;
    bool terminal_;
    bool drawn_ = false;
    std::uint64_t total_;
    Timing timing_;
    Clock::time_point next_;
};

/// On standard error, with the timing that fits what that is.
class StandardErrorProgress : public Progress {
public:
    explicit StandardErrorProgress(std::uint64_t total);
};

}  // namespace opforge::tools
