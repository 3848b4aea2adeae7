#include "file_fingerprint.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/cache/digest.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace opforge::builder {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#else
#error "opforge: NVRTC exists for x86-64 and 64-bit Arm only"
#endif

class Descriptor {
public:
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (value_ >= 0) {
            ::close(value_);
        }
    }
    [[nodiscard]] int value() const { return value_; }
    [[nodiscard]] bool is_open() const { return value_ >= 0; }

private:
    int value_;
};

// All of `into`, or false.
bool read_at(int file, std::uint64_t offset, std::span<std::byte> into) {
    while (!into.empty()) {
        const ssize_t got = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        into = into.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return true;
}

template <typename T>
bool read_object(int file, std::uint64_t offset, T& object) {
    return read_at(file, offset, std::as_writable_bytes(std::span(&object, 1)));
}

std::size_t padded(std::size_t size) {
    return (size + 3) & ~std::size_t{3};
}

// The GNU build-id of one note segment.
std::optional<std::string> find_build_id(std::span<const std::byte> notes) {
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note{};
        std::memcpy(&note, notes.data(), sizeof note);
        notes = notes.subspan(sizeof note);
        const std::size_t name = padded(note.n_namesz);
        if (name > notes.size() || note.n_descsz > notes.size() - name) {
            return std::nullopt;
        }
        constexpr std::string_view kGnu("GNU\0", 4);
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == kGnu.size() && note.n_descsz > 0 &&
            std::memcmp(notes.data(), kGnu.data(), kGnu.size()) == 0) {
            return to_hex(notes.subspan(name, note.n_descsz));
        }
        notes = notes.subspan(std::min(name + padded(note.n_descsz), notes.size()));
    }
    return std::nullopt;
}

std::optional<std::string> read_build_id(int file, const Elf64_Ehdr& header) {
    constexpr Elf64_Half kMostSegments = 64;
    constexpr std::size_t kMostNoteBytes = 4096;
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMostSegments) {
        return std::nullopt;
    }
    std::vector<Elf64_Phdr> segments(header.e_phnum);
    if (!read_at(file, header.e_phoff, std::as_writable_bytes(std::span(segments)))) {
        return std::nullopt;
    }
    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type != PT_NOTE || segment.p_filesz > kMostNoteBytes) {
            continue;
        }
        Bytes notes(segment.p_filesz);
        if (read_at(file, segment.p_offset, notes)) {
            if (auto found = find_build_id(notes)) {
                return found;
            }
        }
    }
    return std::nullopt;
}

std::optional<std::string> hash_ends(int file, std::uint64_t size) {
    constexpr std::uint64_t kEnd = 65536;
    const std::uint64_t head = std::min(size, kEnd);
    const std::uint64_t tail = std::min(size - head, kEnd);
    Bytes bytes(head + tail);
    const std::span<std::byte> all(bytes);
    if (!read_at(file, 0, all.first(head)) || !read_at(file, size - tail, all.subspan(head))) {
        return std::nullopt;
    }
    return fmt::format("size-{}-{}", size, cache::sha256(bytes).hex());
}

std::string file_key(const struct stat& status) {
    return fmt::format("{}:{}:{}.{:09}:{}", status.st_dev, status.st_ino, status.st_mtim.tv_sec,
                       status.st_mtim.tv_nsec, status.st_size);
}

constexpr const char* kFolder = "v1";
constexpr const char* kFile = "toolchains.json";
constexpr std::size_t kMostBytes = 65536;
constexpr std::size_t kMostFiles = 64;

bool is_fingerprint(const std::string& text) {
    return text.size() >= 8 && text.size() <= 256 &&
           text.find_first_not_of("0123456789abcdefsize-") == std::string::npos;
}

// What another user owns or could have written is not believed: a fingerprint decides which cubins
// are served.
bool is_ours(const struct stat& status) {
    return status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Descriptor open_folder(const std::filesystem::path& cache_root) {
    const Descriptor root(::open(cache_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return Descriptor(root.is_open() ? ::openat(root.value(), kFolder,
                                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                                     : -1);
}

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t done = ::write(file, text.data(), text.size());
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
}

Descriptor open_library(const std::filesystem::path& file) {
    return Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

// Nothing where the library has no build-id: only its bytes tell it from another one then.
std::optional<FileFingerprint> read_quickly(const Descriptor& opened, struct stat& status) {
    if (!opened.is_open() || ::fstat(opened.value(), &status) != 0) {
        return FileFingerprint{{}, fmt::format("cannot be opened: {}", std::strerror(errno))};
    }
    Elf64_Ehdr header{};
    if (!S_ISREG(status.st_mode) || !read_object(opened.value(), 0, header) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN ||
        header.e_machine != kMachine) {
        return FileFingerprint{{}, "is not a shared library of this machine's kind"};
    }
    if (auto id = read_build_id(opened.value(), header)) {
        return FileFingerprint{*std::move(id), {}};
    }
    return std::nullopt;
}

FileFingerprint read_slowly(const Descriptor& opened, const struct stat& status) {
    if (auto ends = hash_ends(opened.value(), static_cast<std::uint64_t>(status.st_size))) {
        return {*std::move(ends), {}};
    }
    return {{}, "cannot be read to its end"};
}

}  // namespace

FileFingerprint read_fingerprint(const std::filesystem::path& file) {
    const Descriptor opened = open_library(file);
    struct stat status {};
    const auto quick = read_quickly(opened, status);
    return quick ? *quick : read_slowly(opened, status);
}

RememberedFingerprints::RememberedFingerprints(std::filesystem::path cache_root)
    : cache_root_(std::move(cache_root)) {}

FileFingerprint RememberedFingerprints::of(const std::filesystem::path& file) {
    const Descriptor opened = open_library(file);
    struct stat status {};
    // A build-id is three small reads, fewer than the memory takes.
    if (const auto quick = read_quickly(opened, status)) {
        return *quick;
    }
    if (cache_root_.empty()) {
        return read_slowly(opened, status);
    }
    if (!loaded_) {
        load();
    }
    const std::string key = file_key(status);
    if (const auto found = known_.find(key); found != known_.end()) {
        return {found->second, {}};
    }
    FileFingerprint fresh = read_slowly(opened, status);
    if (!fresh.text.empty()) {
        if (known_.size() >= kMostFiles) {
            known_.clear();
        }
        known_[key] = fresh.text;
        changed_ = true;
    }
    return fresh;
}

void RememberedFingerprints::load() {
    loaded_ = true;
    const Descriptor folder = open_folder(cache_root_);
    if (!folder.is_open()) {
        return;
    }
    const Descriptor file(
        ::openat(folder.value(), kFile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!file.is_open() || ::fstat(file.value(), &status) != 0 || !S_ISREG(status.st_mode) ||
        !is_ours(status) || status.st_size < 0 ||
        static_cast<std::size_t>(status.st_size) > kMostBytes) {
        return;
    }
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    if (!read_at(file.value(), 0, std::as_writable_bytes(std::span(text)))) {
        return;
    }
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("schema", nlohmann::json()) != 1 ||
        !json.contains("files") || !json["files"].is_object() ||
        json["files"].size() > kMostFiles) {
        return;
    }
    for (const auto& [key, value] : json["files"].items()) {
        if (value.is_string() && is_fingerprint(value.get<std::string>())) {
            known_[key] = value.get<std::string>();
        }
    }
}

void RememberedFingerprints::save() noexcept {
    if (!changed_ || cache_root_.empty()) {
        return;
    }
    changed_ = false;
    try {
        // The cache may not have made its folders yet: the first compile comes after the first
        // fingerprint.
        std::error_code ignored;
        if (!std::filesystem::exists(cache_root_, ignored)) {
            std::filesystem::create_directories(cache_root_.parent_path(), ignored);
            ::mkdir(cache_root_.c_str(), S_IRWXU);
        }
        ::mkdir((cache_root_ / kFolder).c_str(), S_IRWXU);
        const Descriptor folder = open_folder(cache_root_);
        struct stat status {};
        if (!folder.is_open() || ::fstat(folder.value(), &status) != 0 || !is_ours(status)) {
            return;
        }
        const nlohmann::json json = {{"schema", 1}, {"files", known_}};
        const std::string staged = fmt::format("{}.{}", kFile, ::getpid());
        // Left over by a process of the same number that died here.
        ::unlinkat(folder.value(), staged.c_str(), 0);
        const Descriptor file(::openat(folder.value(), staged.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                       S_IRUSR | S_IWUSR));
        if (!file.is_open()) {
            return;
        }
        if (!write_all(file.value(), json.dump() + "\n") ||
            ::renameat(folder.value(), staged.c_str(), folder.value(), kFile) != 0) {
            ::unlinkat(folder.value(), staged.c_str(), 0);
        }
    } catch (const std::exception&) {
        // Remembering is a shortcut: without it the next process reads the build-ids again.
        return;
    }
}

}  // namespace opforge::builder
