#include "order_pool.hpp"

#include <cstdlib>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace trading::core {

OrderPool::~OrderPool() {
  for (Order* chunk : chunks_) std::free(chunk);
}

Handle OrderPool::allocate_new() {
  if ((past_ & kChunkMask) == 0) {
    TRADING_CHECK(past_ < kNoHandle - kChunkMask);
    void* chunk = std::aligned_alloc(kChunkBytes, kChunkBytes);
    TRADING_CHECK(chunk != nullptr);
#ifdef __linux__
    if (!chunks_.empty()) madvise(chunk, kChunkBytes, MADV_HUGEPAGE);  // only a wish
#endif
    chunks_.push_back(static_cast<Order*>(chunk));
  }
  return past_++;
}

}  // namespace trading::core
