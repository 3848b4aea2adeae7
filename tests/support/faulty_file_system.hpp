// The real file system with faults: the n-th call fails, or every call from the n-th on (as after a
// crash: nothing is cleaned up). Counts calls and open descriptors, so that a test can go through
// every point of an operation.
#pragma once

#include <opforge/cache/file_system.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace opforge::test {

class FaultyFileSystem final : public cache::FileSystem {
public:
    /// The n-th call from now (1 is the next) fails with `code`; others go through.
    void fail_call(std::uint64_t n, int code) { arm(n, n, code); }
    /// That call and all after it fail.
    void fail_from(std::uint64_t n, int code) {
        arm(n, std::numeric_limits<std::uint64_t>::max(), code);
    }
    void heal() { first_ = last_ = 0; }

    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
    [[nodiscard]] bool triggered() const noexcept { return triggered_; }
    [[nodiscard]] std::int64_t open_descriptors() const noexcept { return open_; }
    /// Calls that make or change something on the disk.
    [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

    int open_root(const std::string& path) override {
        step();
        return opened(real_.open_root(path));
    }
    int open_directory(int parent, const std::string& name) override {
        step();
        return opened(real_.open_directory(parent, name));
    }
    int open_file(int parent, const std::string& name) override {
        step();
        if (before_opening_) {
            before_opening_();
        }
        return opened(real_.open_file(parent, name));
    }
    int create_file(int parent, const std::string& name) override {
        change();
        return opened(real_.create_file(parent, name));
    }
    void make_directory(int parent, const std::string& name) override {
        change();
        real_.make_directory(parent, name);
    }
    cache::FileStatus status(int descriptor) override {
        step();
        return real_.status(descriptor);
    }
    cache::FileStatus status_at(int parent, const std::string& name) override {
        step();
        return real_.status_at(parent, name);
    }
    std::size_t read(int descriptor, std::span<std::byte> into) override {
        step();
        return real_.read(descriptor, into);
    }
    void write(int descriptor, std::span<const std::byte> bytes) override {
        try {
            change();
        } catch (const std::system_error&) {
            // A disk that fills up takes the first part.
            real_.write(descriptor, bytes.first(bytes.size() / 2));
            throw;
        }
        real_.write(descriptor, bytes);
    }
    /// Counted and failed like the others, but not carried out: a test that goes on living cannot
    /// see whether it was, and hundreds of them take half a minute on a plain disk.
    void sync(int /*descriptor*/) override { step(); }
    void rename(int from_parent, const std::string& from, int to_parent,
                const std::string& to) override {
        change();
        real_.rename(from_parent, from, to_parent, to);
    }
    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override {
        change();
        real_.rename_no_replace(from_parent, from, to_parent, to);
    }
    void exchange(int parent, const std::string& name, int other_parent,
                  const std::string& other) override {
        change();
        if (!can_exchange_) {
            throw std::system_error(EINVAL, std::generic_category(), "renameat2");
        }
        real_.exchange(parent, name, other_parent, other);
    }
    void remove_file(int parent, const std::string& name) override {
        change();
        real_.remove_file(parent, name);
    }
    void remove_directory(int parent, const std::string& name) override {
        change();
        real_.remove_directory(parent, name);
    }
    std::vector<std::string> list(int directory) override {
        step();
        return real_.list(directory);
    }
    int open_lock_file(int parent, const std::string& name) override {
        change();
        return opened(real_.open_lock_file(parent, name));
    }
    /// What another process does each time before a file is opened to be read.
    void before_opening_files(std::function<void()> act) { before_opening_ = std::move(act); }
    /// As a network file system, on which two names cannot change places.
    void forbid_exchange() { can_exchange_ = false; }
    /// Every lock is refused with `code`, as where a file system knows none.
    void fail_locks(int code) { lock_code_ = code; }
    /// All directories are on a file system of this type, as statfs has it...
    void set_file_system_type(std::int64_t type) { type_ = type; }
    /// ...but those on this device.
    void set_local_device(std::uint64_t device) { local_device_ = device; }
    [[nodiscard]] std::uint64_t device_of(const std::string& path) {
        const int descriptor = real_.open_root(path);
        const std::uint64_t device = real_.status(descriptor).device;
        real_.close(descriptor);
        return device;
    }

    bool try_lock(int descriptor, std::uint64_t byte) override {
        step();
        if (lock_code_ != 0) {
            throw std::system_error(lock_code_, std::generic_category(), "injected");
        }
        return real_.try_lock(descriptor, byte);
    }
    std::int64_t file_system_type(int descriptor) override {
        step();
        const bool local = type_ == 0 || real_.status(descriptor).device == local_device_;
        return local ? real_.file_system_type(descriptor) : type_;
    }
    void set_times(int descriptor, std::int64_t nanoseconds) override {
        change();
        real_.set_times(descriptor, nanoseconds);
    }
    void set_mode(int descriptor, unsigned mode) override {
        change();
        real_.set_mode(descriptor, mode);
    }
    std::int64_t now_nanoseconds() override { return real_.now_nanoseconds(); }
    /// Nobody waits for a fault that is injected to pass.
    void pause(std::chrono::milliseconds /*time*/) override {}
    void close(int descriptor) noexcept override {
        --open_;
        real_.close(descriptor);
    }

private:
    void arm(std::uint64_t first, std::uint64_t last, int code) {
        calls_ = 0;
        triggered_ = false;
        first_ = first;
        last_ = last;
        code_ = code;
    }
    void step() {
        const std::uint64_t call = ++calls_;
        if (first_ != 0 && call >= first_ && call <= last_) {
            triggered_ = true;
            throw std::system_error(code_, std::generic_category(), "injected");
        }
    }
    void change() {
        ++changes_;
        step();
    }
    int opened(int descriptor) {
        ++open_;
        return descriptor;
    }

    cache::FileSystem& real_ = cache::posix_file_system();
    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;
    int code_ = EIO;
    int lock_code_ = 0;
    bool can_exchange_ = true;
    std::function<void()> before_opening_;
    std::int64_t type_ = 0;
    std::uint64_t local_device_ = 0;
    std::atomic<std::uint64_t> calls_{0};
    std::atomic<std::uint64_t> changes_{0};
    std::atomic<std::int64_t> open_{0};
    std::atomic<bool> triggered_{false};
};

}  // namespace opforge::test
