// A disk in memory that records what was done to it, so that it can be shown as a power failure at
// any moment would have left it.
//
// What it promises is what POSIX does, and no more: fsync of a file makes its bytes durable, fsync
// of a directory the names made, removed and moved into it. Everything else may be lost or kept,
// each by itself, and lost bytes may be missing, zero, or cut at a sector. A rename is atomic: the
// name is in one place or in the other.
#pragma once

#include <opforge/base/bytes.hpp>
#include <opforge/cache/file_system.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace opforge::test {

using Inode = std::size_t;

struct DiskNode {
    bool is_directory = false;
    unsigned owner = 0;
    unsigned mode = 0;
    std::int64_t modified_nanoseconds = 0;
    Bytes data;
    std::map<std::string, Inode> names;
};
/// Node 0 is "/".
using DiskImage = std::vector<DiskNode>;

struct NameAdded {
    Inode directory;
    std::string name;
    Inode node;
};
struct NameRemoved {
    Inode directory;
    std::string name;
};
struct NameMoved {
    Inode from_directory;
    std::string from;
    Inode to_directory;
    std::string to;
    Inode node;
    Inode exchanged = 0;  // what stood at `to` and went to `from`; 0: nothing did
};
struct DataWritten {
    Inode file;
    std::size_t offset;
    Bytes bytes;
};
struct Stamped {
    Inode node;
    std::int64_t nanoseconds;
};
struct ModeSet {
    Inode node;
    unsigned mode;
};
using Effect = std::variant<NameAdded, NameRemoved, NameMoved, DataWritten, Stamped, ModeSet>;

struct Synced {
    Inode node;
};
/// What a caller was told, or told the disk: "acknowledged <name>".
struct Mark {
    std::string text;
};
using DiskEvent = std::variant<Effect, Synced, Mark>;

/// How an effect that nobody synced came out.
enum class Outcome { kept, lost, zeroed, cut };

class MemoryDisk final : public cache::FileSystem {
public:
    /// An empty disk with the directory `mount` (one component below "/").
    explicit MemoryDisk(const std::string& mount);
    explicit MemoryDisk(DiskImage image);
    ~MemoryDisk() override;

    [[nodiscard]] DiskImage image() const;
    [[nodiscard]] std::vector<DiskEvent> events() const;
    void mark(std::string text);
    /// Forgets the events: everything up to now is durable.
    void settle();
    [[nodiscard]] std::size_t open_descriptors() const;
    [[nodiscard]] std::map<std::string, std::size_t> calls() const;

    /// For planting and looking, past the interface. @throws std::out_of_range for no such path.
    [[nodiscard]] Bytes contents(const std::string& path) const;
    void set_contents(const std::string& path, Bytes bytes);
    void set_modified(const std::string& path, std::int64_t nanoseconds);
    /// Moves this machine's clock, forwards or back.
    void move_clock(std::chrono::nanoseconds by);
    /// Times of files are kept in whole multiples of it.
    void set_granularity(std::chrono::nanoseconds granularity);

    int open_root(const std::string& path) override;
    int open_directory(int parent, const std::string& name) override;
    int open_file(int parent, const std::string& name) override;
    int create_file(int parent, const std::string& name) override;
    void make_directory(int parent, const std::string& name) override;
    cache::FileStatus status(int descriptor) override;
    cache::FileStatus status_at(int parent, const std::string& name) override;
    std::size_t read(int descriptor, std::span<std::byte> into) override;
    void write(int descriptor, std::span<const std::byte> bytes) override;
    void sync(int descriptor) override;
    void rename(int from_parent, const std::string& from, int to_parent,
                const std::string& to) override;
    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override;
    void exchange(int parent, const std::string& name, int other_parent,
                  const std::string& other) override;
    void remove_file(int parent, const std::string& name) override;
    void remove_directory(int parent, const std::string& name) override;
    std::vector<std::string> list(int directory) override;
    int open_lock_file(int parent, const std::string& name) override;
    bool try_lock(int descriptor, std::uint64_t byte) override;
    std::int64_t file_system_type(int descriptor) override;
    void set_times(int descriptor, std::int64_t nanoseconds) override;
    void set_mode(int descriptor, unsigned mode) override;
    void close(int descriptor) noexcept override;
    std::int64_t now_nanoseconds() override;
    /// Moves the clock instead of waiting.
    void pause(std::chrono::milliseconds time) override;

private:
    struct Open {
        Inode node;
        std::size_t offset = 0;
    };
    void called(const char* call) { ++calls_[call]; }
    [[nodiscard]] Open& open(int descriptor);
    [[nodiscard]] DiskNode& directory(int descriptor);
    [[nodiscard]] DiskNode fresh(bool is_directory) const;
    /// `name` may have several components.
    [[nodiscard]] Inode lookup(int parent, const std::string& name);
    [[nodiscard]] std::int64_t now() const;
    [[nodiscard]] std::int64_t rounded(std::int64_t nanoseconds) const;
    [[nodiscard]] Inode walk(const std::string& path) const;
    [[nodiscard]] int opened(Inode node);
    [[nodiscard]] Inode make(int parent, const std::string& name, bool is_directory);
    void move(int from_parent, const std::string& from, int to_parent, const std::string& to);
    void record(DiskEvent event) { events_.push_back(std::move(event)); }

    mutable std::mutex mutex_;
    DiskImage nodes_;
    std::vector<DiskEvent> events_;
    std::map<int, Open> open_;
    int next_descriptor_ = 1000;
    std::map<std::string, std::size_t> calls_;
    std::map<std::pair<Inode, std::uint64_t>, int> locks_;  // and the descriptor that holds each
    std::chrono::nanoseconds clock_offset_{0};
    std::chrono::nanoseconds granularity_{1};
};

/// Carries out one effect on an image, as it came out.
void apply(DiskImage& image, const Effect& effect, Outcome outcome);

/// The nodes that a power failure after `events` would find made durable: for each event that is an
/// effect, whether a later sync covers it.
[[nodiscard]] std::vector<bool> durable(const std::vector<DiskEvent>& events, std::size_t length);

/// One text for everything that can be reached: equal texts are equal disks.
[[nodiscard]] std::string fingerprint(const DiskImage& image);

}  // namespace opforge::test
