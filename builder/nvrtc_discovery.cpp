#include "nvrtc_search.hpp"

#include <opforge/base/dynamic_library.hpp>
#include <opforge/base/environment.hpp>

#include <fmt/format.h>

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace opforge::builder {
namespace {

namespace fs = std::filesystem;

// CUlibrary, which all loading goes through, came with CUDA 12. Newer majors than today's are
// looked for too: each costs one failed stat.
constexpr int kOldestMajor = 12;
constexpr int kNewestMajor = 19;
constexpr int kNewestMinor = 9;

#if defined(__aarch64__)
constexpr const char* kTargetFolder = "targets/sbsa-linux/lib";
#else
constexpr const char* kTargetFolder = "targets/x86_64-linux/lib";
#endif

bool is_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

fs::path real_path(const fs::path& path) {
    std::error_code error;
    fs::path real = fs::canonical(path, error);
    return error ? path : real;
}

// Sorted by name; empty where the folder is unreadable.
std::vector<fs::path> subfolders(const fs::path& folder, std::string_view prefix) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator one(folder, error), end; !error && one != end;
         one.increment(error)) {
        if (one->path().filename().native().starts_with(prefix) && is_folder(one->path())) {
            found.push_back(one->path());
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

struct Version {
    int major = -1;
    int minor = -1;
};

// The numbers behind `prefix`: "libnvrtc.so.12.4.127" -> 12, 4.
Version version_behind(std::string_view name, std::string_view prefix) {
    Version version;
    if (!name.starts_with(prefix)) {
        return version;
    }
    name.remove_prefix(prefix.size());
    const char* const end = name.data() + name.size();
    const auto [after, error] = std::from_chars(name.data(), end, version.major);
    if (error != std::errc{}) {
        version.major = -1;
        return version;
    }
    if (after != end && *after == '.' &&
        std::from_chars(after + 1, end, version.minor).ec != std::errc{}) {
        version.minor = -1;
    }
    return version;
}

struct Builtins {
    fs::path path;
    Version version;
};

// The newest libnvrtc-builtins.so.X.Y that agrees with what the library's name says.
std::optional<Builtins> find_builtins(const fs::path& folder, const Version& named) {
    const int newest_major = named.major >= 0 ? named.major : kNewestMajor;
    const int oldest_major = named.major >= 0 ? named.major : kOldestMajor;
    const int newest_minor = named.minor >= 0 ? named.minor : kNewestMinor;
    const int oldest_minor = named.minor >= 0 ? named.minor : 0;
    for (int major = newest_major; major >= oldest_major; --major) {
        for (int minor = newest_minor; minor >= oldest_minor; --minor) {
            fs::path path = folder / fmt::format("libnvrtc-builtins.so.{}.{}", major, minor);
            if (is_file(path)) {
                return Builtins{std::move(path), {major, minor}};
            }
        }
    }
    return std::nullopt;
}

constexpr std::string_view kVersioned = "cuda-*";

// Of /usr/local/cuda-*: cuda-13.0 and cuda-12.9, newest first.
std::vector<fs::path> versioned_toolkits(const fs::path& parent) {
    std::vector<std::pair<std::pair<int, int>, fs::path>> found;
    for (const fs::path& folder : subfolders(parent, "cuda-")) {
        const Version version = version_behind(folder.filename().native(), "cuda-");
        if (version.major >= kOldestMajor) {
            found.emplace_back(std::pair(version.major, version.minor), folder);
        }
    }
    std::sort(found.rbegin(), found.rend());
    std::vector<fs::path> folders;
    folders.reserve(found.size());
    for (auto& [version, folder] : found) {
        folders.push_back(std::move(folder));
    }
    return folders;
}

class Search {
public:
    Search(const DiscoveryEnvironment& environment, RememberedFingerprints& fingerprints,
           const std::function<bool(const NvrtcCandidate&)>& visit)
        : environment_(environment), fingerprints_(fingerprints), visit_(visit) {}

    void run(SearchDepth depth) {
        if (const auto library = variable("OPFORGE_NVRTC_LIBRARY")) {
            add_named(*library);
            return;
        }
        if (quick() || depth == SearchDepth::quick || wheels()) {
            return;
        }
        if (environment_.use_loader) {
            loader();
        }
    }

private:
    [[nodiscard]] std::optional<std::string> variable(const char* name) const {
        return environment_.variable ? environment_.variable(name) : std::nullopt;
    }

    // Each of the following answers true once the visitor is served.
    bool quick() {
        for (const char* name : {"CUDA_PATH", "CUDA_HOME"}) {
            if (const auto place = variable(name); place && add_toolkit(*place, name)) {
                return true;
            }
        }
        return std::any_of(environment_.toolkit_places.begin(), environment_.toolkit_places.end(),
                           [&](const fs::path& place) {
                               // Listed only now: where the places before it serve, a warm start
                               // need not look.
                               return place.filename() == kVersioned
                                          ? add_versioned(place.parent_path())
                                          : add_toolkit(place, place.string());
                           });
    }

    bool add_versioned(const fs::path& parent) {
        const std::vector<fs::path> toolkits = versioned_toolkits(parent);
        return std::any_of(toolkits.begin(), toolkits.end(), [&](const fs::path& toolkit) {
            return add_toolkit(toolkit, toolkit.string());
        });
    }

    bool wheels() {
        if (const auto place = variable("VIRTUAL_ENV");
            place && add_site(fs::path(*place) / "lib")) {
            return true;
        }
        if (const auto place = variable("CONDA_PREFIX")) {
            if (add_toolkit(*place, "CONDA_PREFIX") || add_site(fs::path(*place) / "lib")) {
                return true;
            }
        }
        return std::any_of(environment_.site_places.begin(), environment_.site_places.end(),
                           [&](const fs::path& place) { return add_site(place); });
    }

    bool loader() {
        // The loader takes an empty or relative entry for the current directory, and runs what it
        // finds there.
        if (const auto path = variable("LD_LIBRARY_PATH"); path && has_relative_entry(*path)) {
            return refuse(
                "libnvrtc.so", "loader",
                "not looked for: LD_LIBRARY_PATH has a relative or empty entry, which means the "
                "current directory");
        }
        for (int major = kNewestMajor; major >= kOldestMajor; --major) {
            DynamicLibrary opened(fmt::format("libnvrtc.so.{}", major));
            const fs::path path = opened.path();
            opened.leak();
            if (path.is_absolute() && add_library(path, "loader")) {
                return true;
            }
            if (opened.is_open()) {
                return false;
            }
        }
        return refuse("libnvrtc.so", "loader", "the loader finds none");
    }

    static bool has_relative_entry(std::string_view list) {
        for (;;) {
            const std::size_t end = std::min(list.find_first_of(":;"), list.size());
            if (end == 0 || list.front() != '/') {
                return true;
            }
            if (end == list.size()) {
                return false;
            }
            list.remove_prefix(end + 1);
        }
    }

    void add_named(const fs::path& library) {
        constexpr const char* kVia = "OPFORGE_NVRTC_LIBRARY";
        if (!library.is_absolute()) {
            refuse(library, kVia, "is a relative path; opforge opens absolute ones only");
        } else if (!is_file(library)) {
            refuse(library, kVia, "there is no such file");
        } else {
            add_library(library, kVia);
        }
    }

    // Every NVRTC of one toolkit (or of one folder of libraries), newest first.
    bool add_toolkit(const fs::path& place, const std::string& via) {
        if (!place.is_absolute()) {
            return refuse(place, via, "is a relative path; opforge looks in absolute ones only");
        }
        bool any = false;
        for (const fs::path& folder :
             {place / "lib64", place / kTargetFolder, place / "lib", place}) {
            if (add_folder(folder, via, any)) {
                return true;
            }
        }
        return !any && refuse(place, via, "holds no libnvrtc.so");
    }

    bool add_folder(const fs::path& folder, const std::string& via, bool& any) {
        bool versioned = false;
        for (int major = kNewestMajor; major >= kOldestMajor; --major) {
            const fs::path library = folder / fmt::format("libnvrtc.so.{}", major);
            if (is_file(library)) {
                versioned = any = true;
                if (add_library(library, via)) {
                    return true;
                }
            }
        }
        const fs::path plain = folder / "libnvrtc.so";
        if (!versioned && is_file(plain)) {
            any = true;
            return add_library(plain, via);
        }
        return false;
    }

    // The layouts of the nvidia wheels: nvidia/cu13/lib, nvidia/cuda_nvrtc/lib.
    bool add_site(const fs::path& site) {
        if (!site.is_absolute()) {
            return refuse(site, "wheel", "is a relative path; opforge looks in absolute ones only");
        }
        std::vector<fs::path> folders = {site};
        for (const fs::path& python : subfolders(site, "python3")) {
            folders.push_back(python / "site-packages");
            folders.push_back(python / "dist-packages");
        }
        bool any = false;
        for (const fs::path& folder : folders) {
            auto packages = subfolders(folder / "nvidia", "cu");
            std::reverse(packages.begin(), packages.end());  // cu14 before cu13
            for (const fs::path& package : packages) {
                if (add_folder(package / "lib", "wheel", any)) {
                    return true;
                }
            }
        }
        return !any && refuse(site, "wheel", "holds no nvidia wheel with libnvrtc.so");
    }

    bool refuse(const fs::path& place, const std::string& via, std::string reason) {
        NvrtcCandidate candidate;
        candidate.library = place;
        candidate.found_via = via;
        candidate.reason = std::move(reason);
        return visit_(candidate);
    }

    bool add_library(const fs::path& library, const std::string& via) {
        struct stat status {};
        if (::stat(library.c_str(), &status) == 0 &&
            !seen_.emplace(status.st_dev, status.st_ino).second) {
            return false;  // by another name or link
        }
        NvrtcCandidate candidate;
        candidate.library = library;
        candidate.found_via = via;
        candidate.reason = examine(candidate);
        candidate.usable = candidate.reason.empty();
        return visit_(candidate);
    }

    // Fills the candidate in; answers why it is not usable.
    std::string examine(NvrtcCandidate& candidate) {
        const fs::path real = real_path(candidate.library);
        Version named = version_behind(candidate.library.filename().native(), "libnvrtc.so.");
        if (named.minor < 0) {
            const Version of_real = version_behind(real.filename().native(), "libnvrtc.so.");
            named = of_real.major >= 0 ? of_real : named;
        }
        auto builtins = find_builtins(candidate.library.parent_path(), named);
        if (!builtins) {
            builtins = find_builtins(real.parent_path(), named);
        }
        candidate.major = std::max(named.major, 0);
        candidate.minor = std::max(named.minor, 0);
        if (candidate.major != 0 && candidate.major < kOldestMajor) {
            return fmt::format("is of CUDA {}; opforge needs {}.0 or newer", candidate.major,
                               kOldestMajor);
        }
        if (!builtins) {
            return named.major < 0
                       ? "its version is unknown: neither its name nor a libnvrtc-builtins.so.X.Y "
                         "beside it tells"
                       : fmt::format("has no libnvrtc-builtins.so.{}.{} beside it", named.major,
                                     named.minor < 0 ? "*" : std::to_string(named.minor));
        }
        candidate.builtins = builtins->path;
        candidate.major = builtins->version.major;
        candidate.minor = builtins->version.minor;
        FileFingerprint library = fingerprints_.of(candidate.library);
        if (library.text.empty()) {
            return library.problem;
        }
        const FileFingerprint beside = fingerprints_.of(candidate.builtins);
        if (beside.text.empty()) {
            return fmt::format("its builtins {}: the file {}", candidate.builtins.string(),
                               beside.problem);
        }
        candidate.fingerprint = fmt::format("{}+{}", library.text, beside.text);
        return {};
    }

    const DiscoveryEnvironment& environment_;
    RememberedFingerprints& fingerprints_;
    const std::function<bool(const NvrtcCandidate&)>& visit_;
    std::set<std::pair<dev_t, ino_t>> seen_;
};

std::vector<NvrtcCandidate> collect(const DiscoveryEnvironment& environment, SearchDepth depth) {
    RememberedFingerprints forgotten({});
    std::vector<NvrtcCandidate> found;
    search_nvrtc(environment, depth, forgotten, [&](const NvrtcCandidate& candidate) {
        found.push_back(candidate);
        return false;
    });
    return found;
}

}  // namespace

DiscoveryEnvironment DiscoveryEnvironment::of_process() {
    DiscoveryEnvironment process;
    process.variable = [](const char* name) { return environment(name); };
    process.toolkit_places = {"/usr/local/cuda", fs::path("/usr/local") / kVersioned, "/opt/cuda"};
#if defined(__aarch64__)
    process.toolkit_places.emplace_back("/usr/lib/aarch64-linux-gnu");
#else
    process.toolkit_places.emplace_back("/usr/lib/x86_64-linux-gnu");
#endif
    process.toolkit_places.emplace_back("/usr/lib64");
    if (const auto home = environment("HOME"); home && home->starts_with('/')) {
        process.site_places.push_back(fs::path(*home) / ".local/lib");
    }
    process.site_places.emplace_back("/usr/local/lib");
    process.site_places.emplace_back("/usr/lib");
    return process;
}

void search_nvrtc(const DiscoveryEnvironment& environment, SearchDepth depth,
                  RememberedFingerprints& fingerprints,
                  const std::function<bool(const NvrtcCandidate&)>& visit) {
    Search(environment, fingerprints, visit).run(depth);
}

std::vector<NvrtcCandidate> quick_candidates(const DiscoveryEnvironment& environment) {
    return collect(environment, SearchDepth::quick);
}

std::vector<NvrtcCandidate> all_candidates(const DiscoveryEnvironment& environment) {
    return collect(environment, SearchDepth::everywhere);
}

}  // namespace opforge::builder
