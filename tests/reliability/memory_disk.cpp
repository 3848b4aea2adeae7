#include "memory_disk.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <system_error>

namespace opforge::test {
namespace {

constexpr std::size_t kSector = 512;

[[noreturn]] void fail(int code, const char* call) {
    throw std::system_error(code, std::generic_category(), call);
}

std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    std::istringstream stream(path);
    for (std::string part; std::getline(stream, part, '/');) {
        if (!part.empty()) {
            parts.push_back(part);
        }
    }
    return parts;
}

template <typename... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

DiskNode MemoryDisk::fresh(bool is_directory) const {
    DiskNode node;
    node.is_directory = is_directory;
    node.owner = ::geteuid();
    node.mode = is_directory ? 0700 : 0600;
    node.modified_nanoseconds = rounded(now());
    return node;
}

std::int64_t MemoryDisk::now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch() + clock_offset_)
        .count();
}

std::int64_t MemoryDisk::rounded(std::int64_t nanoseconds) const {
    return nanoseconds / granularity_.count() * granularity_.count();
}

MemoryDisk::MemoryDisk(const std::string& mount) {
    nodes_.push_back(fresh(true));
    nodes_.push_back(fresh(true));
    nodes_[0].names[mount] = 1;
}
MemoryDisk::MemoryDisk(DiskImage image) : nodes_(std::move(image)) {}
MemoryDisk::~MemoryDisk() = default;

DiskImage MemoryDisk::image() const {
    const std::lock_guard lock(mutex_);
    return nodes_;
}
std::vector<DiskEvent> MemoryDisk::events() const {
    const std::lock_guard lock(mutex_);
    return events_;
}
void MemoryDisk::mark(std::string text) {
    const std::lock_guard lock(mutex_);
    record(Mark{std::move(text)});
}
void MemoryDisk::settle() {
    const std::lock_guard lock(mutex_);
    events_.clear();
    calls_.clear();
}
std::size_t MemoryDisk::open_descriptors() const {
    const std::lock_guard lock(mutex_);
    return open_.size();
}
std::map<std::string, std::size_t> MemoryDisk::calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
}

Inode MemoryDisk::walk(const std::string& path) const {
    Inode node = 0;
    for (const std::string& part : parts_of(path)) {
        node = nodes_[node].names.at(part);
    }
    return node;
}
Bytes MemoryDisk::contents(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return nodes_[walk(path)].data;
}
void MemoryDisk::set_contents(const std::string& path, Bytes bytes) {
    const std::lock_guard lock(mutex_);
    nodes_[walk(path)].data = std::move(bytes);
}
void MemoryDisk::set_modified(const std::string& path, std::int64_t nanoseconds) {
    const std::lock_guard lock(mutex_);
    nodes_[walk(path)].modified_nanoseconds = nanoseconds;
}

MemoryDisk::Open& MemoryDisk::open(int descriptor) {
    const auto found = open_.find(descriptor);
    if (found == open_.end()) {
        fail(EBADF, "descriptor");
    }
    return found->second;
}

DiskNode& MemoryDisk::directory(int descriptor) {
    DiskNode& node = nodes_[open(descriptor).node];
    if (!node.is_directory) {
        fail(ENOTDIR, "directory");
    }
    return node;
}

Inode MemoryDisk::lookup(int parent, const std::string& name) {
    Inode node = open(parent).node;
    for (const std::string& part : parts_of(name)) {
        if (part == ".") {
            continue;
        }
        if (!nodes_[node].is_directory) {
            fail(ENOTDIR, "lookup");
        }
        const auto found = nodes_[node].names.find(part);
        if (found == nodes_[node].names.end()) {
            fail(ENOENT, "lookup");
        }
        node = found->second;
    }
    return node;
}

void MemoryDisk::move_clock(std::chrono::nanoseconds by) {
    const std::lock_guard lock(mutex_);
    clock_offset_ += by;
}

void MemoryDisk::set_granularity(std::chrono::nanoseconds granularity) {
    const std::lock_guard lock(mutex_);
    granularity_ = granularity;
}

int MemoryDisk::opened(Inode node) {
    open_[next_descriptor_] = {node, 0};
    return next_descriptor_++;
}

int MemoryDisk::open_root(const std::string& path) {
    const std::lock_guard lock(mutex_);
    called("open_root");
    Inode node = 0;
    for (const std::string& part : parts_of(path)) {
        const auto& names = nodes_[node].names;
        const auto found = names.find(part);
        if (found == names.end()) {
            fail(nodes_[node].is_directory ? ENOENT : ENOTDIR, "open");
        }
        node = found->second;
    }
    if (!nodes_[node].is_directory) {
        fail(ENOTDIR, "open");
    }
    return opened(node);
}

int MemoryDisk::open_directory(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("open_directory");
    const Inode node = lookup(parent, name);
    if (!nodes_[node].is_directory) {
        fail(ENOTDIR, "openat");
    }
    return opened(node);
}

int MemoryDisk::open_file(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("open_file");
    return opened(lookup(parent, name));
}

Inode MemoryDisk::make(int parent, const std::string& name, bool is_directory) {
    const Inode in = open(parent).node;
    if (directory(parent).names.contains(name)) {
        fail(EEXIST, "create");
    }
    const Inode node = nodes_.size();
    nodes_.push_back(fresh(is_directory));
    nodes_[in].names[name] = node;
    record(Effect(NameAdded{in, name, node}));
    return node;
}

int MemoryDisk::create_file(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("create_file");
    return opened(make(parent, name, false));
}

void MemoryDisk::make_directory(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("make_directory");
    static_cast<void>(make(parent, name, true));
}

namespace {

cache::FileStatus status_of(const DiskNode& node, Inode inode) {
    cache::FileStatus status;
    status.is_directory = node.is_directory;
    status.is_regular = !node.is_directory;
    status.owner = node.owner;
    status.mode = node.mode;
    status.size_bytes = node.data.size();
    status.device = 1;
    status.inode = inode;
    status.modified_nanoseconds = node.modified_nanoseconds;
    status.links = 1;
    return status;
}

}  // namespace

cache::FileStatus MemoryDisk::status(int descriptor) {
    const std::lock_guard lock(mutex_);
    called("status");
    const Inode node = open(descriptor).node;
    return status_of(nodes_[node], node);
}

cache::FileStatus MemoryDisk::status_at(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("status_at");
    const Inode node = lookup(parent, name);
    return status_of(nodes_[node], node);
}

std::size_t MemoryDisk::read(int descriptor, std::span<std::byte> into) {
    const std::lock_guard lock(mutex_);
    called("read");
    Open& file = open(descriptor);
    const Bytes& data = nodes_[file.node].data;
    const std::size_t count =
        std::min(into.size(), data.size() - std::min(data.size(), file.offset));
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(file.offset), count, into.begin());
    file.offset += count;
    return count;
}

void MemoryDisk::write(int descriptor, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    called("write");
    Open& file = open(descriptor);
    const Effect effect = DataWritten{file.node, file.offset, Bytes(bytes.begin(), bytes.end())};
    apply(nodes_, effect, Outcome::kept);
    file.offset += bytes.size();
    record(effect);
}

void MemoryDisk::sync(int descriptor) {
    const std::lock_guard lock(mutex_);
    called("sync");
    record(Synced{open(descriptor).node});
}

void MemoryDisk::move(int from_parent, const std::string& from, int to_parent,
                      const std::string& to) {
    const Inode node = lookup(from_parent, from);
    const Effect effect =
        NameMoved{open(from_parent).node, from, open(to_parent).node, to, node, 0};
    apply(nodes_, effect, Outcome::kept);
    record(effect);
}

void MemoryDisk::rename(int from_parent, const std::string& from, int to_parent,
                        const std::string& to) {
    const std::lock_guard lock(mutex_);
    called("rename");
    const auto& names = directory(to_parent).names;
    if (const auto taken = names.find(to); taken != names.end()) {
        const DiskNode& old = nodes_[taken->second];
        if (old.is_directory && !old.names.empty()) {
            fail(ENOTEMPTY, "renameat");
        }
    }
    move(from_parent, from, to_parent, to);
}

void MemoryDisk::rename_no_replace(int from_parent, const std::string& from, int to_parent,
                                   const std::string& to) {
    const std::lock_guard lock(mutex_);
    called("rename_no_replace");
    if (directory(to_parent).names.contains(to)) {
        fail(EEXIST, "renameat2");
    }
    move(from_parent, from, to_parent, to);
}

void MemoryDisk::exchange(int parent, const std::string& name, int other_parent,
                          const std::string& other) {
    const std::lock_guard lock(mutex_);
    called("exchange");
    const Effect effect = NameMoved{open(parent).node,       name,
                                    open(other_parent).node, other,
                                    lookup(parent, name),    lookup(other_parent, other)};
    apply(nodes_, effect, Outcome::kept);
    record(effect);
}

void MemoryDisk::remove_file(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("remove_file");
    if (nodes_[lookup(parent, name)].is_directory) {
        fail(EISDIR, "unlinkat");
    }
    const Effect effect = NameRemoved{open(parent).node, name};
    apply(nodes_, effect, Outcome::kept);
    record(effect);
}

void MemoryDisk::remove_directory(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("remove_directory");
    const DiskNode& node = nodes_[lookup(parent, name)];
    if (!node.is_directory) {
        fail(ENOTDIR, "unlinkat");
    }
    if (!node.names.empty()) {
        fail(ENOTEMPTY, "unlinkat");
    }
    const Effect effect = NameRemoved{open(parent).node, name};
    apply(nodes_, effect, Outcome::kept);
    record(effect);
}

std::vector<std::string> MemoryDisk::list(int descriptor) {
    const std::lock_guard lock(mutex_);
    called("list");
    std::vector<std::string> names;
    for (const auto& [name, node] : directory(descriptor).names) {
        names.push_back(name);
    }
    return names;
}

int MemoryDisk::open_lock_file(int parent, const std::string& name) {
    const std::lock_guard lock(mutex_);
    called("open_lock_file");
    const auto& names = directory(parent).names;
    const auto found = names.find(name);
    return opened(found == names.end() ? make(parent, name, false) : found->second);
}

bool MemoryDisk::try_lock(int descriptor, std::uint64_t byte) {
    const std::lock_guard lock(mutex_);
    called("try_lock");
    return locks_.try_emplace({open(descriptor).node, byte}, descriptor).first->second ==
           descriptor;
}

std::int64_t MemoryDisk::file_system_type(int descriptor) {
    constexpr std::int64_t kExt4 = 0xef53;
    const std::lock_guard lock(mutex_);
    called("file_system_type");
    static_cast<void>(open(descriptor));
    return kExt4;
}

void MemoryDisk::set_times(int descriptor, std::int64_t nanoseconds) {
    const std::lock_guard lock(mutex_);
    called("set_times");
    const Effect effect = Stamped{open(descriptor).node, rounded(nanoseconds)};
    apply(nodes_, effect, Outcome::kept);
    record(effect);
}

void MemoryDisk::set_mode(int descriptor, unsigned mode) {
    const std::lock_guard lock(mutex_);
    called("set_mode");
    const Effect effect = ModeSet{open(descriptor).node, mode};
    apply(nodes_, effect, Outcome::kept);
    record(effect);
}

void MemoryDisk::close(int descriptor) noexcept {
    const std::lock_guard lock(mutex_);
    open_.erase(descriptor);
    std::erase_if(locks_, [&](const auto& held) { return held.second == descriptor; });
}

std::int64_t MemoryDisk::now_nanoseconds() {
    const std::lock_guard lock(mutex_);
    return now();
}

void MemoryDisk::pause(std::chrono::milliseconds time) {
    move_clock(time);
}

void apply(DiskImage& image, const Effect& effect, Outcome outcome) {
    if (outcome == Outcome::lost) {
        return;
    }
    std::visit(
        Overloaded{
            [&](const NameAdded& one) { image[one.directory].names[one.name] = one.node; },
            [&](const NameRemoved& one) { image[one.directory].names.erase(one.name); },
            [&](const NameMoved& one) {
                auto& from = image[one.from_directory].names;
                if (const auto place = from.find(one.from);
                    place != from.end() && place->second == one.node) {
                    from.erase(place);
                }
                image[one.to_directory].names[one.to] = one.node;
                if (one.exchanged != 0) {
                    from[one.from] = one.exchanged;
                }
            },
            [&](const DataWritten& one) {
                Bytes& data = image[one.file].data;
                std::size_t end = one.offset + one.bytes.size();
                if (outcome == Outcome::cut) {
                    end = (end - 1) / kSector * kSector;
                    if (end <= one.offset) {
                        return;
                    }
                }
                data.resize(std::max(data.size(), end));
                const auto place = data.begin() + static_cast<std::ptrdiff_t>(one.offset);
                if (outcome == Outcome::zeroed) {
                    std::fill_n(place, end - one.offset, std::byte{0});
                } else {
                    std::copy_n(one.bytes.begin(), end - one.offset, place);
                }
            },
            [&](const Stamped& one) { image[one.node].modified_nanoseconds = one.nanoseconds; },
            [&](const ModeSet& one) { image[one.node].mode = one.mode; }},
        effect);
}

std::vector<bool> durable(const std::vector<DiskEvent>& events, std::size_t length) {
    std::vector<bool> result(length, false);
    for (std::size_t i = 0; i < length; ++i) {
        const auto* const effect = std::get_if<Effect>(&events[i]);
        if (effect == nullptr) {
            continue;
        }
        const Inode node =
            std::visit(Overloaded{[](const NameAdded& one) { return one.directory; },
                                  [](const NameRemoved& one) { return one.directory; },
                                  // The name is durable where it was moved to; that it is gone from
                                  // where it came from goes with it.
                                  [](const NameMoved& one) { return one.to_directory; },
                                  [](const DataWritten& one) { return one.file; },
                                  [](const Stamped& one) { return one.node; },
                                  [](const ModeSet& one) { return one.node; }},
                       *effect);
        for (std::size_t j = i + 1; j < length && !result[i]; ++j) {
            const auto* const synced = std::get_if<Synced>(&events[j]);
            result[i] = synced != nullptr && synced->node == node;
        }
    }
    return result;
}

namespace {

void describe(const DiskImage& image, Inode node, std::string& text) {
    const DiskNode& one = image[node];
    if (!one.is_directory) {
        text += 'f' + std::to_string(one.data.size()) + ':';
        text.append(reinterpret_cast<const char*>(one.data.data()), one.data.size());
        return;
    }
    text += 'd';
    for (const auto& [name, child] : one.names) {
        text += name + '=';
        describe(image, child, text);
        text += ';';
    }
    text += '.';
}

}  // namespace

std::string fingerprint(const DiskImage& image) {
    std::string text;
    describe(image, 0, text);
    return text;
}

}  // namespace opforge::test
