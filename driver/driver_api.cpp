#include "primary_contexts.hpp"

#include <opforge/driver/driver_api.hpp>

namespace opforge::driver {

DriverApi::~DriverApi() {
    forget_primary_contexts(this);
}

}  // namespace opforge::driver
