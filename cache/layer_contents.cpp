#include <opforge/cache/layer_contents.hpp>

#include "digest_list.hpp"

#include <opforge/base/error.hpp>

#include <algorithm>

namespace opforge::cache {
namespace {

// A list that cannot be read, or is another one than asked for, condemns the whole layer.
const SealFault* fault_of_list(const SealCheck& check) {
    const auto found =
        std::find_if(check.faults.begin(), check.faults.end(),
                     [](const SealFault& fault) { return fault.subject == kDigestListFile; });
    return found == check.faults.end() ? nullptr : &*found;
}

void refuse_unsealed(std::vector<Listed>& entries, const std::vector<SealFault>& faults) {
    for (const SealFault& fault : faults) {
        const auto entry = std::find_if(entries.begin(), entries.end(), [&](const Listed& listed) {
            return listed.name == fault.subject && listed.manifest;
        });
        if (entry != entries.end()) {
            entry->manifest.reset();
            entry->refusal = Refusal::wrong_digest;
            entry->reason = fault.reason;
        }
    }
}

}  // namespace

LayerContents look_into(const LayerSpec& layer, bool deep, FileSystem& files) {
    LayerContents contents;
    contents.fault = layer.fault;
    if (!contents.fault.empty()) {
        return contents;
    }
    try {
        SealCheck check = check_seal(layer.path, layer.shared, layer.sha256, files);
        contents.sealed = check.sealed;
        if (const SealFault* fault = fault_of_list(check)) {
            contents.fault = fault->reason;
            return contents;
        }
        contents.seal_faults = std::move(check.faults);
        StoreOptions options;
        options.read_only = true;
        options.shared = layer.shared;
        contents.entries = DirectoryStore(layer.path, files, options).list(deep);
        refuse_unsealed(contents.entries, contents.seal_faults);
    } catch (const Error& error) {
        contents.fault = error.what();
    }
    return contents;
}

}  // namespace opforge::cache
