// Compiling in worker processes, as many at a time as there are lanes. One thread. Private.
#pragma once

#include "prewarm_ledger.hpp"
#include "prewarm_protocol.hpp"
#include "worker_process.hpp"

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace opforge::builder {

class WorkerLanes {
public:
    /// All three must outlive it.
    WorkerLanes(const std::vector<std::string>& command, const WorkerSetup& setup,
                PrewarmLedger& ledger)
        : command_(command), setup_(setup), ledger_(ledger) {}

    /// Until nothing waits and nothing runs, or a stop is asked for.
    /// @return how many processes there were at first
    /// @throws std::system_error where none can be started
    int run(std::size_t lanes);

private:
    /// A worker and what it is at.
    struct Lane {
        std::unique_ptr<WorkerProcess> process;
        std::optional<PrewarmJob> job;
    };
    [[nodiscard]] std::size_t running() const;
    void start_lane();
    void give_work(Lane& lane);
    void wait_for_news();
    /// False where the worker is gone.
    bool attend(Lane& lane);
    void tell_of_death(Lane& lane, const WorkerProcess::End& end);
    void relay(const WorkerMessage& message);
    void relay_output(WorkerProcess& process);
    void end_lanes();

    const std::vector<std::string>& command_;
    const WorkerSetup& setup_;
    PrewarmLedger& ledger_;
    std::list<Lane> lanes_;
    std::set<std::string> relayed_;
};

}  // namespace opforge::builder
