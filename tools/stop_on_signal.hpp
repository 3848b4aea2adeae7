// Ctrl-C for a verb that has something to finish: the first one asks it to stop, the second ends
// the process.
#pragma once

#include "exit_code.hpp"

#include <stop_token>

namespace opforge::tools {

/// Takes SIGINT, SIGTERM and SIGHUP for its lifetime, as far as they are not ignored. One at a
/// time.
class StopOnSignal {
public:
    StopOnSignal();
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;
    ~StopOnSignal();

    /// To be called now and then: asks for the stop once a signal has come.
    void look();
    [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
    [[nodiscard]] bool stopped() const { return source_.stop_requested(); }
    /// 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.
    [[nodiscard]] ExitCode exit_code() const;

private:
    std::stop_source source_;
};

}  // namespace opforge::tools
