// Market data of the symbols that changed, and snapshots of their books.
#include <vector>

#include "trading/sequencer/msgpack.hpp"
#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {
namespace {

constexpr std::size_t kSnapshotLevels = 1000;
constexpr std::int64_t kSnapshotGapUs = 100'000;

constexpr std::size_t kLevelBytesMax = 1 + 2 * msgpack::kIntegerBytesMax;

char* level(char* at, std::int64_t price, std::int64_t quantity) {
  return msgpack::integer(msgpack::integer(msgpack::array(at, 2), price), quantity);
}

void add_number(Bytes& out, std::string_view name, std::int64_t value) {
  char* at = out.room(msgpack::kHeadBytesMax + name.size() + msgpack::kIntegerBytesMax);
  out.extend_to(msgpack::integer(msgpack::text(at, name), value));
}

void add_text(Bytes& out, std::string_view value) {
  out.extend_to(msgpack::text(out.room(msgpack::kHeadBytesMax + value.size()), value));
}

void add_array(Bytes& out, std::string_view name, std::size_t count) {
  add_text(out, name);
  out.extend_to(msgpack::array(out.room(msgpack::kHeadBytesMax), count));
}

void add_level(Bytes& out, std::int64_t price, std::int64_t quantity) {
  out.extend_to(level(out.room(kLevelBytesMax), price, quantity));
}

void add_best(Bytes& out, std::string_view name, const std::optional<wire::Level>& value) {
  add_text(out, name);
  char* at = out.room(kLevelBytesMax);
  out.extend_to(value ? level(at, value->price, value->quantity) : msgpack::nil(at));
}

}  // namespace

Publication Sequencer::snapshot(Symbol& symbol, std::uint32_t index, std::int64_t now_us) {
  symbol.snapshot_of = symbol.update_seq;
  Publication out{"{" + symbol.name + "}:depth", {}, true};
  Bytes& m = out.message;
  m.extend_to(msgpack::map(m.room(msgpack::kHeadBytesMax), 9));
  add_text(m, "s");
  add_text(m, symbol.name);
  add_number(m, "e", slots_[symbol.slot].state.epoch);
  add_number(m, "T", now_us);
  add_number(m, "u", symbol.update_seq);
  add_number(m, "lp", engine_.counters(index).last_price);
  std::vector<wire::Level> levels;
  for (const wire::Side side : {wire::Side::kBuy, wire::Side::kSell}) {
    levels.clear();
    engine_.depth(index, side, kSnapshotLevels, levels);
    add_array(m, side == wire::Side::kBuy ? "b" : "a", levels.size());
    for (const wire::Level& each : levels) add_level(m, each.price, each.quantity);
  }
  add_best(m, "bb", engine_.best(index, wire::Side::kBuy));
  add_best(m, "ba", engine_.best(index, wire::Side::kSell));
  return out;
}

bool Sequencer::has_publications(std::uint32_t shard) const {
  return shard < shards_.size() &&
         (!shards_[shard].dirty_symbols.empty() || !shards_[shard].stale_symbols.empty() ||
          !shards_[shard].executions.empty());
}

Publication Sequencer::changes_of(Symbol& symbol, std::uint32_t index, std::int64_t now_us,
                                  bool* whole) {
  depth_changes_.clear();
  *whole = !engine_.take_depth_changes(index, depth_changes_);
  Publication out{"{" + symbol.name + "}:market", {}, false};
  Bytes& m = out.message;
  m.extend_to(msgpack::map(m.room(msgpack::kHeadBytesMax), 11));
  add_text(m, "s");
  add_text(m, symbol.name);
  add_number(m, "e", slots_[symbol.slot].state.epoch);
  add_number(m, "T", now_us);
  // A first update id beyond the last one sent says "take the snapshot": too much has changed.
  add_number(m, "U", *whole ? symbol.update_seq + 1 : symbol.published_update + 1);
  add_number(m, "u", symbol.update_seq);
  for (const wire::Side side : {wire::Side::kBuy, wire::Side::kSell}) {
    std::size_t count = 0;
    for (const core::DepthChange& change : depth_changes_) count += change.side == side ? 1 : 0;
    add_array(m, side == wire::Side::kBuy ? "b" : "a", count);
    for (const core::DepthChange& change : depth_changes_) {
      if (change.side == side) add_level(m, change.price, change.quantity);
    }
  }
  add_array(m, "t", symbol.trade_count);
  m.append(symbol.trades.view());
  add_best(m, "bb", engine_.best(index, wire::Side::kBuy));
  add_best(m, "ba", engine_.best(index, wire::Side::kSell));
  add_number(m, "lp", engine_.counters(index).last_price);
  symbol.trades.clear();
  symbol.trade_count = 0;
  symbol.published_update = symbol.update_seq;
  return out;
}

std::vector<Publication> Sequencer::publications(std::uint32_t number, std::int64_t now_us) {
  std::vector<Publication> out;
  if (number >= shards_.size()) return out;
  Shard& shard = shards_[number];
  for (const std::uint32_t index : shard.dirty_symbols) {
    Symbol& symbol = symbols_[index];
    symbol.dirty = false;
    if (symbol.slot == kNoSlot) continue;
    bool whole = false;
    Publication changes = changes_of(symbol, index, now_us, &whole);
    if (whole || now_us - symbol.snapshot_us >= kSnapshotGapUs) {
      symbol.snapshot_us = now_us;
      out.push_back(snapshot(symbol, index, now_us));  // stored before the change is announced
    } else {
      shard.stale_symbols.push_back(index);
    }
    out.push_back(std::move(changes));
  }
  shard.dirty_symbols.clear();
  // The last change of a burst gets its snapshot too, when the gap is over.
  std::erase_if(shard.stale_symbols, [&](std::uint32_t index) {
    Symbol& symbol = symbols_[index];
    if (symbol.slot == kNoSlot || symbol.snapshot_of == symbol.update_seq) return true;
    if (now_us - symbol.snapshot_us < kSnapshotGapUs) return false;
    symbol.snapshot_us = now_us;
    out.push_back(snapshot(symbol, index, now_us));
    return true;
  });
  shard.executions.take([&out](std::size_t channel, const ExecutionFeed::Channel& taken) {
    Publication& each =
        out.emplace_back("{user-" + std::to_string(channel) + "}:executions", Bytes{}, false);
    Bytes& m = each.message;
    m.extend_to(msgpack::array(m.room(msgpack::kHeadBytesMax + taken.maps.size()), taken.count));
    m.append(taken.maps.view());
  });
  return out;
}

// Not counted against the gap: the first change after a quiet time is stored at once.
std::vector<Publication> Sequencer::snapshots(std::uint32_t shard, std::int64_t now_us) {
  std::vector<Publication> out;
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
    const std::uint32_t slot = symbols_[index].slot;
    if (slot != kNoSlot && slots_[slot].state.shard == shard) {
      out.push_back(snapshot(symbols_[index], index, now_us));
    }
  }
  return out;
}

}  // namespace trading::sequencer
