#include <opforge/base/machine_limits.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <sched.h>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace opforge {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> found;
    for (std::string word; stream >> word;) {
        found.push_back(std::move(word));
    }
    return found;
}

// Nothing for "max", "-1" and what is no number.
std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [after, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && after == end ? std::optional(value) : std::nullopt;
}

std::vector<std::string> first_line(const fs::path& file) {
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);
    return words(line);
}

std::optional<std::uint64_t> number_in(const fs::path& file) {
    const auto line = first_line(file);
    return line.empty() ? std::nullopt : number(line.front());
}

// The number behind `name` in a file of "name number" or "name: number kB" lines.
std::optional<std::uint64_t> number_named(const fs::path& file, std::string_view name) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        const auto parts = words(line);
        if (parts.size() >= 2 && parts[0] == name) {
            return number(parts[1]);
        }
    }
    return std::nullopt;
}

bool lists(const std::string& comma_separated, std::string_view word) {
    std::istringstream stream(comma_separated);
    for (std::string part; std::getline(stream, part, ',');) {
        if (part == word) {
            return true;
        }
    }
    return false;
}

struct Mount {
    fs::path point;
    fs::path of;  // the part of the hierarchy that is mounted there
};

// Line of mountinfo: id parent device root point options [tags] - type source superoptions
std::optional<Mount> find_mount(const fs::path& root, std::string_view type,
                                std::string_view controller) {
    std::ifstream stream(root / "proc/self/mountinfo");
    for (std::string line; std::getline(stream, line);) {
        const auto parts = words(line);
        const auto dash = std::find(parts.begin(), parts.end(), "-");
        if (parts.size() < 5 || parts.end() - dash < 4 || dash[1] != type) {
            continue;
        }
        if (controller.empty() || lists(dash[3], controller)) {
            return Mount{parts[4], parts[3]};
        }
    }
    return std::nullopt;
}

// Line of /proc/self/cgroup: id:controllers:path; version 2's has id 0 and no controllers.
std::optional<std::string> cgroup_path(const fs::path& root, std::string_view controller) {
    std::ifstream stream(root / "proc/self/cgroup");
    for (std::string line; std::getline(stream, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second =
            first == std::string::npos ? std::string::npos : line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (controller.empty() ? controllers.empty() : lists(controllers, controller)) {
            return line.substr(second + 1);
        }
    }
    return std::nullopt;
}

// Calls `visit` with the process's cgroup folder and each one above it, up to the mount point: a
// limit may be set at any of them.
void visit_cgroups(const fs::path& root, std::string_view type, std::string_view controller,
                   const std::function<void(const fs::path&)>& visit) {
    const auto mount = find_mount(root, type, controller);
    const auto path = cgroup_path(root, controller);
    if (!mount || !path) {
        return;
    }
    // In a container the path may be the host's, while only the container's part is mounted.
    fs::path below = fs::path(*path).lexically_relative(mount->of);
    if (below.empty() || *below.begin() == ".." || below == ".") {
        below.clear();
    }
    const fs::path top = root / mount->point.relative_path();
    for (;; below = below.parent_path()) {
        visit(top / below);
        if (below.empty()) {
            return;
        }
    }
}

double quota(const std::optional<std::uint64_t>& micros, const std::optional<std::uint64_t>& per) {
    return micros && per && *micros > 0 && *per > 0
               ? static_cast<double>(*micros) / static_cast<double>(*per)
               : std::numeric_limits<double>::infinity();
}

double processor_quota(const fs::path& root) {
    double least = std::numeric_limits<double>::infinity();
    visit_cgroups(root, "cgroup2", "", [&](const fs::path& folder) {
        const auto line = first_line(folder / "cpu.max");
        if (line.size() == 2) {
            least = std::min(least, quota(number(line[0]), number(line[1])));
        }
    });
    visit_cgroups(root, "cgroup", "cpu", [&](const fs::path& folder) {
        least = std::min(least, quota(number_in(folder / "cpu.cfs_quota_us"),
                                      number_in(folder / "cpu.cfs_period_us")));
    });
    return least;
}

std::uint64_t left_of(const std::optional<std::uint64_t>& limit,
                      const std::optional<std::uint64_t>& used,
                      const std::optional<std::uint64_t>& droppable) {
    if (!limit) {
        return kUnlimited;
    }
    const std::uint64_t in_use =
        used.value_or(0) - std::min(used.value_or(0), droppable.value_or(0));
    return *limit - std::min(*limit, in_use);
}

std::uint64_t memory_left(const fs::path& root) {
    constexpr std::uint64_t kKibibyte = 1024;
    std::uint64_t least = kUnlimited;
    if (const auto available = number_named(root / "proc/meminfo", "MemAvailable:")) {
        least = *available * kKibibyte;
    }
    visit_cgroups(root, "cgroup2", "", [&](const fs::path& folder) {
        least = std::min(least, left_of(number_in(folder / "memory.max"),
                                        number_in(folder / "memory.current"),
                                        number_named(folder / "memory.stat", "inactive_file")));
    });
    visit_cgroups(root, "cgroup", "memory", [&](const fs::path& folder) {
        least =
            std::min(least, left_of(number_in(folder / "memory.limit_in_bytes"),
                                    number_in(folder / "memory.usage_in_bytes"),
                                    number_named(folder / "memory.stat", "total_inactive_file")));
    });
    return least;
}

int affinity() {
    // The fixed set holds 1024 processors; a larger machine refuses it, and then counts whole.
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
        return CPU_COUNT(&set);
    }
    return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

MachineLimits machine_limits(const fs::path& root) {
    MachineLimits limits;
    const double processors =
        std::min(static_cast<double>(affinity()), std::ceil(processor_quota(root)));
    limits.processors = std::max(1, static_cast<int>(processors));
    const std::uint64_t memory = memory_left(root);
    if (memory != kUnlimited) {
        limits.memory_bytes = memory;
    }
    return limits;
}

}  // namespace opforge
