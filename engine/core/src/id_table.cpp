#include "id_table.hpp"

#include <utility>

namespace trading::core {

void IdTable::erase(std::int64_t id, Handle handle) {
  std::size_t hole = home(fold(id));
  while (slots_[hole].handle != handle) {
    TRADING_CHECK(slots_[hole].handle != kNoHandle);
    hole = (hole + 1) & mask();
  }
  // Close the gap: whatever would no longer be reached from its home moves into it.
  for (std::size_t i = (hole + 1) & mask(); slots_[i].handle != kNoHandle; i = (i + 1) & mask()) {
    const std::size_t from_home = (i - home(slots_[i].key)) & mask();
    const std::size_t from_hole = (i - hole) & mask();
    if (from_home >= from_hole) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = Slot{};
  --size_;
}

void IdTable::grow() {
  BigArray<Slot> old(slots_.size() * 2);
  std::swap(old, slots_);
  --shift_;
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (old[i].handle != kNoHandle) place(old[i]);
  }
}

}  // namespace trading::core
