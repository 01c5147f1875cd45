// What order entry knows of symbols: their grid, their bounds, and the partition that serves them.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decimal.hpp"

namespace trading::entry {

struct Symbol {
  std::string name;
  std::string base_asset;
  std::string quote_asset;
  Step tick;
  Step lot;
  Step quote;                     // tick * lot
  std::int64_t quantity_min = 1;  // lots
  std::int64_t quantity_max = 0;  // lots; 0 = none
  std::int64_t price_max = 0;     // ticks; 0 = none
  std::int64_t notional_min = 0;  // ticks * lots
  std::uint8_t self_trade = 1;    // default, wire::SelfTrade
  bool listed = true;
  int partition = -1;  // -1: no slot covers it
};

// A slot [first, past) at a partition; bounds compare as bytes.
struct SlotRoute {
  std::string first;
  std::string past;
  int partition = -1;
};

class SymbolTable {
 public:
  // Adds or renews the symbols; those not named are delisted. Addresses stay valid for ever.
  void set(std::vector<Symbol> symbols);
  void route(std::vector<SlotRoute> slots);
  // Null: unknown or delisted.
  const Symbol* find(std::string_view name) const noexcept;
  const std::deque<Symbol>& all() const noexcept { return symbols_; }
  std::uint64_t revision() const noexcept { return revision_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  void apply_routes() noexcept;

  std::deque<Symbol> symbols_;
  std::unordered_map<std::string, Symbol*, Hash, std::equal_to<>> by_name_;
  std::vector<SlotRoute> slots_;
  std::uint64_t revision_ = 0;
};

}  // namespace trading::entry
