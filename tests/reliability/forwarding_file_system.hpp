// A file system that hands every call on to the real one: the base of those that change some.
#pragma once

#include <opforge/cache/file_system.hpp>

#include <string>
#include <vector>

namespace opforge::test {

class ForwardingFileSystem : public cache::FileSystem {
public:
    int open_root(const std::string& path) override { return real_.open_root(path); }
    int open_directory(int parent, const std::string& name) override {
        return real_.open_directory(parent, name);
    }
    int open_file(int parent, const std::string& name) override {
        return real_.open_file(parent, name);
    }
    int create_file(int parent, const std::string& name) override {
        return real_.create_file(parent, name);
    }
    int open_lock_file(int parent, const std::string& name) override {
        return real_.open_lock_file(parent, name);
    }
    bool try_lock(int descriptor, std::uint64_t byte) override {
        return real_.try_lock(descriptor, byte);
    }
    void make_directory(int parent, const std::string& name) override {
        real_.make_directory(parent, name);
    }
    cache::FileStatus status(int descriptor) override { return real_.status(descriptor); }
    cache::FileStatus status_at(int parent, const std::string& name) override {
        return real_.status_at(parent, name);
    }
    std::int64_t file_system_type(int descriptor) override {
        return real_.file_system_type(descriptor);
    }
    std::size_t read(int descriptor, std::span<std::byte> into) override {
        return real_.read(descriptor, into);
    }
    void write(int descriptor, std::span<const std::byte> bytes) override {
        real_.write(descriptor, bytes);
    }
    void sync(int descriptor) override { real_.sync(descriptor); }
    void rename(int from_parent, const std::string& from, int to_parent,
                const std::string& to) override {
        real_.rename(from_parent, from, to_parent, to);
    }
    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override {
        real_.rename_no_replace(from_parent, from, to_parent, to);
    }
    void exchange(int parent, const std::string& name, int other_parent,
                  const std::string& other) override {
        real_.exchange(parent, name, other_parent, other);
    }
    void remove_file(int parent, const std::string& name) override {
        real_.remove_file(parent, name);
    }
    void remove_directory(int parent, const std::string& name) override {
        real_.remove_directory(parent, name);
    }
    std::vector<std::string> list(int directory) override { return real_.list(directory); }
    void set_times(int descriptor, std::int64_t nanoseconds) override {
        real_.set_times(descriptor, nanoseconds);
    }
    void set_mode(int descriptor, unsigned mode) override { real_.set_mode(descriptor, mode); }
    void close(int descriptor) noexcept override { real_.close(descriptor); }
    std::int64_t now_nanoseconds() override { return real_.now_nanoseconds(); }
    void pause(std::chrono::milliseconds time) override { real_.pause(time); }

protected:
    [[nodiscard]] cache::FileSystem& real() const noexcept { return real_; }

private:
    cache::FileSystem& real_ = cache::posix_file_system();
};

}  // namespace opforge::test
