#pragma once

// kernels/scale.cuh as a later version might have it: explain_test.cpp.
constexpr float kFactor = (FACTOR);
