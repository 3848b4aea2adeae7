#include "store_context.hpp"

#include <fmt/format.h>

#include <random>
#include <unistd.h>

namespace opforge::cache {

std::string StoreContext::unique_name() {
    std::random_device random;
    return fmt::format("{}-{}-{:08x}{:08x}", ::getpid(), counter.fetch_add(1), random(), random());
}

}  // namespace opforge::cache
