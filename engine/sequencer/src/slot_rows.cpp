#include "trading/sequencer/slot_rows.hpp"

#include <algorithm>

namespace trading::sequencer {
namespace {

constexpr std::int16_t kStateFields = 10;
constexpr std::int16_t kOrderFields = 16;
constexpr std::int16_t kEndedFields = 6;

// The columns of open_orders after the symbol, in the order of the schema.
void read_order(CopyReader& rows, ColdOrder& order) {
  order.order_id = rows.field<std::int64_t>();
  order.account = rows.field<std::int64_t>();
  const std::string_view client = rows.bytes();
  std::memcpy(order.client_id, client.data(), std::min(client.size(), sizeof order.client_id));
  const auto attributes = static_cast<std::uint32_t>(rows.field<std::int32_t>());
  order.side = static_cast<wire::Side>(attributes & 15U);
  order.type = static_cast<wire::OrderType>(attributes >> 4U & 15U);
  order.time_in_force = static_cast<wire::TimeInForce>(attributes >> 8U & 15U);
  order.self_trade = static_cast<wire::SelfTrade>(attributes >> 12U & 15U);
  order.price = rows.field<std::int64_t>();
  order.quantity = rows.field<std::int64_t>();
  order.executed = rows.field<std::int64_t>();
  order.executed_quote = rows.field<std::int64_t>();
  order.prevented = rows.field<std::int64_t>();
  order.priority = rows.field<std::int64_t>();
  order.entry_trade_id = rows.field<std::int64_t>();
  order.body_hash = rows.field<std::int64_t>();
  order.created_us = rows.field<std::int64_t>();
  order.seq = rows.field<std::int64_t>();
  // Older than the column: not known, so the time of its entry.
  order.updated_us = std::max(rows.field<std::int64_t>(), order.created_us);
}

}  // namespace

std::uint32_t SlotRows::name_of(std::string_view name) {
  // Rows of a symbol mostly come together.
  if (!names_.empty() && names_.back() == name)
    return static_cast<std::uint32_t>(names_.size()) - 1;
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found != names_.end()) return static_cast<std::uint32_t>(found - names_.begin());
  names_.emplace_back(name);
  return static_cast<std::uint32_t>(names_.size()) - 1;
}

template <typename Row>
bool SlotRows::add(Stream& stream, std::string_view part, std::int16_t fields, Row row) {
  if (part.empty()) return true;
  if (finished_ || stream.ended) return false;
  CopyReader rows(part);
  if (!stream.begun && !rows.skip_head()) return false;
  stream.begun = true;
  for (;;) {
    switch (rows.next_row(fields)) {
      case CopyReader::Row::kOne:
        row(rows);
        if (!rows.ok()) return false;
        break;
      case CopyReader::Row::kPartEnds:
        return true;
      case CopyReader::Row::kLast:
        stream.ended = true;
        return true;
      case CopyReader::Row::kMalformed:
        return false;
    }
  }
}

bool SlotRows::add_states(std::string_view part) {
  return add(state_stream_, part, kStateFields, [this](CopyReader& rows) {
    State& state = states_.emplace_back();
    state.name = name_of(rows.bytes());
    state.order_seq = rows.field<std::int64_t>();
    state.counters.trade_id = rows.field<std::int64_t>();
    state.counters.prevented_id = rows.field<std::int64_t>();
    state.counters.priority = rows.field<std::int64_t>();
    state.update_seq = rows.field<std::int64_t>();
    state.sym_seq = rows.field<std::int64_t>();
    state.counters.last_price = rows.field<std::int64_t>();
    state.halted = rows.field<std::int8_t>() != 0;
    (void)rows.field<std::int64_t>();  // seq
  });
}

bool SlotRows::add_open_orders(std::string_view part) {
  constexpr std::size_t kRowBytes = 160;  // about
  std::vector<ColdOrder>& block = blocks_.emplace_back();
  block.reserve(part.size() / kRowBytes + 1);
  const auto number = static_cast<std::uint32_t>(blocks_.size() - 1);
  return add(open_stream_, part, kOrderFields, [&](CopyReader& rows) {
    ColdOrder& order = block.emplace_back();
    order.symbol = name_of(rows.bytes());
    read_order(rows, order);
    places_.push_back(
        {order.priority, order.symbol, number, static_cast<std::uint32_t>(block.size() - 1)});
  });
}

bool SlotRows::add_closed_orders(std::string_view part) {
  return add(closed_stream_, part, kEndedFields, [this](CopyReader& rows) {
    Ended& ended = ended_.emplace_back();
    ended.name = name_of(rows.bytes());
    ended.order_id = rows.field<std::int64_t>();
    ended.account = rows.field<std::int64_t>();
    const std::string_view client = rows.bytes();
    ended.client_size = static_cast<std::uint8_t>(std::min(client.size(), sizeof ended.client_id));
    std::memcpy(ended.client_id, client.data(), ended.client_size);
    ended.body_hash = rows.field<std::int64_t>();
    ended.time_us = rows.field<std::int64_t>();
  });
}

// A stream that another part has begun must have its end.
bool SlotRows::join(Stream& mine, const Stream& other) {
  if (!other.begun) return true;
  const bool whole = other.ended && (!mine.begun || mine.ended);
  mine = other;
  return whole;
}

bool SlotRows::merge(SlotRows& other) {
  if (finished_ || other.finished_ || &other == this) return false;
  std::vector<std::uint32_t> names;
  for (const std::string& name : other.names_) names.push_back(name_of(name));
  for (State& state : other.states_) {
    state.name = names[state.name];
    states_.push_back(state);
  }
  const auto first_block = static_cast<std::uint32_t>(blocks_.size());
  for (std::vector<ColdOrder>& block : other.blocks_) {
    for (ColdOrder& order : block) order.symbol = names[order.symbol];
    blocks_.push_back(std::move(block));
  }
  places_.reserve(places_.size() + other.places_.size());
  for (Place& place : other.places_) {
    places_.push_back({place.priority, names[place.name], place.block + first_block, place.at});
  }
  for (Ended& ended : other.ended_) {
    ended.name = names[ended.name];
    ended_.push_back(ended);
  }
  const bool states = join(state_stream_, other.state_stream_);
  const bool opened = join(open_stream_, other.open_stream_);
  const bool closed = join(closed_stream_, other.closed_stream_);
  other = SlotRows();
  return states && opened && closed;
}

// Rows come in the order of the table's pages; restoring is fast in the order of priority.
bool SlotRows::finish() {
  if (!state_stream_.ended || !open_stream_.ended || !closed_stream_.ended) return false;
  const auto older = [](const Place& a, const Place& b) {
    return a.name != b.name ? a.name < b.name : a.priority < b.priority;
  };
  if (!std::is_sorted(places_.begin(), places_.end(), older)) {
    std::sort(places_.begin(), places_.end(), older);
  }
  const auto earlier = [](const Ended& a, const Ended& b) { return a.time_us < b.time_us; };
  if (!std::is_sorted(ended_.begin(), ended_.end(), earlier)) {
    std::stable_sort(ended_.begin(), ended_.end(), earlier);
  }
  finished_ = true;
  return true;
}

}  // namespace trading::sequencer
