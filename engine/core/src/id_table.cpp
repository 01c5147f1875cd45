#include "id_table.hpp"

#include <algorithm>
#include <utility>

namespace trading::core {

void IdTable::erase(std::int64_t id, Handle handle) {
  --size_;
  const std::uint32_t mark = handle + 1;
  std::size_t hole = now_.home(fold(id));
  while (now_.slots[hole].mark != mark && now_.slots[hole].mark != kEmpty) hole = now_.next(hole);
  if (now_.slots[hole].mark == kEmpty) {
    TRADING_CHECK(former_.slots.size() != 0);
    std::size_t i = former_.home(fold(id));
    while (former_.slots[i].mark != mark) {
      TRADING_CHECK(former_.slots[i].mark != kEmpty);
      i = former_.next(i);
    }
    former_.slots[i].mark = kGone;
    return;
  }
  // Close the gap: whatever would no longer be reached from its home moves into it.
  const std::size_t mask = now_.slots.size() - 1;
  for (std::size_t i = now_.next(hole); now_.slots[i].mark != kEmpty; i = now_.next(i)) {
    const std::size_t from_home = (i - now_.home(now_.slots[i].key)) & mask;
    const std::size_t from_hole = (i - hole) & mask;
    if (from_home >= from_hole) {
      now_.slots[hole] = now_.slots[i];
      hole = i;
    }
  }
  now_.slots[hole] = Slot{};
}

Handle IdTable::find_former(std::int64_t id, const OrderPool& pool) const {
  const std::uint32_t key = fold(id);
  for (std::size_t i = former_.home(key); former_.slots[i].mark != kEmpty; i = former_.next(i)) {
    const Slot slot = former_.slots[i];
    if (slot.key == key && slot.mark != kGone && pool[slot.mark - 1].order_id == id) {
      return slot.mark - 1;
    }
  }
  return kNoHandle;
}

bool IdTable::put_into_former(Slot slot) {
  if (former_.slots.size() == 0) return false;
  std::size_t i = former_.home(slot.key);
  if (i < moved_) return false;
  while (former_.slots[i].mark != kEmpty) {
    if (++i == former_.slots.size()) return false;  // at its beginning nothing is moved any more
  }
  former_.slots[i] = slot;
  ++size_;
  return true;
}

void IdTable::grow() {
  TRADING_CHECK(former_.slots.size() == 0);
  Table larger{BigArray<Slot>::zeros(now_.slots.size() * 2), now_.shift - 1};
  former_ = std::exchange(now_, std::move(larger));
  moved_ = 0;
}

void IdTable::move_some() {
  const std::size_t past = std::min(moved_ + kMovedSlots, former_.slots.size());
  for (; moved_ < past; ++moved_) {
    Slot& slot = former_.slots[moved_];
    if (slot.mark == kEmpty || slot.mark == kGone) continue;
    now_.place(slot);
    slot.mark = kGone;
  }
  if (moved_ == former_.slots.size()) former_ = Table{};
}

}  // namespace trading::core
