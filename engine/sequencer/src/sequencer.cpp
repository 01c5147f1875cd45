// What is served, queues, and the frame of a batch. The commands themselves: apply.cpp.
#include "trading/sequencer/sequencer.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace trading::sequencer {
namespace {

std::string_view text_of(const char* bytes, std::size_t size) {
  return {bytes, strnlen(bytes, size)};
}

void extend_chain(Chain& chain, std::int64_t sequence, std::string_view payload) {
  std::string sequence_bytes;
  append_big_endian(sequence_bytes, sequence);
  std::string input(reinterpret_cast<const char*>(chain.data()), chain.size());
  input.append(sequence_bytes).append(payload);
  SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), chain.data());
}

}  // namespace

Sequencer::Sequencer(std::size_t ended_max, std::int64_t window_us)
    : queues_(1), idempotency_(ended_max, window_us), outlets_(1) {}

void Sequencer::set_symbol(const SymbolRules& rules) {
  core::SymbolLimits limits;
  if (rules.open_orders_per_account_max > 0) {
    limits.open_orders_per_account_max = rules.open_orders_per_account_max;
  }
  std::uint32_t index = symbol_index(rules.name);
  if (index == kNoSlot) {
    index = engine_.add_symbol(limits);
    if (symbols_.size() <= index) symbols_.resize(index + 1);
    symbols_[index].name = rules.name;
    by_name_.emplace(rules.name, index);
  } else {
    engine_.set_limits(index, limits);
  }
  symbols_[index].rules = rules;
  place_symbols();
}

std::uint32_t Sequencer::symbol_index(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? kNoSlot : found->second;
}

void Sequencer::place_symbols() {
  for (Symbol& symbol : symbols_) {
    symbol.slot = kNoSlot;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      const SlotState& slot = slots_[i].state;
      if (slots_[i].active && slot.first <= symbol.name && symbol.name < slot.past) symbol.slot = i;
    }
  }
}

void Sequencer::set_slot(const SlotState& state) {
  auto at = std::find_if(slots_.begin(), slots_.end(),
                         [&](const Slot& slot) { return slot.state.id == state.id; });
  if (at == slots_.end()) at = slots_.insert(slots_.end(), Slot{});
  at->state = state;
  at->active = true;
  if (queues_.size() <= state.shard) {
    queues_.resize(state.shard + 1);
    outlets_.resize(state.shard + 1);
  }
  place_symbols();
}

void Sequencer::drop_slot(std::int32_t id) {
  for (Slot& slot : slots_) {
    if (slot.state.id == id) slot.active = false;
  }
  place_symbols();
}

std::vector<SlotState> Sequencer::slots() const {
  std::vector<SlotState> out;
  for (const Slot& slot : slots_) {
    if (slot.active) out.push_back(slot.state);
  }
  return out;
}

bool Sequencer::enqueue(std::uint64_t connection, std::string_view commands) {
  if (commands.size() % sizeof(wire::Command) != 0) return false;
  for (std::size_t at = 0; at < commands.size(); at += sizeof(wire::Command)) {
    wire::Command command;
    std::memcpy(&command, commands.data() + at, sizeof command);
    command.connection = connection;
    const std::uint32_t index = symbol_index(text_of(command.symbol, sizeof command.symbol));
    std::uint32_t shard = 0;  // what nobody owns is refused in any queue
    if (index != kNoSlot && symbols_[index].slot != kNoSlot) {
      shard = slots_[symbols_[index].slot].state.shard;
    }
    queues_[shard].push_back(command);
  }
  return true;
}

std::size_t Sequencer::waiting(std::uint32_t shard) const {
  return shard < queues_.size() ? queues_[shard].size() : 0;
}

void Sequencer::begin_batch() {
  batch_ = std::make_unique<Batch>();
  touched_orders_.clear();
  touched_symbols_.clear();
}

std::unique_ptr<Batch> Sequencer::sequence(std::uint32_t shard, std::int64_t now_us,
                                           std::size_t commands_max) {
  now_us_ = now_us;
  begin_batch();
  if (shard < queues_.size()) {
    auto& queue = queues_[shard];
    const std::size_t count = std::min(queue.size(), commands_max);
    for (std::size_t i = 0; i < count; ++i) one(queue[i]);
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
    batch_->commands = count;
  }
  end_batch();
  return std::move(batch_);
}

std::unique_ptr<Batch> Sequencer::refuse(std::uint32_t shard, wire::Code code,
                                         std::int64_t now_us) {
  now_us_ = now_us;
  begin_batch();
  if (shard < queues_.size()) {
    for (const wire::Command& command : queues_[shard]) answer_refused(command, code, 0);
    batch_->commands = queues_[shard].size();
    queues_[shard].clear();
  }
  batch_->seal();
  return std::move(batch_);
}

void Sequencer::end_batch() {
  for (const auto& [handle, generation] : touched_orders_) {
    ColdOrder& cold = cold_[handle];
    if (cold.generation != generation || !cold.open) continue;  // ended meanwhile
    const std::string& name = symbols_[cold.symbol].name;
    if (cold.touch == Touch::kInserted) {
      batch_->opened.add(name, cold, cold.attributes(cold.open_status(), wire::EndReason::kNone));
    } else if (cold.touch == Touch::kUpdated) {
      batch_->add_update(name, cold);
    }
    cold.touch = Touch::kNone;
  }
  for (const std::uint32_t index : touched_symbols_) {
    Symbol& symbol = symbols_[index];
    const core::SymbolCounters counters = engine_.counters(index);
    batch_->add_symbol({symbol.name, symbol.order_seq, counters.trade_id, counters.prevented_id,
                        counters.priority, symbol.update_seq, symbol.sym_seq, counters.last_price,
                        engine_.halted(index), slots_[symbol.slot].state.sequence});
    symbol.touched = false;
  }
  for (Slot& slot : slots_) {
    if (!slot.touched) continue;
    extend_chain(slot.state.chain, slot.state.sequence, slot.payload);
    batch_->slots.push_back({slot.state.id, slot.state.epoch, slot.previous, slot.state.sequence,
                             slot.state.chain, std::move(slot.payload)});
    slot.payload.clear();
    slot.touched = false;
  }
  batch_->seal();
  idempotency_.evict(now_us_);
}

ColdOrder& Sequencer::cold_at(core::Handle handle) {
  if (cold_.size() <= handle) cold_.resize(std::max<std::size_t>(handle + 1, cold_.size() * 2));
  return cold_[handle];
}

std::size_t Sequencer::memory_bytes() const {
  return engine_.memory_bytes() + cold_.capacity() * sizeof(ColdOrder) +
         idempotency_.memory_bytes();
}

}  // namespace trading::sequencer
