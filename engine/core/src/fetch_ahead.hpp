#pragma once

namespace trading::core {

// Brings the line that will be written soon. GCC holds a function that only prefetches for one
// without effect and drops calls of it, before it is inlined; the empty asm is an effect.
[[gnu::always_inline]] inline void fetch_ahead(const void* memory) {
  __builtin_prefetch(memory, 1);
  asm volatile("");
}

}  // namespace trading::core
