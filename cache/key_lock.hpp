// One compile of a key at a time among the processes of a machine: a byte of one lock file for each
// key, locked for an open file description, so that it is free again when its holder dies. It never
// guards what is on the disk, only against doing the same work twice. Private.
#pragma once

#include "open_locks.hpp"
#include "secure_directory.hpp"

#include <opforge/cache/cache.hpp>
#include <opforge/cache/digest.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace opforge::cache {

/// The byte that stands for a key: 63 bits of its digest, so that two keys share one about never.
[[nodiscard]] std::uint64_t lock_byte(const Digest& want) noexcept;

/// Where the lock file lies, and beside which name a holder says who it is.
struct LockPlace {
    SecureDirectory directory;
    std::string file;
    SecureDirectory notes;
    std::string note_prefix;

    [[nodiscard]] std::filesystem::path path() const { return directory.path() / file; }
};

class KeyLock {
public:
    struct Terms {
        std::string program;                               // for the note and for messages
        std::function<std::chrono::milliseconds()> limit;  // asked once somebody must be waited for
        std::function<void(const LockWait&)> on_wait;      // once, after two seconds
    };
    enum class Outcome { held, timed_out };

    /// Waits for the lock until it is free or the limit has passed.
    /// @throws CacheError where locks do not work here.
    [[nodiscard]] static KeyLock acquire(FileSystem& files, LockPlace place, const Digest& want,
                                         const Terms& terms);
    KeyLock(KeyLock&&) noexcept;
    KeyLock& operator=(KeyLock&&) = delete;
    KeyLock(const KeyLock&) = delete;
    KeyLock& operator=(const KeyLock&) = delete;
    ~KeyLock();

    [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }
    [[nodiscard]] std::chrono::milliseconds waited() const noexcept { return waited_; }
    [[nodiscard]] std::filesystem::path path() const { return place_.path(); }
    /// Who holds it, where that is known.
    [[nodiscard]] std::string holder() const;

    /// Tells those who wait who they wait for. A courtesy: nothing depends on it.
    void announce();

private:
    KeyLock(FileSystem& files, LockPlace place, const Digest& want, std::string program);
    void wait(const Terms& terms);
    [[nodiscard]] FileStatus checked_status(const OpenLock& lock) const;
    [[nodiscard]] bool is_current(const FileStatus& opened) const;
    [[nodiscard]] int directory() const;
    [[nodiscard]] std::string note_name() const;

    FileSystem* files_;
    LockPlace place_;
    std::uint64_t byte_;
    std::string key_;
    std::string program_;
    std::unique_ptr<OpenLock> lock_;  // null: not held
    Outcome outcome_ = Outcome::timed_out;
    std::chrono::milliseconds waited_{0};
    bool announced_ = false;
};

}  // namespace opforge::cache
