// From the shard's rows back to books, counters and idempotency set.
#include <algorithm>

#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {

std::int64_t Sequencer::adopt(SlotRows& rows, std::size_t most) {
  if (!rows.finished()) return -1;
  if (rows.symbols.empty() && !rows.names().empty() && !adopt_symbols(rows)) return -1;
  const std::size_t opened = rows.open_orders();
  const std::size_t total = opened + rows.ended().size();
  const std::size_t past = std::min(total, rows.adopted + most);
  for (; rows.adopted < std::min(past, opened); ++rows.adopted) {
    ColdOrder cold = rows.open_order(rows.adopted);
    if (!restore_order(rows.symbols[cold.symbol], cold)) return -1;
  }
  const std::int64_t newest = rows.ended().empty() ? 0 : rows.ended().back().time_us;
  for (; rows.adopted < past; ++rows.adopted) {
    const SlotRows::Ended& ended = rows.ended()[rows.adopted - opened];
    const std::uint32_t tag = symbols_[rows.symbols[ended.name]].tag;
    const ClientKey key = idempotency_.key_of(tag, ended.account, ended.client());
    if (idempotency_.insert({key, ended.order_id, ended.body_hash})) {
      const bool recent = ended.time_us >= newest - IdempotencySet::kRecentUs;
      idempotency_.ended(key, ended.order_id, ended.time_us, recent ? tag : 0);
    }
  }
  if (rows.adopted == total) {
    // As many as are ever read: there may be older ones.
    if (rows.ended().size() >= idempotency_.ended_max()) {
      idempotency_.incomplete_until(rows.ended().empty() ? 0 : rows.ended().front().time_us);
    }
    for (const std::uint32_t index : rows.symbols) {  // what is restored has not changed
      engine_.take_depth_changes(index, depth_changes_);
      depth_changes_.clear();
    }
  }
  return static_cast<std::int64_t>(total - rows.adopted);
}

bool Sequencer::adopt_symbols(SlotRows& rows) {
  for (const std::string& name : rows.names()) {
    const std::uint32_t index = symbol_for(name);
    if (index == kNoSlot) return false;
    rows.symbols.push_back(index);
  }
  for (const SlotRows::State& state : rows.states()) {
    const std::uint32_t index = rows.symbols[state.name];
    engine_.set_counters(index, state.counters);
    engine_.set_halted(index, state.halted);
    Symbol& symbol = symbols_[index];
    symbol.order_seq = state.order_seq;
    symbol.update_seq = symbol.published_update = state.update_seq;
    symbol.sym_seq = state.sym_seq;
  }
  return true;
}

bool Sequencer::restore_order(std::uint32_t index, ColdOrder& cold) {
  cold.symbol = index;
  cold.open = true;
  cold.generation = ++generation_;
  cold.key = idempotency_.key_of(symbols_[index].tag, cold.account, cold.client());
  core::OrderState state{};
  state.order_id = cold.order_id;
  state.account = cold.account;
  state.price = cold.price;
  state.quantity = cold.quantity;
  state.remaining = cold.quantity - cold.executed - cold.prevented;
  state.priority = cold.priority;
  state.symbol = index;
  state.side = cold.side;
  state.type = cold.type;
  state.self_trade = cold.self_trade;
  state.traded = cold.executed > 0;
  core::Handle handle = core::kNoHandle;
  if (engine_.restore(state, &handle) != wire::Code::kOk) return false;
  cold_.at(handle) = cold;
  count_open(symbols_[index], 1);
  return idempotency_.insert({cold.key, cold.order_id, cold.body_hash});
}

}  // namespace trading::sequencer
