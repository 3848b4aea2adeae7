#include "network_file_system.hpp"

#include <array>
#include <utility>

namespace opforge::cache {

std::string_view network_file_system_name(std::int64_t type) noexcept {
    // linux/magic.h and, for what lives outside the kernel's tree, each one's own headers. FUSE may
    // be anything (sshfs, a container's overlay): it is taken for the worst.
    constexpr std::array<std::pair<std::int64_t, std::string_view>, 13> kTypes = {{
        {0x00006969, "NFS"},
        {0x0000517b, "SMB"},
        {0xff534d42, "CIFS"},
        {0xfe534d42, "SMB2"},
        {0x0bd00bd0, "Lustre"},
        {0x47504653, "GPFS"},
        {0x00c36400, "CephFS"},
        {0x65735546, "FUSE"},
        {0x5346414f, "AFS"},
        {0x6b414653, "AFS"},
        {0x73757245, "Coda"},
        {0x19830326, "BeeGFS"},
        {0x01021997, "9P"},
    }};
    for (const auto& [number, name] : kTypes) {
        if (number == type) {
            return name;
        }
    }
    return {};
}

std::string_view network_file_system(FileSystem& files, const SecureDirectory& directory) {
    try {
        return network_file_system_name(files.file_system_type(directory.descriptor()));
    } catch (const std::system_error& error) {
        throw CacheError("stat the file system of", directory.path(), error.code(),
                         remedy_for(error.code().value()));
    }
}

bool is_on_network(FileSystem& files, const SecureDirectory& directory) {
    return !network_file_system(files, directory).empty();
}

}  // namespace opforge::cache
