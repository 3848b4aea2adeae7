// The real file system, where one call in so many fails with an error of the day.
#pragma once

#include "forwarding_file_system.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <random>
#include <system_error>

namespace opforge::test {

/// One thread.
class RandomFaults final : public ForwardingFileSystem {
public:
    RandomFaults(std::uint64_t seed, unsigned one_in) : random_(seed), one_in_(one_in) {}
    [[nodiscard]] std::uint64_t faults() const noexcept { return faults_; }

    int open_root(const std::string& path) override {
        step();
        return ForwardingFileSystem::open_root(path);
    }
    int open_directory(int parent, const std::string& name) override {
        step();
        return ForwardingFileSystem::open_directory(parent, name);
    }
    int open_file(int parent, const std::string& name) override {
        step();
        return ForwardingFileSystem::open_file(parent, name);
    }
    int create_file(int parent, const std::string& name) override {
        step();
        return ForwardingFileSystem::create_file(parent, name);
    }
    int open_lock_file(int parent, const std::string& name) override {
        step();
        return ForwardingFileSystem::open_lock_file(parent, name);
    }
    bool try_lock(int descriptor, std::uint64_t byte) override {
        step();
        return ForwardingFileSystem::try_lock(descriptor, byte);
    }
    void make_directory(int parent, const std::string& name) override {
        step();
        ForwardingFileSystem::make_directory(parent, name);
    }
    cache::FileStatus status(int descriptor) override {
        step();
        return ForwardingFileSystem::status(descriptor);
    }
    cache::FileStatus status_at(int parent, const std::string& name) override {
        step();
        return ForwardingFileSystem::status_at(parent, name);
    }
    std::size_t read(int descriptor, std::span<std::byte> into) override {
        step();
        return ForwardingFileSystem::read(descriptor, into);
    }
    void write(int descriptor, std::span<const std::byte> bytes) override {
        if (draw()) {
            // A disk that fills up takes the first part.
            ForwardingFileSystem::write(descriptor, bytes.first(bytes.size() / 2));
            fail();
        }
        ForwardingFileSystem::write(descriptor, bytes);
    }
    void sync(int descriptor) override {
        step();
        ForwardingFileSystem::sync(descriptor);
    }
    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override {
        step();
        ForwardingFileSystem::rename_no_replace(from_parent, from, to_parent, to);
    }
    void exchange(int parent, const std::string& name, int other_parent,
                  const std::string& other) override {
        step();
        ForwardingFileSystem::exchange(parent, name, other_parent, other);
    }
    void remove_file(int parent, const std::string& name) override {
        step();
        ForwardingFileSystem::remove_file(parent, name);
    }
    void remove_directory(int parent, const std::string& name) override {
        step();
        ForwardingFileSystem::remove_directory(parent, name);
    }
    std::vector<std::string> list(int directory) override {
        step();
        return ForwardingFileSystem::list(directory);
    }
    void set_times(int descriptor, std::int64_t nanoseconds) override {
        step();
        ForwardingFileSystem::set_times(descriptor, nanoseconds);
    }

private:
    bool draw() { return random_() % one_in_ == 0; }
    void step() {
        if (draw()) {
            fail();
        }
    }
    [[noreturn]] void fail() {
        constexpr auto kErrors = std::to_array({EIO, ENOSPC, EDQUOT, EROFS, EACCES, EPERM, EMFILE,
                                                ENFILE, ENOMEM, ESTALE, ENOLCK, ENOENT});
        ++faults_;
        throw std::system_error(kErrors.at(random_() % kErrors.size()), std::generic_category(),
                                "injected");
    }

    std::mt19937_64 random_;
    unsigned one_in_;
    std::uint64_t faults_ = 0;
};

}  // namespace opforge::test
