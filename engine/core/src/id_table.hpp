// Order id -> handle, for the open orders of one symbol.
//
// Open addressing, 8 bytes a slot, at most half full. Ids of one symbol are mostly dense and
// rising, so eight neighbouring ids share a cache line: the line is chosen by a multiplicative hash
// of id / 8. A slot keeps 32 bits folded from the id; the order itself decides whether it is the
// one.
//
// A full table is not copied at once: with millions of orders that would hold up the others for a
// tenth of a second. Each order that comes moves a few slots of the former table to one that is
// twice as large; what belongs behind those is still put into the former one. So the new one is
// filled from its beginning to its end, and its memory touched, hence zeroed, part by part
// (the order of growth of linear hashing: Litwin, VLDB 1980).
#pragma once

#include <cstddef>
#include <cstdint>

#include "big_array.hpp"
#include "fetch_ahead.hpp"
#include "order_pool.hpp"

namespace trading::core {

class IdTable {
 public:
  [[nodiscard]] Handle find(std::int64_t id, const OrderPool& pool) const {
    const std::uint32_t key = fold(id);
    for (std::size_t i = now_.home(key);; i = now_.next(i)) {
      const Slot slot = now_.slots[i];
      if (slot.mark == kEmpty) break;
      if (slot.key == key && pool[slot.mark - 1].order_id == id) return slot.mark - 1;
    }
    if (former_.slots.size() == 0) [[likely]]
      return kNoHandle;
    return find_former(id, pool);
  }

  // The id must not be present.
  void insert(std::int64_t id, Handle handle) {
    if (former_.slots.size() != 0) [[unlikely]] {
      move_some();
      if (put_into_former({fold(id), handle + 1})) return;
    }
    if ((size_ + 1) * 2 > now_.slots.size()) [[unlikely]]
      grow();
    now_.place({fold(id), handle + 1});
    ++size_;
  }

  // The pair must be present.
  void erase(std::int64_t id, Handle handle);

  // Reads only what a find would read first.
  void prefetch(std::int64_t id) const { fetch_ahead(&now_.slots[now_.home(fold(id))]); }
  // A handle worth prefetching, or kNoHandle: a guess, never wrong to ignore.
  [[nodiscard]] Handle guess(std::int64_t id) const {
    const std::uint32_t key = fold(id);
    const Slot slot = now_.slots[now_.home(key)];
    return slot.key == key ? slot.mark - 1 : kNoHandle;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const {
    return now_.slots.memory_bytes() + former_.slots.memory_bytes();
  }

 private:
  struct Slot {
    std::uint32_t key;
    std::uint32_t mark;  // handle + 1, or one of these two
  };
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kGone = kNoHandle;  // only in the former table: was moved or ended
  static constexpr std::size_t kSlotsMin = 64;
  // A table grows at half full and again after at least as many orders: by then all are moved.
  static constexpr std::size_t kMovedSlots = 8;

  struct Table {
    [[nodiscard]] std::size_t home(std::uint32_t key) const {
      const std::uint64_t line = (key >> 3) * 0x9E3779B97F4A7C15ULL;
      return (static_cast<std::size_t>(line >> shift) << 3) | (key & 7U);
    }
    [[nodiscard]] std::size_t next(std::size_t i) const { return (i + 1) & (slots.size() - 1); }
    void place(Slot slot) {
      std::size_t i = home(slot.key);
      while (slots[i].mark != kEmpty) i = next(i);
      slots[i] = slot;
    }

    BigArray<Slot> slots;
    unsigned shift = 64;  // 64 - log2(slots / 8)
  };

  static std::uint32_t fold(std::int64_t id) {
    const auto bits = static_cast<std::uint64_t>(id);
    return static_cast<std::uint32_t>(bits) ^
           (static_cast<std::uint32_t>(bits >> 32) * 0x85EBCA6BU);
  }
  [[nodiscard]] Handle find_former(std::int64_t id, const OrderPool& pool) const;
  bool put_into_former(Slot slot);  // false: it belongs into the present one
  void grow();
  void move_some();

  Table now_{BigArray<Slot>::zeros(kSlotsMin), 64 - 3};
  Table former_;           // empty unless it is being moved
  std::size_t moved_ = 0;  // slots of it
  std::size_t size_ = 0;
};

}  // namespace trading::core
