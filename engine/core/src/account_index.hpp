// (symbol, account) -> the account's open orders on the symbol, in no order that means anything.
//
// An entry stays while its list is empty, so that an account that trades with one order at a time
// costs nothing; empty entries are collected when the table grows. Entries never move.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fetch_ahead.hpp"
#include "order_pool.hpp"

namespace trading::core {

inline constexpr std::uint32_t kNoEntry = 0xFFFFFFFFU;

class AccountIndex {
 public:
  struct Entry {
    std::int64_t account;
    std::uint32_t symbol;
    Handle first;
    std::uint32_t count;
  };

  AccountIndex() : table_(kSlotsMin, kNoEntry) {}

  [[nodiscard]] std::uint32_t find(std::uint32_t symbol, std::int64_t account) const {
    for (std::size_t i = home(symbol, account);; i = (i + 1) & mask()) {
      const std::uint32_t index = table_[i];
      if (index == kNoEntry) return kNoEntry;
      if (entries_[index].account == account && entries_[index].symbol == symbol) return index;
    }
  }
  // Makes the entry when it is missing. It may be collected by the next acquire() unless an order
  // was appended to it.
  std::uint32_t acquire(std::uint32_t symbol, std::int64_t account) {
    const std::uint32_t found = find(symbol, account);
    return found != kNoEntry ? found : make(symbol, account);
  }

  [[nodiscard]] const Entry& operator[](std::uint32_t index) const { return entries_[index]; }

  // At the front: the account's newest order is the one most likely still near.
  void insert(OrderPool& pool, std::uint32_t index, Handle handle) {
    Entry& entry = entries_[index];
    Order& order = pool[handle];
    order.account_entry = index;
    order.account_previous = kNoHandle;
    order.account_next = entry.first;
    if (entry.first != kNoHandle) pool[entry.first].account_previous = handle;
    entry.first = handle;
    ++entry.count;
  }

  void remove(OrderPool& pool, Handle handle) {
    const Order& order = pool[handle];
    Entry& entry = entries_[order.account_entry];
    const Handle before = order.account_previous;
    const Handle after = order.account_next;
    (before == kNoHandle ? entry.first : pool[before].account_next) = after;
    if (after != kNoHandle) pool[after].account_previous = before;
    --entry.count;
  }

  // Brings the memory of a later find(), in two steps.
  void prefetch_slot(std::uint32_t symbol, std::int64_t account) const {
    fetch_ahead(&table_[home(symbol, account)]);
  }
  void prefetch_entry(std::uint32_t symbol, std::int64_t account) const {
    const std::uint32_t index = table_[home(symbol, account)];
    if (index != kNoEntry) prefetch_entry(index);
  }
  // The first of the account's orders, as far as it is near; else kNoHandle.
  [[nodiscard]] Handle guess_first(std::uint32_t symbol, std::int64_t account) const {
    const std::uint32_t index = table_[home(symbol, account)];
    return index == kNoEntry ? kNoHandle : entries_[index].first;
  }
  void prefetch_entry(std::uint32_t index) const { fetch_ahead(&entries_[index]); }

  [[nodiscard]] std::size_t memory_bytes() const {
    return table_.capacity() * sizeof(std::uint32_t) + entries_.capacity() * sizeof(Entry) +
           free_.capacity() * sizeof(std::uint32_t);
  }

 private:
  static constexpr std::size_t kSlotsMin = 64;

  [[nodiscard]] std::size_t mask() const { return table_.size() - 1; }
  [[nodiscard]] std::size_t home(std::uint32_t symbol, std::int64_t account) const {
    std::uint64_t bits = static_cast<std::uint64_t>(account) * 0x9E3779B97F4A7C15ULL;
    bits = (bits ^ (bits >> 32) ^ symbol) * 0xD6E8FEB86659FD93ULL;
    return static_cast<std::size_t>(bits >> 32) & mask();
  }
  std::uint32_t make(std::uint32_t symbol, std::int64_t account);
  void place(std::uint32_t index);
  void collect();

  std::vector<std::uint32_t> table_;  // at most half full
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
};

}  // namespace trading::core
