#include "disk_layers.hpp"

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <utility>

namespace opforge::cache {
namespace {

constexpr const char* kNoToolchain = "policy exact finds nothing where no toolchain is known";

}  // namespace

DiskLayers::DiskLayers(const CacheOptions& options, const CacheRoot& root, FileSystem& files,
                       MemoryLayer& memory, AtomicCounters& counters)
    : memory_(memory), counters_(counters) {
    for (LayerSpec& spec :
         options.layers ? std::vector(*options.layers) : layers_of_environment()) {
        layers_.emplace_back(std::move(spec), files);
    }
    if (!root.path.empty()) {
        StoreOptions store;
        store.limits = options.limits ? *options.limits : limits_of_environment();
        directory_.emplace(root.path, files, std::move(store));
    }
}

std::vector<LayerSpec> DiskLayers::layers() const {
    std::vector<LayerSpec> specs;
    for (const CountedLayer& counted : layers_) {
        specs.push_back(counted.layer.spec());
    }
    return specs;
}

DirectoryStore* DiskLayers::directory() noexcept {
    return directory_ ? &*directory_ : nullptr;
}

// The layers' answer, then the directory's. The reason for a miss is that of the last place that
// had one.
Result DiskLayers::find(const Lookup& lookup, const Digest& want) {
    std::string reason;
    for (CountedLayer& counted : layers_) {
        Result result = find_in_layer(counted, lookup, want);
        if (result.entry) {
            return result;
        }
        reason = std::move(result.reason);
    }
    Result result = find_in_directory(lookup, want, LookNumber::first);
    if (!result.entry && !directory_ && !layers_.empty()) {
        result.reason = std::move(reason);
    }
    return result;
}

Result DiskLayers::find_in_layer(CountedLayer& counted, const Lookup& lookup, const Digest& want) {
    DirectoryStore* const store = counted.layer.store();
    if (store == nullptr) {
        skip(counted);
        return {nullptr, Origin::memory, counted.layer.fault()};
    }
    const Policy policy =
        counted.layer.sealed() ? lookup.sealed_policy.value_or(lookup.policy) : lookup.policy;
    if (policy == Policy::exact && !lookup.toolchain) {
        return {nullptr, Origin::memory, kNoToolchain};
    }
    DirectoryStore::Found found =
        policy == Policy::exact
            ? store->find(lookup.request, want, *lookup.toolchain, lookup.acceptable)
            : store->find_any(lookup.request, lookup.acceptable);
    counted.counters.add(found);
    count_refused(found, lookup.request.program);
    if (found.entry) {
        ++counters_.layer_hits;
        memory_.add(want, found.entry);
    }
    return {std::move(found.entry), Origin::layer, std::move(found.reason)};
}

// One warning and one count a layer, however often it is asked.
void DiskLayers::skip(CountedLayer& counted) {
    if (!counted.skipped.test_and_set()) {
        ++counters_.layers_skipped;
        log(LogLevel::warning,
            fmt::format("cache: the layer {} is passed over: {}",
                        counted.layer.spec().path.string(), counted.layer.fault()));
    }
}

void DiskLayers::count_refused(const DirectoryStore::Found& found, const std::string& program) {
    counters_.refused += found.refused;
    counters_.quarantined += found.quarantined;
    if (found.refused > 0) {
        log(LogLevel::info, fmt::format("cache: {} of {} not served, {} moved to quarantine{}{}",
                                        found.refused, program, found.quarantined,
                                        found.reason.empty() ? "" : "; ", found.reason));
    }
}

// The directory's answer; a hit is remembered in memory.
Result DiskLayers::find_in_directory(const Lookup& lookup, const Digest& want, LookNumber number) {
    if (lookup.policy == Policy::exact && !lookup.toolchain) {
        return {nullptr, Origin::memory, kNoToolchain};
    }
    if (!directory_) {
        return {nullptr, Origin::memory,
                "not compiled yet by this process, and there is no cache directory"};
    }
    const bool first = number == LookNumber::first;
    const Lateness lateness = first ? Lateness::trusted : Lateness::expected;
    DirectoryStore::Found found =
        lookup.policy == Policy::exact
            ? directory_->find(lookup.request, want, *lookup.toolchain, lookup.acceptable, lateness)
            : directory_->find_any(lookup.request, lookup.acceptable, lateness);
    // What the first look refused and could not move is met again by the second.
    if (first || found.quarantined > 0 || found.entry) {
        directory_counters_.add(found);
        count_refused(found, lookup.request.program);
    }
    if (found.entry) {
        ++counters_.directory_hits;
        memory_.add(want, found.entry);
    }
    return {std::move(found.entry), Origin::user_directory, std::move(found.reason)};
}

Result DiskLayers::find_under_lock(const Lookup& lookup, const Digest& want) {
    return find_in_directory(lookup, want, LookNumber::second);
}

std::vector<LayerStatistics> DiskLayers::statistics() const {
    std::vector<LayerStatistics> all;
    for (const CountedLayer& counted : layers_) {
        LayerStatistics layer;
        layer.path = counted.layer.spec().path;
        layer.sealed = counted.layer.sealed();
        layer.fault = counted.layer.fault();
        counted.counters.fill(layer);
        all.push_back(std::move(layer));
    }
    if (directory_) {
        LayerStatistics own;
        own.kind = Origin::user_directory;
        own.path = directory_->root();
        directory_counters_.fill(own);
        all.push_back(std::move(own));
    }
    return all;
}

}  // namespace opforge::cache
