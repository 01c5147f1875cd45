#include "trading/sequencer/batch.hpp"

namespace trading::sequencer {
namespace {

constexpr std::size_t kFrameAim = 1U << 20;  // a kReplies frame is closed when it is this long

template <typename... Arrays>
void emit(std::vector<std::string>& out, Arrays&... arrays) {
  (out.emplace_back(arrays.finish()), ...);
}

template <typename Record>
void append_record(std::string& out, const Record& record) {
  out.append(reinterpret_cast<const char*>(&record), sizeof record);
}

}  // namespace

void OrderRows::clear() { *this = OrderRows(); }

void OrderRows::add(std::string_view symbol, const ColdOrder& order, std::int32_t attributes) {
  symbol_.add(symbol);
  order_.add(order.order_id);
  account_.add(order.account);
  client_.add(order.client());
  attributes_.add(attributes);
  price_.add(order.price);
  quantity_.add(order.quantity);
  executed_.add(order.executed);
  quote_.add(order.executed_quote);
  prevented_.add(order.prevented);
  priority_.add(order.priority);
  entry_.add(order.entry_trade_id);
  body_.add(order.body_hash);
  created_.add(order.created_us);
  seq_.add(order.seq);
}

void OrderRows::finish(std::vector<std::string>& out, bool with_ended) {
  emit(out, symbol_, order_, account_, client_, attributes_, price_, quantity_, executed_, quote_,
       prevented_, priority_, entry_, body_, created_, seq_);
  if (with_ended) emit(out, ended_);
}

Outbox& Batch::outbox(std::uint64_t connection) {
  for (Outbox& box : outboxes) {
    if (box.connection == connection) return box;
  }
  outboxes.push_back({connection, {}, SIZE_MAX});
  return outboxes.back();
}

void Batch::close_frame(Outbox& box) {
  if (box.open_frame == SIZE_MAX) return;
  const auto length = static_cast<std::uint32_t>(box.bytes.size() - box.open_frame);
  std::memcpy(box.bytes.data() + box.open_frame, &length, sizeof length);
  box.open_frame = SIZE_MAX;
}

void Batch::seal() {
  for (Outbox& box : outboxes) close_frame(box);
}

void Batch::add_reply(std::uint64_t connection, const wire::Reply& reply,
                      const std::vector<wire::Fill>& fills) {
  Outbox& box = outbox(connection);
  if (box.open_frame != SIZE_MAX && box.bytes.size() - box.open_frame > kFrameAim) close_frame(box);
  if (box.open_frame == SIZE_MAX) {
    box.open_frame = box.bytes.size();
    append_record(box.bytes, wire::FrameHeader{
                                 0, static_cast<std::uint8_t>(wire::FrameType::kReplies), 0, 0});
  }
  append_record(box.bytes, reply);
  for (const wire::Fill& fill : fills) append_record(box.bytes, fill);
}

void Batch::add_depth(std::uint64_t connection, const wire::DepthHeader& header,
                      const std::vector<wire::Level>& levels) {
  Outbox& box = outbox(connection);
  close_frame(box);
  const std::size_t length =
      sizeof(wire::FrameHeader) + sizeof header + levels.size() * sizeof(wire::Level);
  append_record(box.bytes, wire::FrameHeader{static_cast<std::uint32_t>(length),
                                             static_cast<std::uint8_t>(wire::FrameType::kDepth), 0,
                                             0});
  append_record(box.bytes, header);
  for (const wire::Level& level : levels) append_record(box.bytes, level);
}

void Batch::add_trade(const TradeRow& row) {
  tr_symbol_.add(row.symbol);
  tr_trade_.add(row.trade_id);
  tr_maker_.add(row.maker_order);
  tr_taker_.add(row.taker_order);
  tr_maker_account_.add(row.maker_account);
  tr_taker_account_.add(row.taker_account);
  tr_price_.add(row.price);
  tr_quantity_.add(row.quantity);
  tr_side_.add(row.taker_side);
  tr_time_.add(row.time_us);
  tr_seq_.add(row.seq);
}

void Batch::add_symbol(const SymbolRow& row) {
  st_symbol_.add(row.symbol);
  st_order_.add(row.order_seq);
  st_trade_.add(row.trade_seq);
  st_prevented_.add(row.prevented_seq);
  st_priority_.add(row.priority_seq);
  st_update_.add(row.update_seq);
  st_sym_.add(row.sym_seq);
  st_last_.add(row.last_price);
  st_halted_.add(row.halted);
  st_seq_.add(row.seq);
}

void Batch::add_update(std::string_view symbol, const ColdOrder& order) {
  up_symbol_.add(symbol);
  up_order_.add(order.order_id);
  up_attributes_.add(order.attributes(order.open_status(), wire::EndReason::kNone));
  up_price_.add(order.price);
  up_quantity_.add(order.quantity);
  up_executed_.add(order.executed);
  up_quote_.add(order.executed_quote);
  up_prevented_.add(order.prevented);
  up_priority_.add(order.priority);
  up_seq_.add(order.seq);
}

void Batch::add_delete(std::string_view symbol, std::int64_t order_id) {
  de_symbol_.add(symbol);
  de_order_.add(order_id);
}

std::vector<std::string> Batch::parameters() {
  PgArray ids(oid::kInt4), epochs(oid::kInt8), prevs(oid::kInt8), his(oid::kInt8),
      chains(oid::kBytea), payloads(oid::kBytea);
  for (const SlotCommit& slot : slots) {
    ids.add(slot.id);
    epochs.add(slot.epoch);
    prevs.add(slot.previous);
    his.add(slot.sequence);
    chains.add(std::string_view(reinterpret_cast<const char*>(slot.chain.data()), 32));
    payloads.add(std::string_view(slot.payload));
  }
  std::vector<std::string> out;
  emit(out, ids, epochs, prevs, his, chains, payloads);
  emit(out, st_symbol_, st_order_, st_trade_, st_prevented_, st_priority_, st_update_, st_sym_,
       st_last_, st_halted_, st_seq_);
  opened.finish(out, false);
  emit(out, up_symbol_, up_order_, up_attributes_, up_price_, up_quantity_, up_executed_,
       up_quote_, up_prevented_, up_priority_, up_seq_);
  emit(out, de_symbol_, de_order_);
  closed.finish(out, true);
  emit(out, tr_symbol_, tr_trade_, tr_maker_, tr_taker_, tr_maker_account_, tr_taker_account_,
       tr_price_, tr_quantity_, tr_side_, tr_time_, tr_seq_);
  return out;
}

}  // namespace trading::sequencer
