// The parent's side of one worker process: starting it, talking to it without ever blocking, and
// saying how it ended.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace opforge::builder {

class WorkerProcess {
public:
    /// In a process group of its own: a terminal's Ctrl-C reaches the parent alone.
    /// @throws std::system_error where it cannot be started.
    explicit WorkerProcess(const std::vector<std::string>& command);
    WorkerProcess(const WorkerProcess&) = delete;
    WorkerProcess& operator=(const WorkerProcess&) = delete;
    /// Kills it where it still runs.
    ~WorkerProcess();

    [[nodiscard]] pid_t id() const noexcept { return id_; }
    /// For poll(); -1 once closed by the other end.
    [[nodiscard]] int answers() const noexcept { return socket_; }
    [[nodiscard]] int output() const noexcept { return output_; }

    /// A few hundred bytes, which the socket's buffer takes at once. False: it is gone.
    bool send(std::string_view line);
    /// The lines that have come.
    [[nodiscard]] std::vector<std::string> receive();
    /// Gathers what it printed.
    void gather_output();
    /// What it printed since it was last asked, at most the last 16 KiB.
    [[nodiscard]] std::string take_output();

    /// Asks it to end: once it has nothing more to do; with `now`, at once while it compiles and
    /// after publishing otherwise.
    void ask_to_end(bool now) noexcept;
    /// How it ended: "signal 9 (Killed)", "exit code 70".
    struct End {
        std::string text;
        bool killed = false;  // by SIGKILL
    };
    /// Waits for that; kills it where it takes longer than `patience`.
    End wait(std::chrono::milliseconds patience);

private:
    pid_t id_ = -1;
    int socket_ = -1;
    int output_ = -1;
    std::string received_;
    std::string printed_;
};

}  // namespace opforge::builder
