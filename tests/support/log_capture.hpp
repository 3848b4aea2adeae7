// Collects what the library logs while it lives; restores the default sink and the level
// afterwards.
#pragma once

#include <opforge/base/log_sink.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace opforge::test {

class LogCapture {
public:
    explicit LogCapture(LogLevel level = LogLevel::warning) : level_(log_level()) {
        set_log_level(level);
        set_log_sink([state = state_](LogLevel /*level*/, std::string_view message) {
            const std::lock_guard lock(state->mutex);
            state->messages.emplace_back(message);
        });
    }
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;
    ~LogCapture() {
        set_log_sink({});
        set_log_level(level_);
    }
    [[nodiscard]] std::vector<std::string> messages() const {
        const std::lock_guard lock(state_->mutex);
        return state_->messages;
    }

private:
    struct State {
        std::mutex mutex;
        std::vector<std::string> messages;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
    LogLevel level_;
};

}  // namespace opforge::test
