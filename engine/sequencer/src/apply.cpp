// One command: admission, the core, its events, the answer.
#include <array>

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

constexpr std::array<bool, 256> client_id_bytes() {
  std::array<bool, 256> good{};
  for (const char c :
       std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")) {
    good[static_cast<unsigned char>(c)] = true;
  }
  return good;
}

// Anything else would make the commit fail as a whole, for all who share the batch.
bool is_client_id(const char (&bytes)[wire::kClientIdBytes]) {
  static constexpr std::array<bool, 256> kGood = client_id_bytes();
  std::size_t at = 0;
  while (at < sizeof bytes && kGood[static_cast<unsigned char>(bytes[at])]) ++at;
  while (at < sizeof bytes && bytes[at] == '\0') ++at;
  return at == sizeof bytes;
}

std::int64_t saturated_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

bool is_query(Kind kind) {
  return kind == Kind::kQueryOrder || kind == Kind::kQueryOpen || kind == Kind::kQueryDepth;
}

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
  if (c.kind == static_cast<std::uint8_t>(Kind::kCancelReplace)) {
    mix(static_cast<std::uint64_t>(c.order_id));
    for (const char byte : c.target_client_id) mix(static_cast<unsigned char>(byte));
  }
  return static_cast<std::int64_t>(hash);
}

bool is_system(Kind kind) {
  return kind == Kind::kHalt || kind == Kind::kResume || kind == Kind::kClear;
}

bool well_formed(const wire::Command& c) {
  const auto kind = static_cast<Kind>(c.kind);
  return c.kind >= static_cast<std::uint8_t>(Kind::kPlace) &&
         c.kind <= static_cast<std::uint8_t>(Kind::kClear) &&
         c.side <= static_cast<std::uint8_t>(wire::Side::kSell) &&
         c.type <= static_cast<std::uint8_t>(wire::OrderType::kLimitMaker) &&
         c.time_in_force <= static_cast<std::uint8_t>(wire::TimeInForce::kFok) &&
         c.self_trade <= static_cast<std::uint8_t>(wire::SelfTrade::kDecrement) && c.account >= 0 &&
         (c.account == 0 || !is_system(kind)) && is_client_id(c.client_id) &&
         is_client_id(c.target_client_id);
}

}  // namespace

void Sequencer::one(const wire::Command& command) {
  Symbol* symbol = nullptr;
  const Code code = admit(command, symbol);
  if (code != Code::kOk) {
    answer_refused(
        command, code,
        symbol != nullptr && symbol->slot != kNoSlot ? slots_[symbol->slot].state.epoch : 0);
    return;
  }
  Run& run = run_;
  if (slots_[symbol->slot].held) {
    shard_->held.push_back(command);
    return;
  }
  start(run, command, static_cast<std::uint32_t>(symbol - symbols_.data()));
  switch (static_cast<Kind>(command.kind)) {
    case Kind::kQueryOrder:
      query_order(run);
      break;
    case Kind::kQueryOpen:
      query_open(run);
      break;
    case Kind::kQueryDepth:
      query_depth(run);
      break;
    default:
      order(run);
  }
  count(run);
}

void Sequencer::start(Run& run, const wire::Command& command, std::uint32_t index) {
  run.command = &command;
  run.symbol = &symbols_[index];
  run.index = index;
  run.subject = nullptr;
  run.refused = Code::kOk;
  run.ended = 0;
  run.accepted = run.changed = false;
  run.fills.clear();
}

Code Sequencer::admit(const wire::Command& command, Symbol*& symbol) {
  const std::uint32_t index = names_.find(command.symbol);
  if (index == SymbolNames::kNone) return Code::kUnknownSymbol;
  symbol = &symbols_[index];
  if (symbol->slot == kNoSlot) return Code::kWrongOwner;
  const SlotState& slot = slots_[symbol->slot].state;
  // Queued for another shard before this slot came: its commit would not be this shard's.
  if (&shards_[slot.shard] != shard_) return Code::kWrongOwner;
  const std::int64_t epoch = slot.epoch;
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
  fresh.key = idempotency_.key_of(run.symbol->tag, c.account, client);
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
  batch_->add_reply(c.connection, reply);
  return true;
}

Code Sequencer::check_new(const Run& run) {
  const wire::Command& c = *run.command;
  if (c.client_id[0] == '\0') return Code::kMalformed;
  if (!run.symbol->rules.listed) return Code::kUnknownSymbol;
  if (run.symbol->rules.halted) return Code::kSymbolHalted;
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
    const auto* known = idempotency_.find(idempotency_.key_of(run.symbol->tag, c.account, client));
    const std::int64_t named = known == nullptr ? -1 : known->order_id;
    id = id == 0 || id == named ? named : -1;  // both given: they must agree
  }
  run.core.order_id = id;
}

void Sequencer::run_core(Run& run) {
  events_.clear();
  engine_.apply({&run.core, 1}, events_);
  Slot& slot = slots_[run.symbol->slot];
  if (!slot.touched) slot.previous = slot.state.sequence;
  ++slot.state.sequence;  // rows carry the number of the command that made them
  for (const core::Event& event : events_.events()) on_event(run, event);
  if (!run.changed) {
    --slot.state.sequence;
    return;
  }
  if (!slot.touched) {
    slot.touched = true;
    shard_->touched_slots.push_back(run.symbol->slot);
  }
  ++run.symbol->sym_seq;
  ++run.symbol->update_seq;
  if (!run.symbol->touched) {
    run.symbol->touched = true;
    shard_->touched_symbols.emplace_back(run.index, run.symbol->slot);
  }
  if (!run.symbol->dirty) {
    run.symbol->dirty = true;
    shard_->dirty_symbols.push_back(run.index);
  }
  const wire::Command& c = *run.command;
  append_log(slot.payload, run.core, run.symbol->name, text_of(c.client_id, sizeof c.client_id),
             now_us_ - slot.logged_us, run.fresh.body_hash);
  slot.logged_us = now_us_;
}

void Sequencer::on_event(Run& run, const core::Event& e) {
  switch (e.kind) {
    case core::EventKind::kRejected:
      if ((e.flags & core::event_flag::kTargetPart) != 0) {
        wire::Reply reply = reply_of(run, ColdOrder{}, OrderStatus::kRejected, EndReason::kNone);
        reply.code = static_cast<std::uint16_t>(e.code);
        reply.flags = wire::flag::kMore | wire::flag::kCancelledPart;
        batch_->add_reply(run.command->connection, reply);
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
      fresh.created_us = fresh.updated_us = now_us_;
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
      idempotency_.put({fresh.key, fresh.order_id, fresh.body_hash});
      publish(run, fresh, {.kind = ExecutionKind::kNew, .status = OrderStatus::kNew});
      return;
    }
    case core::EventKind::kTrade:
      return on_trade(run, e);
    case core::EventKind::kPrevented: {
      ColdOrder& maker = cold_[e.handle];
      maker.prevented += e.remaining;
      touch(run, maker, e.handle);
      run.subject->prevented += e.quantity;
      return;
    }
    case core::EventKind::kRested:
      return on_rested(run, e);
    case core::EventKind::kEnded:
      return on_ended(run, e);
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
  const std::int64_t quote =
      e.price * e.quantity;  // within int64: the core bounds an order's notional
  for (ColdOrder* side : {&taker, &maker}) {
    side->executed += e.quantity;
    side->executed_quote = saturated_sum(side->executed_quote, quote);
  }
  if (taker.entry_trade_id == 0 && run.accepted) taker.entry_trade_id = e.number;
  touch(run, maker, e.handle);
  run.fills.push_back({e.number, e.price, e.quantity, maker.order_id});
  const auto taker_side = static_cast<std::int16_t>(taker.side);
  batch_->add_trade({run.symbol->name, e.number, maker.order_id, taker.order_id, maker.account,
                     taker.account, e.price, e.quantity, taker_side, now_us_,
                     slots_[run.symbol->slot].state.sequence},
                    mirror_of(run.symbol->slot));
  add_published_trade(*run.symbol, e, maker, taker);
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

void Sequencer::add_published_trade(Symbol& symbol, const core::Event& e, const ColdOrder& maker,
                                    const ColdOrder& taker) {
  constexpr std::uint32_t kTradesMax = 50'000;
  if (symbol.trade_count == kTradesMax) {  // readers see the gap in the ids and ask the shard
    symbol.trade_count = 0;
    symbol.trades.clear();
  }
  char* at =
      msgpack::array(symbol.trades.room(msgpack::kHeadBytesMax + 7 * msgpack::kIntegerBytesMax), 7);
  for (const std::int64_t word : {e.number, e.price, e.quantity, maker.order_id, taker.order_id,
                                  static_cast<std::int64_t>(taker.side), now_us_}) {
    at = msgpack::integer(at, word);
  }
  symbol.trades.extend_to(at);
  ++symbol.trade_count;
}

void Sequencer::on_rested(Run& run, const core::Event& e) {
  ColdOrder& cold = cold_.at(e.handle);
  if (run.subject == &run.fresh) {
    cold = run.fresh;
    cold.touch = Touch::kInserted;
    cold.generation = ++generation_;
    cold.seq = slots_[run.symbol->slot].state.sequence;
    shard_->touched_orders.emplace_back(e.handle, cold.generation);
    count_open(*run.symbol, 1);
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
  if (rested) count_open(*run.symbol, -1);
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
    reply.flags =
        static_cast<std::uint8_t>(wire::flag::kMore | (target ? wire::flag::kCancelledPart : 0));
    batch_->add_reply(run.command->connection, reply);
  } else if (run.subject == nullptr) {  // a plain cancel, or a reduce that took all
    run.subject = &cold;
    run.status = e.status;
    run.reason = e.reason;
  }
}

void Sequencer::end_order(Run& run, ColdOrder& cold, const core::Event& e) {
  if (cold.quantity == 0) cold.quantity = cold.executed;  // a market order by quote
  if (e.handle != core::kNoHandle && cold.touch != Touch::kInserted) {
    batch_->add_delete(run.symbol->name, cold.order_id, mirror_of(run.symbol->slot));
  }
  cold.touch = Touch::kNone;
  cold.open = false;
  cold.seq = slots_[run.symbol->slot].state.sequence;
  batch_->add_closed(run.symbol->name, cold, cold.attributes(e.status, e.reason), now_us_,
                     mirror_of(run.symbol->slot));
  idempotency_.ended(cold.key, cold.order_id, now_us_, run.symbol->tag);
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
  cold.updated_us = now_us_;
  cold.seq = slots_[run.symbol->slot].state.sequence;
  if (cold.touch != Touch::kNone) return;
  cold.touch = Touch::kUpdated;
  shard_->touched_orders.emplace_back(handle, cold.generation);
}

void Sequencer::publish(Run& run, const ColdOrder& cold, Execution execution) {
  execution.time_us = now_us_;
  shard_->executions.add(run.symbol->name, cold, execution);
}

}  // namespace trading::sequencer
