// Work in progress in this process, by key: whoever comes while it runs waits for what comes of it.
// Any thread. Private.
#pragma once

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/cache/digest.hpp>
#include <opforge/cache/directory_store.hpp>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace opforge::cache {

/// What a flight comes to, for those who wait.
class Landing {
public:
    enum class Outcome { landed, crashed, lost };
    struct Report {
        Outcome outcome = Outcome::lost;  // its thread was cancelled: nothing came of it
        std::shared_ptr<const Entry> entry;
        std::exception_ptr error;
    };
    void report(Report report);
    /// Blocks until there is a report.
    [[nodiscard]] Report wait();

private:
    // Not a std::promise: its set_value() is a system call, which a warm start can do without.
    std::mutex mutex_;
    std::condition_variable arrival_;
    std::optional<Report> report_;
};

class Flights {
public:
    /// A flight of the caller's own, to be ended with land() or crash(). One that is dropped is
    /// lost.
    class Flight {
    public:
        Flight(const Flight&) = delete;
        Flight& operator=(const Flight&) = delete;
        ~Flight();
        void land(std::shared_ptr<const Entry> entry);
        /// Every waiter gets the exception.
        void crash(std::exception_ptr error);

    private:
        friend class Flights;
        Flight(Flights& flights, const Digest& key) : flights_(flights), key_(key) {}
        void end(Landing::Report report);

        Flights& flights_;
        Digest key_;
        std::shared_ptr<Landing> landing_ = std::make_shared<Landing>();
        bool over_ = false;
    };

    /// Exactly one is set: the landing to wait for, or the caller's own flight.
    struct Boarding {
        std::shared_ptr<Landing> landing;
        std::unique_ptr<Flight> own;
    };
    [[nodiscard]] Boarding join(const Digest& key);

private:
    struct InAir {
        std::shared_ptr<Landing> landing;
        // A flight that the parent process began will never land here.
        std::uint64_t generation = 0;
    };
    void forget(const Digest& key, const Landing& landing);

    ForkSafeMutex mutex_;
    std::map<Digest, InAir> in_air_;
};

}  // namespace opforge::cache
