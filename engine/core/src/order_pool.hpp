// The resting orders: one cache line each, in chunks that never move.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fetch_ahead.hpp"
#include "trading/core/check.hpp"
#include "trading/core/event.hpp"

namespace trading::core {

struct alignas(64) Order {
  std::int64_t order_id;
  std::int64_t price;
  std::int64_t remaining;
  std::int64_t quantity;
  std::int64_t priority;
  Handle next;  // in the level's queue, younger; of a free order: the next free one
  Handle previous;
  Handle account_next;  // in the account's list
  Handle account_previous;
  std::uint32_t account_entry;  // AccountIndex: gives the account and the symbol
  Side side;
  OrderType type;
  SelfTrade self_trade;
  bool live : 1;
  bool traded : 1;
};
static_assert(sizeof(Order) == 64);

class OrderPool {
 public:
  OrderPool() = default;
  OrderPool(const OrderPool&) = delete;
  OrderPool& operator=(const OrderPool&) = delete;
  ~OrderPool();

  Order& operator[](Handle handle) { return chunks_[handle >> kChunkBits][handle & kChunkMask]; }
  const Order& operator[](Handle handle) const {
    return chunks_[handle >> kChunkBits][handle & kChunkMask];
  }

  void prefetch(Handle handle) const {
    if (handle != kNoHandle) fetch_ahead(&(*this)[handle]);
  }

  Handle allocate() {
    ++live_;
    if (free_ == kNoHandle) [[unlikely]]
      return allocate_new();
    const Handle handle = free_;
    free_ = (*this)[handle].next;
    prefetch(free_);
    return handle;
  }

  // The handle is given again only after the next recycle().
  void release(Handle handle) {
    Order& order = (*this)[handle];
    order.live = false;
    order.next = released_;
    if (released_ == kNoHandle) released_last_ = handle;
    released_ = handle;
    --live_;
  }

  void recycle() {
    if (released_ == kNoHandle) return;
    (*this)[released_last_].next = free_;
    free_ = released_;
    released_ = kNoHandle;
  }

  [[nodiscard]] std::size_t live() const { return live_; }
  [[nodiscard]] Handle past() const { return past_; }
  [[nodiscard]] std::size_t memory_bytes() const {
    return chunks_.size() * kChunkBytes + chunks_.capacity() * sizeof(Order*);
  }

 private:
  static constexpr unsigned kChunkBits = 15;  // 2 MiB: one huge page
  static constexpr Handle kChunkMask = (1U << kChunkBits) - 1;
  static constexpr std::size_t kChunkBytes = sizeof(Order) << kChunkBits;

  Handle allocate_new();

  std::vector<Order*> chunks_;
  Handle past_ = 0;
  Handle free_ = kNoHandle;
  Handle released_ = kNoHandle;
  Handle released_last_ = kNoHandle;
  std::size_t live_ = 0;
};

}  // namespace trading::core
