#include "trading/sequencer/batch.hpp"

#include <algorithm>

namespace trading::sequencer {
namespace {

constexpr std::size_t kFrameAim = 1U << 20;  // a kReplies frame is closed when it is this long
constexpr std::size_t kRowWeight = 256;

static_assert(kFrameAim + sizeof(wire::Reply) + kReplyFillsMax * sizeof(wire::Fill) +
                  sizeof(wire::FrameHeader) <=
              wire::kFrameBytesMax);

template <typename... Arrays>
void emit(std::vector<std::string_view>& out, Arrays&... arrays) {
  (out.push_back(arrays.finish()), ...);
}

template <typename... Arrays>
void clear_all(Arrays&... arrays) {
  (arrays.clear(), ...);
}

}  // namespace

void OrderRows::clear() {
  clear_all(symbol_, order_, account_, client_, attributes_, price_, quantity_, executed_, quote_,
            prevented_, priority_, entry_, body_, created_, seq_, ended_);
}

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

void OrderRows::finish(std::vector<std::string_view>& out, bool with_ended) {
  emit(out, symbol_, order_, account_, client_, attributes_, price_, quantity_, executed_, quote_,
       prevented_, priority_, entry_, body_, created_, seq_);
  if (with_ended) emit(out, ended_);
}

void Batch::clear() {
  commands = 0;
  slots_.clear();
  outboxes_used_ = outbox_last_ = 0;
  weight_ = 0;
  opened_.clear();
  closed_.clear();
  clear_all(sl_id_, sl_epoch_, sl_previous_, sl_sequence_, sl_chain_, sl_payload_);
  clear_all(st_symbol_, st_order_, st_trade_, st_prevented_, st_priority_, st_update_, st_sym_,
            st_last_, st_halted_, st_seq_);
  clear_all(up_symbol_, up_order_, up_attributes_, up_price_, up_quantity_, up_executed_, up_quote_,
            up_prevented_, up_priority_, up_seq_, de_symbol_, de_order_);
  clear_all(tr_symbol_, tr_trade_, tr_maker_, tr_taker_, tr_maker_account_, tr_taker_account_,
            tr_price_, tr_quantity_, tr_side_, tr_time_, tr_seq_);
}

Outbox& Batch::outbox(std::uint64_t connection) {
  if (outbox_last_ < outboxes_used_ && outboxes_[outbox_last_].connection == connection) {
    return outboxes_[outbox_last_];
  }
  const auto end = outboxes_.begin() + static_cast<std::ptrdiff_t>(outboxes_used_);
  const auto found = std::find_if(outboxes_.begin(), end, [connection](const Outbox& box) {
    return box.connection == connection;
  });
  outbox_last_ = static_cast<std::size_t>(found - outboxes_.begin());
  if (found == end) {
    if (outboxes_used_ == outboxes_.size()) outboxes_.emplace_back();
    Outbox& box = outboxes_[outboxes_used_++];
    box.connection = connection;
    box.bytes.clear();
    box.open_frame = SIZE_MAX;
  }
  return outboxes_[outbox_last_];
}

void Batch::close_frame(Outbox& box) {
  if (box.open_frame == SIZE_MAX) return;
  put(box.bytes.data() + box.open_frame,
      static_cast<std::uint32_t>(box.bytes.size() - box.open_frame));
  box.open_frame = SIZE_MAX;
}

void Batch::seal() {
  for (Outbox& box : outboxes()) close_frame(box);
}

void Batch::add_reply(std::uint64_t connection, const wire::Reply& reply,
                      std::span<const wire::Fill> fills) {
  Outbox& box = outbox(connection);
  const std::size_t bytes = sizeof reply + fills.size_bytes();
  weight_ += bytes;
  if (box.open_frame != SIZE_MAX && box.bytes.size() - box.open_frame > kFrameAim) close_frame(box);
  char* at = box.bytes.room(sizeof(wire::FrameHeader) + bytes);
  if (box.open_frame == SIZE_MAX) {
    box.open_frame = box.bytes.size();
    at = put(at, wire::FrameHeader{0, static_cast<std::uint8_t>(wire::FrameType::kReplies), 0, 0});
  }
  at = put(at, reply);
  if (!fills.empty()) {
    std::memcpy(at, fills.data(), fills.size_bytes());
    at += fills.size_bytes();
  }
  box.bytes.extend_to(at);
}

void Batch::add_depth(std::uint64_t connection, const wire::DepthHeader& header,
                      std::span<const wire::Level> levels) {
  Outbox& box = outbox(connection);
  close_frame(box);
  const std::size_t length = sizeof(wire::FrameHeader) + sizeof header + levels.size_bytes();
  weight_ += length;
  char* at = box.bytes.room(length);
  at = put(at, wire::FrameHeader{static_cast<std::uint32_t>(length),
                                 static_cast<std::uint8_t>(wire::FrameType::kDepth), 0, 0});
  at = put(at, header);
  if (!levels.empty()) std::memcpy(at, levels.data(), levels.size_bytes());
  box.bytes.extend_to(at + levels.size_bytes());
}

void Batch::add_slot(const SlotCommit& slot, std::string_view payload) {
  slots_.push_back(slot);
  sl_id_.add(slot.id);
  sl_epoch_.add(slot.epoch);
  sl_previous_.add(slot.previous);
  sl_sequence_.add(slot.sequence);
  sl_chain_.add(
      std::string_view(reinterpret_cast<const char*>(slot.chain.data()), slot.chain.size()));
  sl_payload_.add(payload);
}

void Batch::add_trade(const TradeRow& row) {
  weight_ += kRowWeight;
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

void Batch::add_open(std::string_view symbol, const ColdOrder& order) {
  opened_.add(symbol, order, order.attributes(order.open_status(), wire::EndReason::kNone));
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

void Batch::add_closed(std::string_view symbol, const ColdOrder& order, std::int32_t attributes,
                       std::int64_t ended_us) {
  weight_ += kRowWeight;
  closed_.add(symbol, order, attributes);
  closed_.add_ended(ended_us);
}

std::vector<std::string_view> Batch::parameters() {
  std::vector<std::string_view> out;
  out.reserve(70);
  emit(out, sl_id_, sl_epoch_, sl_previous_, sl_sequence_, sl_chain_, sl_payload_);
  emit(out, st_symbol_, st_order_, st_trade_, st_prevented_, st_priority_, st_update_, st_sym_,
       st_last_, st_halted_, st_seq_);
  opened_.finish(out, false);
  emit(out, up_symbol_, up_order_, up_attributes_, up_price_, up_quantity_, up_executed_, up_quote_,
       up_prevented_, up_priority_, up_seq_);
  emit(out, de_symbol_, de_order_);
  closed_.finish(out, true);
  emit(out, tr_symbol_, tr_trade_, tr_maker_, tr_taker_, tr_maker_account_, tr_taker_account_,
       tr_price_, tr_quantity_, tr_side_, tr_time_, tr_seq_);
  return out;
}

std::unique_ptr<Batch> BatchPool::take() {
  if (spare_.empty()) return std::make_unique<Batch>();
  std::unique_ptr<Batch> batch = std::move(spare_.back());
  spare_.pop_back();
  batch->clear();
  return batch;
}

void BatchPool::give(std::unique_ptr<Batch> batch) {
  if (spare_.size() < kSpareMax && batch->weight() < kSpareWeightMax) {
    spare_.push_back(std::move(batch));
  }
}

}  // namespace trading::sequencer
