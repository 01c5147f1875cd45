// Commands that wait while the owner or the range of their slot changes, and what changes then.
#include <algorithm>

#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {

void Sequencer::hold_slot(std::int32_t id) {
  if (Slot* slot = find_slot(id); slot != nullptr && slot->active) slot->held = true;
}

std::size_t Sequencer::held(std::uint32_t shard) const {
  return shard < shards_.size() ? shards_[shard].held.size() : 0;
}

void Sequencer::resume_held(std::uint32_t number) {
  for (Slot& slot : slots_) {
    if (slot.state.shard == number) slot.held = false;
  }
  if (number >= shards_.size()) return;
  Shard& shard = shards_[number];
  shard.queue.insert(shard.queue.begin() + static_cast<std::ptrdiff_t>(shard.queue_next),
                     shard.held.begin(), shard.held.end());
  shard.held.clear();
}

BatchPtr Sequencer::refuse_held(std::uint32_t number, wire::Code code, std::int64_t now_us) {
  for (Slot& slot : slots_) {
    if (slot.state.shard == number) slot.held = false;
  }
  return answer_held(number, code, now_us);
}

BatchPtr Sequencer::answer_held(std::uint32_t number, wire::Code code, std::int64_t now_us) {
  begin(number, now_us);
  Batch* open = batch_;
  BatchPtr refusals(pool_->take().release(), BatchReturn{pool_});
  batch_ = refusals.get();
  for (const wire::Command& each : shard_->held) answer_refused(each, code, 0);
  refusals->commands = shard_->held.size();
  shard_->held.clear();
  refusals->seal();
  batch_ = open;
  return refusals;
}

bool Sequencer::place_slot(std::int32_t id, std::uint32_t number, std::int64_t epoch) {
  Slot* slot = find_slot(id);
  if (slot == nullptr || !slot->active || slot->touched) return false;
  if (shards_.size() <= number) shards_.resize(number + 1);
  Shard& from = shards_[slot->state.shard];
  Shard& to = shards_[number];
  slot->held = false;
  slot->state.shard = number;
  slot->state.epoch = epoch;
  const auto is_ours = [&](const wire::Command& command) {
    const std::uint32_t index = names_.find(command.symbol);
    return index != SymbolNames::kNone && symbols_[index].slot != kNoSlot &&
           &slots_[symbols_[index].slot] == slot;
  };
  // What was set aside came before what waits.
  std::vector<wire::Command> moved;
  const auto take = [&](std::vector<wire::Command>& queue, std::size_t first) {
    const auto begin = queue.begin() + static_cast<std::ptrdiff_t>(first);
    const auto rest = std::stable_partition(
        begin, queue.end(), [&](const wire::Command& each) { return !is_ours(each); });
    moved.insert(moved.end(), rest, queue.end());
    queue.erase(rest, queue.end());
  };
  take(from.held, 0);
  take(from.queue, from.queue_next);
  to.queue.insert(to.queue.end(), moved.begin(), moved.end());
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
    if (symbols_[index].slot == kNoSlot || &slots_[symbols_[index].slot] != slot) continue;
    if (symbols_[index].dirty) to.dirty_symbols.push_back(index);
    to.stale_symbols.push_back(index);
  }
  if (&from != &to) {
    std::erase_if(from.dirty_symbols, [&](std::uint32_t index) {
      return symbols_[index].slot != kNoSlot && &slots_[symbols_[index].slot] == slot;
    });
  }
  return true;
}

void Sequencer::mirror_slot(std::int32_t id, bool mirrored) {
  Slot* slot = find_slot(id);
  if (slot == nullptr) return;
  slot->mirror_next = mirrored;
  if (!slot->touched) slot->mirrored = mirrored;
}

bool Sequencer::split_slot(std::int32_t id, std::string_view at, std::int32_t right,
                           std::int64_t epoch) {
  Slot* slot = find_slot(id);
  if (slot == nullptr || !slot->held || slot->touched || this->slot(right) != nullptr ||
      at <= slot->state.first || at >= slot->state.past) {
    return false;
  }
  SlotState other = slot->state;
  other.id = right;
  other.first = at;
  other.epoch = slot->state.epoch = epoch;
  slot->state.past = at;
  set_slot(other);  // `slot` may be gone
  return true;
}

bool Sequencer::merge_slots(const SlotState& left, std::int32_t right_id) {
  Slot* slot = find_slot(left.id);
  Slot* right = find_slot(right_id);
  if (slot == nullptr || right == nullptr || !slot->held || !right->held || slot->touched ||
      right->touched || slot->state.past != right->state.first ||
      slot->state.shard != right->state.shard) {
    return false;
  }
  slot->state.past = right->state.past;
  slot->state.epoch = left.epoch;
  slot->state.sequence = left.sequence;
  slot->state.chain = left.chain;
  right->active = right->held = false;
  place_all();
  return true;
}

}  // namespace trading::sequencer
