// The two clocks: CLOCK_MONOTONIC for measuring, Unix time for signatures.
#pragma once

#include <time.h>

#include <cstdint>

namespace trading::load {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;

inline std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

inline std::int64_t unix_ms() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace trading::load
