// One machine's view of a directory that others use over a network: the real file system, seen as
// an NFS client sees it. What others have made shows late (a cached "no such name"), what they have
// moved away still seems to be there and then is stale, the answer to a rename may be lost, and
// locks do not work.
#pragma once

#include "forwarding_file_system.hpp"

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace opforge::test {

/// One thread.
class NetworkView final : public ForwardingFileSystem {
public:
    struct Rates {
        std::chrono::milliseconds negative_cache{120};  // how long "no such name" is believed
        unsigned stale_one_in = 50;                     // opens of what is there
        unsigned lost_rename_one_in = 3;                // carried out, and then refused
        std::int64_t type = 0x6969;                     // NFS
    };
    NetworkView(std::uint64_t seed, std::string root, Rates rates)
        : random_(seed), root_(std::move(root)), rates_(rates) {}

    [[nodiscard]] std::uint64_t late_names() const noexcept { return late_; }
    [[nodiscard]] std::uint64_t stale_handles() const noexcept { return stale_; }
    [[nodiscard]] std::uint64_t lost_answers() const noexcept { return lost_; }

    int open_root(const std::string& path) override {
        const int descriptor = ForwardingFileSystem::open_root(path);
        remote_[descriptor] = path.starts_with(root_);
        return descriptor;
    }
    int open_directory(int parent, const std::string& name) override {
        return looked_up(parent, name,
                         [&] { return ForwardingFileSystem::open_directory(parent, name); });
    }
    int open_file(int parent, const std::string& name) override {
        return looked_up(parent, name,
                         [&] { return ForwardingFileSystem::open_file(parent, name); });
    }
    int create_file(int parent, const std::string& name) override {
        return inherit(parent, ForwardingFileSystem::create_file(parent, name));
    }
    void make_directory(int parent, const std::string& name) override {
        ForwardingFileSystem::make_directory(parent, name);
        forget(parent, name);
    }
    std::int64_t file_system_type(int descriptor) override {
        return is_remote(descriptor) ? rates_.type
                                     : ForwardingFileSystem::file_system_type(descriptor);
    }
    bool try_lock(int descriptor, std::uint64_t byte) override {
        if (is_remote(descriptor)) {
            throw std::system_error(ENOLCK, std::generic_category(), "fcntl");
        }
        return ForwardingFileSystem::try_lock(descriptor, byte);
    }
    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override {
        ForwardingFileSystem::rename_no_replace(from_parent, from, to_parent, to);
        forget(to_parent, to);
        if (is_remote(to_parent) && random_() % rates_.lost_rename_one_in == 0) {
            // The client asks again, and the server finds that it has been done.
            ++lost_;
            throw std::system_error(random_() % 2 == 0 ? EEXIST : ENOENT, std::generic_category(),
                                    "renameat2");
        }
    }
    void exchange(int parent, const std::string& name, int other_parent,
                  const std::string& other) override {
        if (is_remote(parent)) {
            throw std::system_error(EINVAL, std::generic_category(), "renameat2");
        }
        ForwardingFileSystem::exchange(parent, name, other_parent, other);
    }
    void close(int descriptor) noexcept override {
        remote_.erase(descriptor);
        ForwardingFileSystem::close(descriptor);
    }

private:
    using Clock = std::chrono::steady_clock;
    using Name = std::pair<std::uint64_t, std::string>;  // of a directory's inode

    bool is_remote(int descriptor) const {
        const auto found = remote_.find(descriptor);
        return found != remote_.end() && found->second;
    }
    bool is_mount_point(int descriptor) const {
        struct stat root {};
        const cache::FileStatus here = real().status(descriptor);
        return ::stat(root_.c_str(), &root) == 0 && root.st_ino == here.inode &&
               root.st_dev == here.device;
    }
    int inherit(int parent, int descriptor) {
        remote_[descriptor] = is_remote(parent);
        return descriptor;
    }
    Name key(int parent, const std::string& name) { return {real().status(parent).inode, name}; }
    void forget(int parent, const std::string& name) { absent_.erase(key(parent, name)); }

    template <typename Open>
    int looked_up(int parent, const std::string& name, Open open) {
        if (!is_remote(parent)) {
            const int descriptor = open();
            // Whoever makes the root comes to it from the directory above.
            remote_[descriptor] = is_mount_point(descriptor);
            return descriptor;
        }
        const Name at = key(parent, name);
        if (const auto found = absent_.find(at); found != absent_.end()) {
            if (Clock::now() < found->second) {
                ++late_;
                throw std::system_error(ENOENT, std::generic_category(), "openat");
            }
            absent_.erase(found);
        }
        try {
            const int descriptor = open();
            if (random_() % rates_.stale_one_in == 0) {
                ForwardingFileSystem::close(descriptor);
                ++stale_;
                throw std::system_error(ESTALE, std::generic_category(), "openat");
            }
            return inherit(parent, descriptor);
        } catch (const std::system_error& error) {
            if (error.code().value() == ENOENT) {
                absent_[at] = Clock::now() + rates_.negative_cache;
            }
            throw;
        }
    }

    std::mt19937_64 random_;
    std::string root_;
    Rates rates_;
    std::map<int, bool> remote_;
    std::map<Name, Clock::time_point> absent_;
    std::uint64_t late_ = 0;
    std::uint64_t stale_ = 0;
    std::uint64_t lost_ = 0;
};

}  // namespace opforge::test
