#include "key_lock.hpp"

#include "open_locks.hpp"

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <unistd.h>
#include <utility>

namespace opforge::cache {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{1};
constexpr milliseconds kLongestPause{50};
constexpr milliseconds kPatientFor{2000};
constexpr std::size_t kMaxNoteBytes = 512;

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unnamed host";
}

std::string_view to_text(const Bytes& bytes) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

milliseconds since(Clock::time_point start) {
    return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

// By arithmetic alone: gmtime takes a lock of libc's, fmt's formatter of a time a guard, and a
// child forked while another thread held either would wait for it for ever.
std::string utc_text(std::chrono::system_clock::time_point time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace

std::uint64_t lock_byte(const Digest& want) noexcept {
    std::uint64_t byte = 0;
    for (std::size_t i = 0; i < sizeof byte; ++i) {
        byte = byte << 8U | want.bytes()[i];
    }
    return byte >> 1U;  // offsets in a file are signed
}

KeyLock::KeyLock(FileSystem& files, LockPlace place, const Digest& want, std::string program)
    : files_(&files), place_(std::move(place)), byte_(lock_byte(want)), key_(want.hex()),
      program_(std::move(program)) {}

KeyLock::KeyLock(KeyLock&&) noexcept = default;

KeyLock::~KeyLock() {
    // In a forked child the lock is closed, and the note is the parent's.
    if (lock_ && lock_->is_open() && announced_) {
        remove_quietly(place_.notes, note_name());
    }
}

KeyLock KeyLock::acquire(FileSystem& files, LockPlace place, const Digest& want,
                         const Terms& terms) {
    KeyLock lock(files, std::move(place), want, terms.program);
    try {
        lock.wait(terms);
    } catch (const std::system_error& error) {
        throw CacheError("lock", lock.path(), error.code(), remedy_for(error.code().value()));
    }
    return lock;
}

void KeyLock::wait(const Terms& terms) {
    const Clock::time_point start = Clock::now();
    std::optional<milliseconds> limit;
    milliseconds pause = kFirstPause;
    bool told = false;
    std::unique_ptr<OpenLock> lock;
    FileStatus opened;
    for (;;) {
        if (!lock) {
            lock = std::make_unique<OpenLock>(
                *files_, [&] { return files_->open_lock_file(directory(), place_.file); });
            opened = checked_status(*lock);
        }
        const bool locked = files_->try_lock(lock->get(), byte_);
        waited_ = since(start);
        if (!is_current(opened)) {
            // Deleted or replaced: others would lock another file. At most until the limit.
            lock.reset();
        } else if (locked) {
            lock_ = std::move(lock);
            outcome_ = Outcome::held;
            return;
        }
        if (!limit) {
            limit = terms.limit();
        }
        if (waited_ >= *limit) {
            return;
        }
        if (waited_ >= kPatientFor && !told && terms.on_wait) {
            told = true;
            terms.on_wait({program_, path(), holder(), waited_, *limit});
        }
        std::this_thread::sleep_for(std::min(pause, *limit - waited_));
        pause = std::min(pause * 2, kLongestPause);
    }
}

// A lock file that others could open would let them hold up everybody for ever.
FileStatus KeyLock::checked_status(const OpenLock& lock) const {
    const FileStatus status = files_->status(lock.get());
    if (!status.is_regular) {
        refuse_as_file(path(), EINVAL);
    }
    check_owner_and_mode(status, path(), place_.directory.trusted());
    return status;
}

bool KeyLock::is_current(const FileStatus& opened) const {
    const auto now = place_.directory.status_if_there(place_.file);
    return now && now->device == opened.device && now->inode == opened.inode;
}

int KeyLock::directory() const {
    return place_.directory.descriptor();
}

std::string KeyLock::note_name() const {
    return fmt::format("{}holder-{}", place_.note_prefix, key_.substr(0, 16));
}

void KeyLock::announce() {
    if (outcome_ != Outcome::held) {
        return;
    }
    try {
        const std::string text =
            fmt::format("process {} on {}, {}, since {}", ::getpid(), host_name(), program_,
                        utc_text(std::chrono::system_clock::now()));
        if (place_.notes.status_if_there(note_name())) {
            place_.notes.remove(note_name());  // of one that was killed
        }
        announced_ = true;
        place_.notes.write_file(note_name(), as_bytes(text), Durability::relaxed);
    } catch (const std::exception& error) {
        log(LogLevel::debug, error.what());
    }
}

std::string KeyLock::holder() const {
    try {
        const OpenFile note = place_.notes.open_file(note_name());
        if (note.status.size_bytes > kMaxNoteBytes) {
            return {};
        }
        std::string text(to_text(place_.notes.read(note)));
        std::replace_if(
            text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
        return text;
    } catch (const std::exception&) {
        return {};  // it has none, or has just let go
    }
}

}  // namespace opforge::cache
