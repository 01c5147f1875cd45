// What the commands of each slot cost, since the start of the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trading::sequencer {

inline constexpr std::size_t kHottestMax = 8;  // symbols of a slot that are told

struct SlotCounters {
  std::uint64_t commands = 0;  // that were admitted, refused by the book or not
  std::uint64_t orders = 0;    // that were accepted
  std::uint64_t trades = 0;
  std::uint64_t busy_ns = 0;
  std::int64_t open_orders = 0;  // now
};

struct SymbolLoad {
  std::string name;
  std::uint64_t busy_ns = 0;
};

struct SlotLoad {
  std::int32_t id = 0;
  SlotCounters counters;
  std::vector<SymbolLoad> hottest;  // the busiest of this round and of the one before
};

}  // namespace trading::sequencer
