// One command: admission, the core, its events, the answer.
#include "trading/sequencer/log_format.hpp"
#include "trading/sequencer/msgpack.hpp"
#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {
namespace {

using wire::Code;
using wire::EndReason;
using wire::Kind;
using wire::OrderStatus;

std::string_view text_of(const char* bytes, std::size_t size) {
  return {bytes, strnlen(bytes, size)};
}

bool is_query(Kind kind) {
  return kind == Kind::kQueryOrder || kind == Kind::kQueryOpen || kind == Kind::kQueryDepth;
}

bool places(Kind kind) { return kind == Kind::kPlace || kind == Kind::kCancelReplace; }

std::int64_t body_hash(const wire::Command& c) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29U;
  };
  mix(static_cast<std::uint64_t>(c.side) | static_cast<std::uint64_t>(c.type) << 8U |
      static_cast<std::uint64_t>(c.time_in_force) << 16U |
      static_cast<std::uint64_t>(c.self_trade) << 24U | static_cast<std::uint64_t>(c.kind) << 32U);
  mix(static_cast<std::uint64_t>(c.price));
  mix(static_cast<std::uint64_t>(c.quantity));
  mix(static_cast<std::uint64_t>(c.quote_quantity));
  return static_cast<std::int64_t>(hash);
}

bool well_formed(const wire::Command& c) {
  return c.kind >= 1 && c.kind <= static_cast<std::uint8_t>(Kind::kClear) && c.side <= 1 &&
         c.type <= 2 && c.time_in_force <= 2 && c.self_trade <= 4 && c.account >= 0;
}

}  // namespace

void Sequencer::one(const wire::Command& command) {
  Symbol* symbol = nullptr;
  const Code code = admit(command, symbol);
  if (code != Code::kOk) {
    answer_refused(command, code, symbol != nullptr && symbol->slot != kNoSlot
                                      ? slots_[symbol->slot].state.epoch
                                      : 0);
    return;
  }
  Run& run = run_;
  run.command = &command;
  run.symbol = symbol;
  run.index = static_cast<std::uint32_t>(symbol - symbols_.data());
  run.subject = nullptr;
  run.refused = Code::kOk;
  run.ended = 0;
  run.accepted = run.changed = false;
  run.fills.clear();
  run.target_client_id.clear();
  switch (static_cast<Kind>(command.kind)) {
    case Kind::kQueryOrder: return query_order(run);
    case Kind::kQueryOpen: return query_open(run);
    case Kind::kQueryDepth: return query_depth(run);
    default: return order(run);
  }
}

Code Sequencer::admit(const wire::Command& command, Symbol*& symbol) {
  const std::uint32_t index = symbol_index(text_of(command.symbol, sizeof command.symbol));
  if (index == kNoSlot) return Code::kUnknownSymbol;
  symbol = &symbols_[index];
  if (symbol->slot == kNoSlot) return Code::kWrongOwner;
  const std::int64_t epoch = slots_[symbol->slot].state.epoch;
  if (command.epoch > static_cast<std::uint64_t>(epoch)) return Code::kWrongOwner;
  if (!well_formed(command)) return Code::kMalformed;
  if (command.expires_us != 0 && command.expires_us < now_us_ &&
      !is_query(static_cast<Kind>(command.kind))) {
    return Code::kRequestExpired;
  }
  return Code::kOk;
}

void Sequencer::order(Run& run) {
  const wire::Command& c = *run.command;
  const auto kind = static_cast<Kind>(c.kind);
  run.core = {};
  run.core.symbol = run.index;
  run.core.kind = kind;
  run.core.side = static_cast<wire::Side>(c.side);
  run.core.type = static_cast<wire::OrderType>(c.type);
  run.core.time_in_force = static_cast<wire::TimeInForce>(c.time_in_force);
  run.core.self_trade = static_cast<wire::SelfTrade>(c.self_trade);
  run.core.flags = c.flags;
  run.core.account = c.account;
  run.core.price = c.price;
  run.core.quantity = c.quantity;
  run.core.quote_quantity = c.quote_quantity;
  if (kind != Kind::kPlace) resolve_target(run);
  if (places(kind)) {
    if (repeated(run)) return;
    const Code code = check_new(run);
    if (code != Code::kOk) return answer_refused(c, code, 0);
    run.core.target_id = run.core.order_id;
    run.core.order_id = run.symbol->order_seq + 1;
  }
  run_core(run);
  answer(run);
}

bool Sequencer::repeated(Run& run) {
  const wire::Command& c = *run.command;
  const std::string_view client = text_of(c.client_id, sizeof c.client_id);
  ColdOrder& fresh = run.fresh;
  fresh = ColdOrder{};
  fresh.key = client_key(run.index, c.account, client);
  fresh.body_hash = body_hash(c);
  const IdempotencySet::Entry* known = idempotency_.find(fresh.key);
  if (known == nullptr) return false;
  wire::Reply reply{};
  reply.request_id = c.request_id;
  std::memcpy(reply.symbol, c.symbol, sizeof reply.symbol);
  std::memcpy(reply.client_id, c.client_id, sizeof reply.client_id);
  std::memcpy(reply.target_client_id, c.target_client_id, sizeof reply.target_client_id);
  reply.order_id = known->order_id;
  reply.account = c.account;
  reply.time_us = now_us_;
  reply.kind = c.kind;
  reply.epoch = static_cast<std::uint64_t>(slots_[run.symbol->slot].state.epoch);
  reply.code = static_cast<std::uint16_t>(
      known->body_hash == fresh.body_hash ? Code::kDuplicateSame : Code::kDuplicateOther);
  batch_->add_reply(c.connection, reply, {});
  return true;
}

Code Sequencer::check_new(const Run& run) {
  const wire::Command& c = *run.command;
  if (c.client_id[0] == '\0') return Code::kMalformed;
  const std::int64_t band = run.symbol->rules.price_band_percent;
  if (band > 0 && c.type != static_cast<std::uint8_t>(wire::OrderType::kMarket)) {
    const std::int64_t last = engine_.counters(run.index).last_price;
    const __int128 distance = static_cast<__int128>(c.price) - last;
    const __int128 allowed = static_cast<__int128>(last) * band;
    if (last > 0 && (distance * 100 > allowed || -distance * 100 > allowed)) {
      return Code::kPriceBand;
    }
  }
  return Code::kOk;
}

// The target by its id, or by its client id among the known ones.
void Sequencer::resolve_target(Run& run) {
  const wire::Command& c = *run.command;
  std::int64_t id = c.order_id;
  const std::string_view client = text_of(c.target_client_id, sizeof c.target_client_id);
  if (!client.empty()) {
    const auto* known = idempotency_.find(client_key(run.index, c.account, client));
    const std::int64_t named = known == nullptr ? -1 : known->order_id;
    id = id == 0 || id == named ? named : -1;  // both given: they must agree
  }
  run.core.order_id = id;
}

void Sequencer::run_core(Run& run) {
  events_.clear();
  engine_.apply({&run.core, 1}, events_);
  Slot& slot = slots_[run.symbol->slot];
  const bool touched = slot.touched;
  if (!touched) slot.previous = slot.state.sequence;
  ++slot.state.sequence;  // events carry the number of the commit they belong to
  for (const core::Event& event : events_.events()) on_event(run, event);
  if (!run.changed) {
    --slot.state.sequence;
    return;
  }
  slot.touched = true;
  ++run.symbol->sym_seq;
  ++run.symbol->update_seq;
  if (!run.symbol->touched) {
    run.symbol->touched = true;
    touched_symbols_.push_back(run.index);
  }
  if (!run.symbol->dirty) {
    run.symbol->dirty = true;
    outlet(*run.symbol).dirty.push_back(run.index);
  }
  const wire::Command& c = *run.command;
  append_log(slot.payload, run.core, run.symbol->name, text_of(c.client_id, sizeof c.client_id),
             now_us_);
}

void Sequencer::on_event(Run& run, const core::Event& e) {
  switch (e.kind) {
    case core::EventKind::kRejected:
      if ((e.flags & core::event_flag::kTargetPart) != 0) {
        wire::Reply reply = reply_of(run, ColdOrder{}, OrderStatus::kRejected, EndReason::kNone);
        reply.code = static_cast<std::uint16_t>(e.code);
        reply.flags = wire::flag::kMore | wire::flag::kCancelledPart;
        batch_->add_reply(run.command->connection, reply, {});
      } else {
        run.refused = e.code;
      }
      return;
    case core::EventKind::kAccepted: {
      ColdOrder& fresh = run.fresh;
      fresh.order_id = e.order_id;
      fresh.account = run.core.account;
      fresh.price = e.price;
      fresh.quantity = e.quantity;
      fresh.created_us = now_us_;
      fresh.symbol = run.index;
      fresh.side = run.core.side;
      fresh.type = run.core.type;
      fresh.time_in_force = run.core.time_in_force;
      fresh.self_trade = run.core.self_trade;
      std::memcpy(fresh.client_id, run.command->client_id, sizeof fresh.client_id);
      fresh.open = true;
      run.subject = &fresh;
      run.status = OrderStatus::kNew;
      run.reason = EndReason::kNone;
      run.accepted = run.changed = true;
      run.symbol->order_seq = e.order_id;
      idempotency_.insert({fresh.key, fresh.order_id, fresh.body_hash});
      publish(run, fresh, {.kind = ExecutionKind::kNew, .status = OrderStatus::kNew});
      return;
    }
    case core::EventKind::kTrade: return on_trade(run, e);
    case core::EventKind::kPrevented: {
      ColdOrder& maker = cold_[e.handle];
      maker.prevented += e.remaining;
      touch(run, maker, e.handle);
      run.subject->prevented += e.quantity;
      return;
    }
    case core::EventKind::kRested: return on_rested(run, e);
    case core::EventKind::kEnded: return on_ended(run, e);
    case core::EventKind::kReduced:
    case core::EventKind::kReplaced: {
      ColdOrder& cold = cold_[e.handle];
      cold.price = e.price;
      cold.quantity = e.quantity;
      touch(run, cold, e.handle);
      run.subject = &cold;
      run.status = cold.open_status();
      run.reason = EndReason::kNone;
      run.changed = true;
      publish(run, cold,
              {.kind = e.kind == core::EventKind::kReduced ? ExecutionKind::kReduced
                                                           : ExecutionKind::kReplaced,
               .status = cold.open_status()});
      return;
    }
    case core::EventKind::kDone:
      if (run.core.kind == Kind::kHalt || run.core.kind == Kind::kResume) run.changed = true;
      return;
  }
}

void Sequencer::on_trade(Run& run, const core::Event& e) {
  ColdOrder& taker = *run.subject;
  ColdOrder& maker = cold_[e.handle];
  const std::int64_t quote = e.price * e.quantity;
  for (ColdOrder* side : {&taker, &maker}) {
    side->executed += e.quantity;
    side->executed_quote += quote;
  }
  if (taker.entry_trade_id == 0 && run.accepted) taker.entry_trade_id = e.number;
  touch(run, maker, e.handle);
  run.fills.push_back({e.number, e.price, e.quantity, maker.order_id});
  const auto taker_side = static_cast<std::int16_t>(taker.side);
  batch_->add_trade({run.symbol->name, e.number, maker.order_id, taker.order_id, maker.account,
                     taker.account, e.price, e.quantity, taker_side, now_us_,
                     slots_[run.symbol->slot].state.sequence});
  std::string& out = run.symbol->trades;
  msgpack::array(out, 7);
  for (const std::int64_t word : {e.number, e.price, e.quantity, maker.order_id, taker.order_id,
                                  static_cast<std::int64_t>(taker_side), now_us_}) {
    msgpack::integer(out, word);
  }
  ++run.symbol->trade_count;
  Execution execution{.kind = ExecutionKind::kTrade,
                      .last_price = e.price,
                      .last_quantity = e.quantity,
                      .trade_id = e.number};
  const auto status = [](const ColdOrder& o) {
    return o.executed >= o.quantity && o.quantity > 0 ? OrderStatus::kFilled
                                                      : OrderStatus::kPartiallyFilled;
  };
  execution.status = status(taker);
  publish(run, taker, execution);
  execution.maker = true;
  execution.status = status(maker);
  publish(run, maker, execution);
}

void Sequencer::on_rested(Run& run, const core::Event& e) {
  ColdOrder& cold = cold_at(e.handle);
  if (run.subject == &run.fresh) {
    cold = run.fresh;
    cold.touch = Touch::kInserted;
    cold.generation = ++generation_;
    cold.seq = slots_[run.symbol->slot].state.sequence;
    touched_orders_.emplace_back(e.handle, cold.generation);
  } else {
    touch(run, cold, e.handle);
  }
  cold.priority = e.number;
  run.subject = &cold;
  run.status = cold.open_status();
  run.reason = EndReason::kNone;
}

void Sequencer::on_ended(Run& run, const core::Event& e) {
  const bool rested = e.handle != core::kNoHandle;
  ColdOrder& cold = rested ? cold_[e.handle] : run.fresh;
  const bool is_subject = run.subject == &cold;
  end_order(run, cold, e);
  ++run.ended;
  run.changed = true;
  if (is_subject) {
    run.status = e.status;
    run.reason = e.reason;
    return;
  }
  const bool of_list = run.core.kind == Kind::kCancelAll || run.core.kind == Kind::kClear;
  const bool target = (e.flags & core::event_flag::kTargetPart) != 0;
  if (of_list || target) {
    wire::Reply reply = reply_of(run, cold, e.status, e.reason);
    reply.flags = static_cast<std::uint8_t>(wire::flag::kMore |
                                            (target ? wire::flag::kCancelledPart : 0));
    batch_->add_reply(run.command->connection, reply, {});
  } else if (run.subject == nullptr) {  // a plain cancel, or a reduce that took all
    run.subject = &cold;
    run.status = e.status;
    run.reason = e.reason;
  }
}

void Sequencer::end_order(Run& run, ColdOrder& cold, const core::Event& e) {
  if (cold.quantity == 0) cold.quantity = cold.executed;  // a market order by quote
  if (e.handle != core::kNoHandle && cold.touch != Touch::kInserted) {
    batch_->add_delete(run.symbol->name, cold.order_id);
  }
  cold.touch = Touch::kNone;
  cold.open = false;
  cold.seq = slots_[run.symbol->slot].state.sequence;
  batch_->closed.add(run.symbol->name, cold, cold.attributes(e.status, e.reason));
  batch_->closed.add_ended(now_us_);
  idempotency_.ended(cold.key, now_us_);
  if (e.status != OrderStatus::kFilled) {
    publish(run, cold,
            {.kind = e.status == OrderStatus::kCanceled ? ExecutionKind::kCanceled
                                                        : ExecutionKind::kExpired,
             .status = e.status,
             .reason = e.reason,
             .target_client_id = text_of(run.command->client_id, sizeof run.command->client_id)});
  }
}

void Sequencer::touch(Run& run, ColdOrder& cold, core::Handle handle) {
  cold.seq = slots_[run.symbol->slot].state.sequence;
  if (cold.touch != Touch::kNone) return;
  cold.touch = Touch::kUpdated;
  touched_orders_.emplace_back(handle, cold.generation);
}

void Sequencer::publish(Run& run, const ColdOrder& cold, Execution execution) {
  execution.time_us = now_us_;
  outlet(*run.symbol).executions.add(run.symbol->name, cold, execution);
}

}  // namespace trading::sequencer
