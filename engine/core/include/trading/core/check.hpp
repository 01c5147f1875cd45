// A check that stays in release builds: an invariant of ours is broken, so the process ends at once
// (the engine is crash-only: what is on the shard is the truth).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace trading::core {

[[noreturn, gnu::cold]] inline void check_failed(const char* text, const char* file, int line) {
  std::fprintf(stderr, "invariant broken: %s (%s:%d)\n", text, file, line);
  std::abort();
}

}  // namespace trading::core

#define TRADING_CHECK(condition)                                     \
  do {                                                               \
    if (!(condition)) [[unlikely]]                                   \
      ::trading::core::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
