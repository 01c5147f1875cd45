// The cold part of every resting order, by the core's handle, in chunks that never move.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <vector>

#include "trading/core/check.hpp"
#include "trading/core/event.hpp"
#include "trading/sequencer/cold_order.hpp"

namespace trading::sequencer {

class ColdOrders {
 public:
  // The handle must have been given to `at` before.
  ColdOrder& operator[](core::Handle handle) {
    return chunks_[handle >> kChunkBits][handle & kChunkMask];
  }
  const ColdOrder& operator[](core::Handle handle) const {
    return chunks_[handle >> kChunkBits][handle & kChunkMask];
  }

  // Makes room when there is none.
  ColdOrder& at(core::Handle handle) {
    while (chunks_.size() <= handle >> kChunkBits) add_chunk();
    return (*this)[handle];
  }

  [[nodiscard]] std::size_t memory_bytes() const {
    return chunks_.size() * (sizeof(ColdOrder) << kChunkBits) +
           chunks_.capacity() * sizeof(Chunk);
  }

 private:
  struct Freed {
    void operator()(void* memory) const { std::free(memory); }
  };
  using Chunk = std::unique_ptr<ColdOrder[], Freed>;
  static constexpr unsigned kChunkBits = 13;  // some 1.5 MB
  static constexpr core::Handle kChunkMask = (1U << kChunkBits) - 1;
  static_assert(std::is_trivially_copyable_v<ColdOrder>);

  // Zeroed by the kernel page by page as orders come: an order that never was is all zeros.
  void add_chunk() {
    void* memory = std::calloc(std::size_t{1} << kChunkBits, sizeof(ColdOrder));
    TRADING_CHECK(memory != nullptr);
    chunks_.emplace_back(static_cast<ColdOrder*>(memory));
  }

  std::vector<Chunk> chunks_;
};

}  // namespace trading::sequencer
