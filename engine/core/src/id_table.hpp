// Order id -> handle, for the open orders of one symbol.
//
// Open addressing, 8 bytes a slot, at most half full. Ids of one symbol are mostly dense and
// rising, so eight neighbouring ids share a cache line: the line is chosen by a multiplicative hash
// of id / 8. A slot keeps 32 bits folded from the id; the order itself decides whether it is the
// one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "big_array.hpp"
#include "fetch_ahead.hpp"
#include "order_pool.hpp"

namespace trading::core {

class IdTable {
 public:
  IdTable() : slots_(kSlotsMin) {}

  [[nodiscard]] Handle find(std::int64_t id, const OrderPool& pool) const {
    const std::uint32_t key = fold(id);
    for (std::size_t i = home(key);; i = (i + 1) & mask()) {
      const Slot slot = slots_[i];
      if (slot.handle == kNoHandle) return kNoHandle;
      if (slot.key == key && pool[slot.handle].order_id == id) return slot.handle;
    }
  }

  // The id must not be present.
  void insert(std::int64_t id, Handle handle) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    place({fold(id), handle});
    ++size_;
  }

  // The pair must be present.
  void erase(std::int64_t id, Handle handle);

  // Reads only what a find would read first.
  void prefetch(std::int64_t id) const { fetch_ahead(&slots_[home(fold(id))]); }
  // A handle worth prefetching, or kNoHandle: a guess, never wrong to ignore.
  [[nodiscard]] Handle guess(std::int64_t id) const {
    const std::uint32_t key = fold(id);
    const Slot slot = slots_[home(key)];
    return slot.key == key ? slot.handle : kNoHandle;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const { return slots_.memory_bytes(); }

 private:
  struct Slot {
    std::uint32_t key = 0;
    Handle handle = kNoHandle;
  };
  static constexpr std::size_t kSlotsMin = 64;

  static std::uint32_t fold(std::int64_t id) {
    const auto bits = static_cast<std::uint64_t>(id);
    return static_cast<std::uint32_t>(bits) ^
           (static_cast<std::uint32_t>(bits >> 32) * 0x85EBCA6BU);
  }
  [[nodiscard]] std::size_t mask() const { return slots_.size() - 1; }
  [[nodiscard]] std::size_t home(std::uint32_t key) const {
    const std::uint64_t line = (key >> 3) * 0x9E3779B97F4A7C15ULL;
    return (static_cast<std::size_t>(line >> shift_) << 3) | (key & 7U);
  }
  void place(Slot slot) {
    std::size_t i = home(slot.key);
    while (slots_[i].handle != kNoHandle) i = (i + 1) & mask();
    slots_[i] = slot;
  }
  void grow();

  BigArray<Slot> slots_;
  unsigned shift_ = 64 - 3;  // 64 - log2(slots / 8)
  std::size_t size_ = 0;
};

}  // namespace trading::core
