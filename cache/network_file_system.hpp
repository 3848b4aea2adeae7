// Which file systems may be shared with other machines: their locks may not work, and what another
// machine does shows late. Private.
#pragma once

#include "secure_directory.hpp"

#include <string_view>

namespace opforge::cache {

/// network_file_system_name() of the one that a directory is on. @throws CacheError
[[nodiscard]] std::string_view network_file_system(FileSystem& files,
                                                   const SecureDirectory& directory);
[[nodiscard]] bool is_on_network(FileSystem& files, const SecureDirectory& directory);

}  // namespace opforge::cache
