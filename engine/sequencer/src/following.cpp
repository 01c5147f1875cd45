// A slot that another partition serves: its committed commands are applied here, too, so that this
// one can go on with it at any sequence.
#include <algorithm>

#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {

Sequencer::Slot* Sequencer::find_slot(std::int32_t id) {
  const auto at = std::find_if(slots_.begin(), slots_.end(),
                               [id](const Slot& slot) { return slot.state.id == id; });
  return at == slots_.end() ? nullptr : &*at;
}

const SlotState* Sequencer::slot(std::int32_t id) const {
  for (const Slot& slot : slots_) {
    if (slot.state.id == id && (slot.active || slot.followed)) return &slot.state;
  }
  return nullptr;
}

void Sequencer::mark_followed(const Slot& slot, bool followed) {
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
    if (!slot.has(symbols_[index].name)) continue;
    symbols_[index].followed = followed;
    set_limits(index);
  }
}

void Sequencer::follow_slot(const SlotState& state) {
  set_slot(state);
  Slot& slot = *find_slot(state.id);
  slot.active = false;
  slot.followed = true;
  place_all();
  mark_followed(slot, true);
}

bool Sequencer::open_slot(std::int32_t id, std::uint32_t shard, std::int64_t epoch,
                          std::int64_t sequence, const Chain& chain) {
  Slot* slot = find_slot(id);
  if (slot == nullptr || !slot->followed || slot->state.sequence != sequence ||
      slot->state.chain != chain) {
    return false;
  }
  mark_followed(*slot, false);
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
    Symbol& symbol = symbols_[index];
    if (!slot->has(symbol.name)) continue;
    engine_.take_depth_changes(index, depth_changes_);  // told by the owner before
    depth_changes_.clear();
    symbol.published_update = symbol.update_seq;
  }
  SlotState state = slot->state;
  state.shard = shard;
  state.epoch = epoch;
  set_slot(state);
  return true;
}

std::int64_t Sequencer::replay(std::int32_t id, std::string_view payload, std::int64_t sequence,
                               const Chain& chain) {
  Slot* found = find_slot(id);
  if (found == nullptr || !found->followed) return -1;
  const auto index = static_cast<std::uint32_t>(found - slots_.data());
  const std::int64_t now_us = now_us_;
  if (!replay_.open) replay_.open = BatchPtr(pool_->take().release(), BatchReturn{pool_});
  shard_ = &replay_;
  batch_ = replay_.open.get();
  LogReader reader(payload);
  LogRecord record;
  std::int64_t commands = 0;
  bool good = reader.ok();
  while (good && reader.next(record)) {
    good = replay_one(index, record);
    ++commands;
  }
  idempotency_.evict(std::max(now_us, now_us_));
  now_us_ = now_us;
  forget_replayed();
  Slot& slot = slots_[index];
  extend_chain(slot.state.chain, sequence, payload);
  // The owner wrote these very bytes when it did what was done here.
  good = good && reader.ok() && slot.payload.view() == payload &&
         slot.state.sequence == sequence && slot.state.chain == chain;
  slot.payload.clear();
  slot.logged_us = 0;
  slot.touched = false;
  return good ? commands : -1;
}

bool Sequencer::replay_one(std::uint32_t slot, const LogRecord& record) {
  if (!slots_[slot].has(record.symbol)) return false;
  const std::uint32_t index = symbol_for(record.symbol);
  if (index == kNoSlot) return false;
  wire::Command command{};
  std::memcpy(command.symbol, record.symbol.data(), record.symbol.size());
  std::memcpy(command.client_id, record.client_id.data(), record.client_id.size());
  command.account = record.command.account;
  command.kind = static_cast<std::uint8_t>(record.command.kind);
  now_us_ = record.time_us;
  Run& run = run_;
  start(run, command, index);
  run.core = record.command;
  run.core.symbol = index;
  if (places(run.core.kind)) {
    run.fresh = ColdOrder{};
    run.fresh.key = idempotency_.key_of(run.symbol->tag, command.account, record.client_id);
    run.fresh.body_hash = record.body_hash;
    if (run.core.order_id != run.symbol->order_seq + 1) return false;
  }
  run.symbol->slot = slot;
  run_core(run);
  run.symbol->slot = kNoSlot;
  return run.changed;
}

// What a batch would have stored and published: the owner has done that.
void Sequencer::forget_replayed() {
  for (const auto& [handle, generation] : replay_.touched_orders) {
    if (cold_[handle].generation == generation) cold_[handle].touch = Touch::kNone;
  }
  for (const auto& [index, slot] : replay_.touched_symbols) {
    symbols_[index].touched = false;
    symbols_[index].trades.clear();
    symbols_[index].trade_count = 0;
  }
  for (const std::uint32_t index : replay_.dirty_symbols) symbols_[index].dirty = false;
  replay_.touched_orders.clear();
  replay_.touched_symbols.clear();
  replay_.touched_slots.clear();
  replay_.dirty_symbols.clear();
  replay_.executions.take([](std::size_t, const ExecutionFeed::Channel&) {});
  replay_.open->clear();
  batch_ = nullptr;
}

}  // namespace trading::sequencer
