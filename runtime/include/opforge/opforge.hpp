// Everything a user of the quantizer needs, under one name: `opforge::ds_quantizer(tensor, groups,
// bits)`.
#pragma once

#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/errors.hpp>
#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>
#include <opforge/runtime/warm_up.hpp>

namespace opforge {

using runtime::CallOptions;
using runtime::Device;
using runtime::ds_quantizer;
using runtime::Dtype;
using runtime::manual_seed;
using runtime::RandomState;
using runtime::Shape;
using runtime::TensorView;
using runtime::warm_up;

}  // namespace opforge
