// Answers to commands and queries.
#include <algorithm>
#include <span>

#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {

using wire::Code;
using wire::EndReason;
using wire::OrderStatus;

wire::Reply Sequencer::reply_of(const Run& run, const ColdOrder& cold, OrderStatus status,
                                EndReason reason) const {
  const wire::Command& c = *run.command;
  wire::Reply reply{};
  reply.request_id = c.request_id;
  std::memcpy(reply.symbol, c.symbol, sizeof reply.symbol);
  reply.order_id = cold.order_id;
  reply.account = cold.account;
  reply.price = cold.price;
  reply.quantity = cold.quantity;
  reply.executed = cold.executed;
  reply.executed_quote = cold.executed_quote;
  reply.prevented = cold.prevented;
  reply.created_us = cold.created_us;
  reply.time_us = now_us_;
  reply.epoch = static_cast<std::uint64_t>(slots_[run.symbol->slot].state.epoch);
  reply.sequence = static_cast<std::uint64_t>(run.symbol->sym_seq);
  std::memcpy(reply.client_id, cold.client_id, sizeof reply.client_id);
  std::memcpy(reply.target_client_id, c.target_client_id, sizeof reply.target_client_id);
  reply.code = static_cast<std::uint16_t>(Code::kOk);
  reply.kind = c.kind;
  reply.status = static_cast<std::uint8_t>(status);
  reply.side = static_cast<std::uint8_t>(cold.side);
  reply.type = static_cast<std::uint8_t>(cold.type);
  reply.time_in_force = static_cast<std::uint8_t>(cold.time_in_force);
  reply.self_trade = static_cast<std::uint8_t>(cold.self_trade);
  reply.end_reason = static_cast<std::uint8_t>(reason);
  return reply;
}

wire::Reply Sequencer::reply_of_open(const Run& run, const ColdOrder& cold) const {
  wire::Reply reply = reply_of(run, cold, cold.open_status(), EndReason::kNone);
  reply.time_us = cold.updated_us;
  return reply;
}

void Sequencer::answer_refused(const wire::Command& c, Code code, std::int64_t epoch) {
  ++refusals_;
  wire::Reply reply{};
  reply.request_id = c.request_id;
  std::memcpy(reply.symbol, c.symbol, sizeof reply.symbol);
  std::memcpy(reply.client_id, c.client_id, sizeof reply.client_id);
  std::memcpy(reply.target_client_id, c.target_client_id, sizeof reply.target_client_id);
  reply.order_id = c.order_id;
  reply.account = c.account;
  reply.time_us = now_us_;
  reply.epoch = static_cast<std::uint64_t>(epoch);
  reply.code = static_cast<std::uint16_t>(code);
  const bool known = c.kind >= static_cast<std::uint8_t>(wire::Kind::kPlace) &&
                     c.kind <= static_cast<std::uint8_t>(wire::Kind::kClear);
  reply.kind = known ? c.kind : static_cast<std::uint8_t>(wire::Kind::kPlace);
  reply.status = static_cast<std::uint8_t>(OrderStatus::kRejected);
  batch_->add_reply(c.connection, reply);
}

void Sequencer::answer(Run& run) {
  const wire::Command& c = *run.command;
  if (run.refused != Code::kOk) {
    return answer_refused(c, run.refused, slots_[run.symbol->slot].state.epoch);
  }
  if (run.subject == nullptr) {  // the end of a list, or a halt
    wire::Reply reply = reply_of(run, ColdOrder{}, OrderStatus::kCanceled, EndReason::kNone);
    reply.code = static_cast<std::uint16_t>(Code::kEnd);
    reply.executed = run.ended;
    batch_->add_reply(c.connection, reply);
    return;
  }
  wire::Reply reply = reply_of(run, *run.subject, run.status, run.reason);
  const std::span<const wire::Fill> fills(run.fills.data(),
                                          std::min(run.fills.size(), kReplyFillsMax));
  reply.fill_count = static_cast<std::uint32_t>(fills.size());
  batch_->add_reply(c.connection, reply, fills);
}

void Sequencer::query_order(Run& run) {
  resolve_target(run);
  const core::Handle handle = engine_.handle_of(run.index, run.core.order_id);
  if (handle != core::kNoHandle && cold_[handle].account == run.command->account) {
    batch_->add_reply(run.command->connection, reply_of_open(run, cold_[handle]));
    return;
  }
  wire::Command hinted = *run.command;  // the shard is asked by number, when it is known
  if (run.core.order_id > 0) hinted.order_id = run.core.order_id;
  answer_refused(hinted, Code::kNoSuchOrder, slots_[run.symbol->slot].state.epoch);
}

void Sequencer::query_open(Run& run) {
  const wire::Command& c = *run.command;
  listed_.clear();
  engine_.orders_of_account(run.index, c.account, listed_);  // oldest first, whatever made the book
  for (const core::Handle handle : listed_) {
    wire::Reply reply = reply_of_open(run, cold_[handle]);
    reply.flags = wire::flag::kMore;
    batch_->add_reply(c.connection, reply);
  }
  wire::Reply end = reply_of(run, ColdOrder{}, OrderStatus::kNew, EndReason::kNone);
  end.code = static_cast<std::uint16_t>(Code::kEnd);
  end.executed = static_cast<std::int64_t>(listed_.size());
  batch_->add_reply(c.connection, end);
}

void Sequencer::query_depth(Run& run) {
  constexpr std::int64_t kLevelsMax = 5000;
  const wire::Command& c = *run.command;
  const auto wanted = static_cast<std::size_t>(
      c.quantity <= 0 ? 100 : (c.quantity > kLevelsMax ? kLevelsMax : c.quantity));
  std::vector<wire::Level> levels;
  engine_.depth(run.index, wire::Side::kBuy, wanted, levels);
  const std::size_t bids = levels.size();
  engine_.depth(run.index, wire::Side::kSell, wanted, levels);
  wire::DepthHeader header{};
  header.request_id = c.request_id;
  std::memcpy(header.symbol, c.symbol, sizeof header.symbol);
  header.update_id = static_cast<std::uint64_t>(run.symbol->update_seq);
  header.last_price = engine_.counters(run.index).last_price;
  header.epoch = static_cast<std::uint64_t>(slots_[run.symbol->slot].state.epoch);
  header.bid_count = static_cast<std::uint32_t>(bids);
  header.ask_count = static_cast<std::uint32_t>(levels.size() - bids);
  batch_->add_depth(c.connection, header, levels);
}

}  // namespace trading::sequencer
