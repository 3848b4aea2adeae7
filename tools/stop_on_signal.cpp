#include "stop_on_signal.hpp"

#include "staged_output.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <unistd.h>

namespace opforge::tools {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> signal_that_came{0};
static_assert(std::atomic<int>::is_always_lock_free, "the signal handler uses it");

extern "C" void note_or_exit(int signal) {
    if (signal_that_came.exchange(signal) != 0) {
        ::_exit(128 + signal);
    }
}

}  // namespace

StopOnSignal::StopOnSignal() {
    signal_that_came = 0;
    struct sigaction action {};
    action.sa_handler = note_or_exit;
    ::sigemptyset(&action.sa_mask);
    for (const int signal : kSignals) {
        struct sigaction before {};
        // As nohup leaves them.
        if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
            ::sigaction(signal, &action, nullptr);
        }
    }
}

StopOnSignal::~StopOnSignal() {
    handle_termination_signals();
}

void StopOnSignal::look() {
    if (signal_that_came != 0) {
        source_.request_stop();
    }
}

ExitCode StopOnSignal::exit_code() const {
    return static_cast<ExitCode>(128 + signal_that_came.load());
}

}  // namespace opforge::tools
