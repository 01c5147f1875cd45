#include "trading/sequencer/batch.hpp"

#include <algorithm>

namespace trading::sequencer {
namespace {

constexpr std::size_t kFrameAim = 1U << 20;  // a kReplies frame is closed when it is this long
constexpr std::size_t kRowWeight = 256;

static_assert(kFrameAim + sizeof(wire::Reply) + kReplyFillsMax * sizeof(wire::Fill) +
                  sizeof(wire::FrameHeader) <=
              wire::kFrameBytesMax);

// What open_orders and closed_orders have in common, in the order of the schema.
template <typename... More>
void add_order(PgRows& rows, std::string_view symbol, const ColdOrder& order,
               std::int32_t attributes, More... more) {
  rows.add(symbol, order.order_id, order.account, order.client(), attributes, order.price,
           order.quantity, order.executed, order.executed_quote, order.prevented, order.priority,
           order.entry_trade_id, order.body_hash, order.created_us, order.seq, more...);
}

}  // namespace

void Batch::clear() {
  commands = 0;
  slots_.clear();
  outboxes_used_ = outbox_last_ = 0;
  weight_ = 0;
  rows_.clear();
  mirrors_used_ = 0;
}

Batch::Batch() = default;
Batch::~Batch() = default;

void Batch::Rows::clear() {
  for (PgRows* each : {&slots, &symbols, &opened, &updated, &deleted, &closed, &trades}) {
    each->clear();
  }
}

std::array<std::string_view, Batch::kParameters> Batch::Rows::finish(const Types& types) {
  return {slots.finish(types[0]),   symbols.finish(types[1]), opened.finish(types[2]),
          updated.finish(types[3]), deleted.finish(types[4]), closed.finish(types[5]),
          trades.finish(types[6])};
}

std::span<Batch::Mirror> Batch::mirrors() { return {mirrors_.data(), mirrors_used_}; }

template <typename Add>
void Batch::add(std::uint32_t mirror, Add add) {
  add(rows_);
  if (mirror == 0) return;
  std::size_t at = 0;
  while (at < mirrors_used_ && mirrors_[at].number != mirror) ++at;
  if (at == mirrors_used_) {
    if (at == mirrors_.size()) mirrors_.emplace_back();
    mirrors_[at].rows.clear();
    mirrors_[at].number = mirror;
    mirrors_[at].slot = SlotCommit{};
    mirrors_[at].weight = 0;
    ++mirrors_used_;
  }
  mirrors_[at].weight += kRowWeight;
  add(mirrors_[at].rows);
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

void Batch::add_slot(const SlotCommit& slot, std::string_view payload, std::uint32_t mirror) {
  slots_.push_back(slot);
  const std::string_view chain(reinterpret_cast<const char*>(slot.chain.data()),
                               slot.chain.size());
  add(mirror, [&](Rows& rows) {
    rows.slots.add(slot.id, slot.epoch, slot.previous, slot.sequence, Bytea{chain},
                   Bytea{payload});
  });
  if (mirror == 0) return;
  for (Mirror& each : mirrors()) {
    if (each.number != mirror) continue;
    each.slot = slot;
    each.weight += payload.size();
  }
}

void Batch::add_trade(const TradeRow& row, std::uint32_t mirror) {
  weight_ += kRowWeight;
  add(mirror, [&](Rows& rows) {
    rows.trades.add(row.symbol, row.trade_id, row.maker_order, row.taker_order, row.maker_account,
                    row.taker_account, row.price, row.quantity, row.taker_side, row.time_us,
                    row.seq);
  });
}

void Batch::add_symbol(const SymbolRow& row, std::uint32_t mirror) {
  add(mirror, [&](Rows& rows) {
    rows.symbols.add(row.symbol, row.order_seq, row.trade_seq, row.prevented_seq, row.priority_seq,
                     row.update_seq, row.sym_seq, row.last_price, row.halted, row.seq);
  });
}

void Batch::add_open(std::string_view symbol, const ColdOrder& order, std::uint32_t mirror) {
  const std::int32_t attributes = order.attributes(order.open_status(), wire::EndReason::kNone);
  add(mirror, [&](Rows& rows) {
    add_order(rows.opened, symbol, order, attributes, order.updated_us);
  });
}

void Batch::add_update(std::string_view symbol, const ColdOrder& order, std::uint32_t mirror) {
  add(mirror, [&](Rows& rows) {
    rows.updated.add(symbol, order.order_id,
                     order.attributes(order.open_status(), wire::EndReason::kNone), order.price,
                     order.quantity, order.executed, order.executed_quote, order.prevented,
                     order.priority, order.seq, order.updated_us);
  });
}

void Batch::add_delete(std::string_view symbol, std::int64_t order_id, std::uint32_t mirror) {
  add(mirror, [&](Rows& rows) { rows.deleted.add(symbol, order_id); });
}

void Batch::add_closed(std::string_view symbol, const ColdOrder& order, std::int32_t attributes,
                       std::int64_t ended_us, std::uint32_t mirror) {
  weight_ += kRowWeight;
  add(mirror,
      [&](Rows& rows) { add_order(rows.closed, symbol, order, attributes, ended_us); });
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
