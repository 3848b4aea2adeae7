#include "progress.hpp"

#include "output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <unistd.h>

namespace opforge::tools {
namespace {

constexpr std::size_t kBarWidth = 30;
constexpr std::size_t kTextWidth =
    40;  // with the bar, less than the 80 columns of a narrow terminal

double share_done(std::uint64_t done, std::uint64_t total) {
    return total == 0 ? 1.0
                      : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
}

bool standard_error_is_terminal() {
    return ::isatty(STDERR_FILENO) == 1;
}

}  // namespace

std::string render_bar(std::uint64_t done, std::uint64_t total, std::size_t width) {
    const double share = share_done(done, total);
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    std::string cells(filled, '=');
    if (filled < width) {
        cells += '>';
        cells.resize(width, ' ');
    }
    return fmt::format("[{}] {:3.0f}%", cells, share * 100.0);
}

Progress::Progress(std::ostream& out, bool terminal, std::uint64_t total, Timing timing)
    : out_(out), terminal_(terminal), total_(total), timing_(timing),
      next_(Clock::now() + timing.delay) {}

Progress::~Progress() {
    if (drawn_) {
        out_ << "\r\x1b[K" << std::flush;
    }
}

void Progress::update(std::uint64_t done, std::string_view doing) {
    const auto now = Clock::now();
    if (now < next_) {
        return;
    }
    next_ = now + timing_.interval;
    std::string text = printable(doing);
    if (text.size() > kTextWidth) {
        std::size_t end = kTextWidth;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
            --end;  // not within a character
        }
        text.resize(end);
    }
    if (terminal_) {
        out_ << "\r\x1b[K" << render_bar(done, total_, kBarWidth) << ' ' << text << std::flush;
        drawn_ = true;
    } else {
        out_ << fmt::format("{:3.0f}% {}\n", share_done(done, total_) * 100.0, text) << std::flush;
    }
}

StandardErrorProgress::StandardErrorProgress(std::uint64_t total)
    : Progress(std::cerr, standard_error_is_terminal(), total,
               standard_error_is_terminal() ? kTerminal : kLog) {}

}  // namespace opforge::tools
