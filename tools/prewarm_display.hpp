// How far a prewarm is, for people and for programs: a bar on a terminal, lines in a log, JSON
// events.
#pragma once

#include "output.hpp"

#include <opforge/builder/prewarm.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

namespace opforge::tools {

class PrewarmDisplay {
public:
    PrewarmDisplay() = default;
    PrewarmDisplay(const PrewarmDisplay&) = delete;
    PrewarmDisplay& operator=(const PrewarmDisplay&) = delete;
    virtual ~PrewarmDisplay();
    virtual void update(const builder::PrewarmEvent& event,
                        const builder::PrewarmProgress& progress) = 0;
};

/// "[=====>    ]  52% 12/23  3 hits  dequantize_fp32 sm_90 +15  4 s left", at most `columns` wide:
/// what is on the right goes first.
[[nodiscard]] std::string bar_line(const builder::PrewarmProgress& progress, std::size_t columns);
/// "prewarm: 52% (12 of 23), 3 hits, 16 running, 4 s left"
[[nodiscard]] std::string log_line(const builder::PrewarmProgress& progress);
/// {"event":"started"|"done"|"progress",...}: docs/operations.md
[[nodiscard]] Json event_json(const builder::PrewarmEvent& event,
                              const builder::PrewarmProgress& progress);

/// Nothing is shown for what takes no longer.
inline constexpr std::chrono::milliseconds kSilence{1000};

/// One line drawn over itself, wiped at the end. `columns` is asked at each drawing: a terminal may
/// be resized. Messages of the log go above the line while it is there.
class BarDisplay final : public PrewarmDisplay {
public:
    BarDisplay(std::ostream& out, std::function<std::size_t()> columns,
               std::chrono::milliseconds silence = kSilence);
    ~BarDisplay() override;
    void update(const builder::PrewarmEvent& event,
                const builder::PrewarmProgress& progress) override;

private:
    void draw(const std::string& line);
    void wipe();

    std::ostream& out_;
    std::function<std::size_t()> columns_;
    std::chrono::milliseconds silence_;
    std::string shown_;
};

/// A line at each tenth, or each ten seconds, whichever comes first.
class LogDisplay final : public PrewarmDisplay {
public:
    explicit LogDisplay(std::ostream& out, std::chrono::milliseconds silence = kSilence);
    void update(const builder::PrewarmEvent& event,
                const builder::PrewarmProgress& progress) override;

private:
    std::ostream& out_;
    std::chrono::milliseconds silence_;
    std::size_t tenths_ = 0;
    std::chrono::microseconds last_{};
};

/// One JSON object a line: each program's begin and end, and how far all is once a second.
class EventDisplay final : public PrewarmDisplay {
public:
    explicit EventDisplay(std::ostream& out);
    void update(const builder::PrewarmEvent& event,
                const builder::PrewarmProgress& progress) override;

private:
    std::ostream& out_;
    std::chrono::microseconds last_{};
};

/// `mode`: "auto", "plain", "none", "json", on standard error. auto: the bar on a terminal that can
/// draw one, lines elsewhere, where TERM is dumb and where CI is set. Null for none.
/// @throws InvalidArgument for another word
[[nodiscard]] std::unique_ptr<PrewarmDisplay> make_display(std::string_view mode);

}  // namespace opforge::tools
