#include "symbols.hpp"

#include <utility>

namespace trading::entry {

void SymbolTable::set(std::vector<Symbol> symbols) {
  for (Symbol& symbol : symbols_) symbol.listed = false;
  for (Symbol& symbol : symbols) {
    const auto found = by_name_.find(symbol.name);
    if (found != by_name_.end()) {
      *found->second = std::move(symbol);
    } else {
      symbols_.push_back(std::move(symbol));
      by_name_.emplace(symbols_.back().name, &symbols_.back());
    }
  }
  apply_routes();
}

void SymbolTable::route(std::vector<SlotRoute> slots) {
  slots_ = std::move(slots);
  apply_routes();
}

void SymbolTable::apply_routes() noexcept {
  ++revision_;
  for (Symbol& symbol : symbols_) {
    symbol.partition = -1;
    for (const SlotRoute& slot : slots_) {
      if (slot.first <= symbol.name && symbol.name < slot.past) symbol.partition = slot.partition;
    }
  }
}

const Symbol* SymbolTable::find(std::string_view name) const noexcept {
  const auto found = by_name_.find(name);
  return found == by_name_.end() || !found->second->listed ? nullptr : found->second;
}

}  // namespace trading::entry
