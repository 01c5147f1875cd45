#include "account_index.hpp"

#include <algorithm>
#include <bit>

namespace trading::core {

std::uint32_t AccountIndex::make(std::uint32_t symbol, std::int64_t account) {
  if ((used_ + 1) * 2 > table_.size()) collect();
  std::uint32_t index = 0;
  if (free_.empty()) {
    TRADING_CHECK(entries_.size() < kNoEntry);
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  entries_[index] = {account, symbol, kNoHandle, 0};
  place(index);
  ++used_;
  return index;
}

void AccountIndex::place(std::uint32_t index) {
  std::size_t i = home(entries_[index].symbol, entries_[index].account);
  while (table_[i] != kNoEntry) i = (i + 1) & mask();
  table_[i] = index;
}

// Drops the empty entries and sizes the table so that it is at most a quarter full.
void AccountIndex::collect() {
  std::vector<std::uint32_t> kept;
  for (const std::uint32_t index : table_) {
    if (index == kNoEntry) continue;
    if (entries_[index].count == 0) {
      free_.push_back(index);
    } else {
      kept.push_back(index);
    }
  }
  used_ = kept.size();
  table_.assign(std::max(kSlotsMin, std::bit_ceil(used_ * 4)), kNoEntry);
  for (const std::uint32_t index : kept) place(index);
}

}  // namespace trading::core
