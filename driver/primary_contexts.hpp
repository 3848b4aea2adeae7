// The memo behind primary_context().
#pragma once

namespace opforge::driver {

class DriverApi;

/// Forgets what is memoised for `api`: another table may come to live at its address. For
/// ~DriverApi.
void forget_primary_contexts(const DriverApi* api) noexcept;

}  // namespace opforge::driver
