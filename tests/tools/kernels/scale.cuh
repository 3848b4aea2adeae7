#pragma once

constexpr float kFactor = FACTOR;
