// The walk over the places where NVRTC may be, one candidate at a time: a caller that is served
// stops it, and the slow places (wheels, the loader) are then never looked at.
#pragma once

#include "file_fingerprint.hpp"

#include <opforge/builder/nvrtc_discovery.hpp>

#include <functional>

namespace opforge::builder {

enum class SearchDepth { quick, everywhere };

/// Calls `visit` for each candidate in order, until it answers true.
void search_nvrtc(const DiscoveryEnvironment& environment, SearchDepth depth,
                  RememberedFingerprints& fingerprints,
                  const std::function<bool(const NvrtcCandidate&)>& visit);

}  // namespace opforge::builder
