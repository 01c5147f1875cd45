// A slot that somebody else serves from now on: its books leave the memory.
#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {

void Sequencer::drop_slot(std::int32_t id) {
  for (Slot& slot : slots_) {
    if (slot.state.id == id) slot.active = slot.followed = slot.held = slot.mirror_next = false;
  }
  place_all();
}

void Sequencer::forget_slot(std::int32_t id) {
  for (const Slot& slot : slots_) {
    if (slot.state.id != id || slot.active || slot.followed) continue;
    for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
      const Symbol& symbol = symbols_[index];
      const bool inside = symbol.name >= slot.state.first && symbol.name < slot.state.past;
      if (inside && symbol.slot == kNoSlot) forget_symbol(index);
    }
  }
}

// The symbol keeps its index, its rules and its place in the lists of what is to be published. Its
// client ids get a new tag: those that are still remembered are of no use to whoever loads it
// again.
void Sequencer::forget_symbol(std::uint32_t index) {
  Symbol& symbol = symbols_[index];
  for (const wire::Side side : {wire::Side::kBuy, wire::Side::kSell}) {
    for (core::Handle handle = engine_.first_of_side(index, side); handle != core::kNoHandle;
         handle = engine_.next_of_side(handle)) {
      cold_[handle].open = false;
      idempotency_.ended(cold_[handle].key, cold_[handle].order_id, now_us_, 0);
    }
  }
  engine_.remove_symbol(index);
  TRADING_CHECK(engine_.add_symbol() == index);  // the lowest free one
  symbol.tag = ++tags_;
  symbol.order_seq = symbol.update_seq = symbol.sym_seq = 0;
  symbol.published_update = 0;
  symbol.snapshot_us = 0;
  symbol.snapshot_of = -1;
  symbol.trades.clear();
  symbol.trade_count = 0;
  symbol.open_orders = 0;
  symbol.followed = false;
  set_symbol(SymbolRules(symbol.rules));
}

}  // namespace trading::sequencer
