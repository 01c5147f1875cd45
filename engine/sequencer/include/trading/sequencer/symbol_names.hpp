// Symbol name -> the core's index. Names are the 16 zero-padded bytes of the wire.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "trading/wire.hpp"

namespace trading::sequencer {

class SymbolNames {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

  SymbolNames() : table_(64) {}

  [[nodiscard]] std::uint32_t find(const char* wire_symbol) const {
    return table_[place(read(wire_symbol))].index;
  }
  // kNone for a name that is longer than the wire allows.
  [[nodiscard]] std::uint32_t find(std::string_view name) const {
    char padded[wire::kSymbolBytes] = {};
    if (name.size() > sizeof padded) return kNone;
    std::memcpy(padded, name.data(), name.size());
    return find(padded);
  }
  void insert(std::string_view name, std::uint32_t index) {
    if ((used_ + 1) * 2 > table_.size()) grow();
    char padded[wire::kSymbolBytes] = {};
    std::memcpy(padded, name.data(), name.size());
    Entry& entry = table_[place(read(padded))];
    if (entry.index == kNone) ++used_;
    entry = {read(padded), index};
  }

 private:
  struct Key {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;
    std::uint32_t index = kNone;
  };

  static Key read(const char* bytes) {
    Key key;
    std::memcpy(&key.low, bytes, sizeof key.low);
    std::memcpy(&key.high, bytes + sizeof key.low, sizeof key.high);
    return key;
  }
  [[nodiscard]] std::size_t place(const Key& key) const {
    const std::uint64_t hash =
        (key.low ^ (key.high * 0xC2B2AE3D27D4EB4FULL)) * 0x9E3779B97F4A7C15ULL;
    std::size_t at = static_cast<std::size_t>(hash >> 32U) & (table_.size() - 1);
    while (table_[at].index != kNone && !(table_[at].key == key))
      at = (at + 1) & (table_.size() - 1);
    return at;
  }
  void grow() {
    std::vector<Entry> old(table_.size() * 2);
    old.swap(table_);
    for (const Entry& entry : old) {
      if (entry.index != kNone) table_[place(entry.key)] = entry;
    }
  }

  std::vector<Entry>
      table_;  // open addressing, power of two, at most half full; nothing is removed
  std::size_t used_ = 0;
};

}  // namespace trading::sequencer
