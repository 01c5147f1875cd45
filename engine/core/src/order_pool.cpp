#include "order_pool.hpp"

#include <cstdlib>

#include "big_array.hpp"

namespace trading::core {

OrderPool::~OrderPool() {
  for (Order* chunk : chunks_) std::free(chunk);
}

Handle OrderPool::allocate_new() {
  if ((past_ & kChunkMask) == 0) {
    TRADING_CHECK(past_ < kNoHandle - kChunkMask);
    chunks_.push_back(static_cast<Order*>(allocate_big(kChunkBytes)));
  }
  return past_++;
}

}  // namespace trading::core
