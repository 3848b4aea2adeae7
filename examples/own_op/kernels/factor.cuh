#pragma once

// FACTOR comes from the builder's defines: a program each.
template <class T>
__device__ T scaled(T value) {
    return static_cast<T>(FACTOR) * value;
}
