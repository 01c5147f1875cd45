// An order that enters: it meets the other side, best price first, then oldest, and rests or ends.
#include <algorithm>

#include "book.hpp"

namespace trading::core {

void Book::enter(Taker& taker, Output out) {
  const PriceLadder& others = ladder(taker.other_side());
  if (!others.empty() && others.best_key() <= taker.limit_key()) {
    if (taker.self_trade != SelfTrade::kNone && taker.account != 0) {
      const std::uint32_t entry = shared_.accounts.find(symbol_, taker.account);
      if (entry != kNoEntry && shared_.accounts[entry].count != 0) taker.own_entry = entry;
    }
    if (taker.time_in_force != TimeInForce::kFok || fills_whole(taker)) match(taker, out);
  }
  const bool may_rest =
      taker.type != OrderType::kMarket && taker.time_in_force == TimeInForce::kGtc;
  if (may_rest && taker.remaining != 0 && !taker.expired) {
    rest(taker, out);
  } else {
    end_taker(taker, out);
  }
}

void Book::match(Taker& taker, Output out) {
  PriceLadder& others = ladder_at(taker.other_side());
  const Key limit = taker.limit_key();
  while (!others.empty() && others.best_key() <= limit) {
    const Handle maker_handle = others.best().first;
    const Order& maker = shared_.pool[maker_handle];
    const std::int64_t lots = taker.by_quote ? taker.quote_left / maker.price : taker.remaining;
    if (lots == 0) return;
    if (maker.account_entry == taker.own_entry) [[unlikely]] {
      if (!prevent(taker, maker_handle, lots, out)) return;
    } else {
      trade(taker, maker_handle, std::min(lots, maker.remaining), out);
    }
    if (!taker.by_quote && taker.remaining == 0) return;
  }
}

void Book::trade(Taker& taker, Handle maker_handle, std::int64_t lots, Output out) {
  Order& maker = shared_.pool[maker_handle];
  Level& level = ladder_at(maker.side).best();
  if (taker.by_quote) {
    taker.quote_left -= lots * maker.price;
  } else {
    taker.remaining -= lots;
  }
  taker.traded = true;
  maker.traded = true;
  remove_lots(level, maker, lots);
  counters.last_price = maker.price;
  const bool filled = maker.remaining == 0;
  out({.kind = EventKind::kTrade,
       .side = taker.side,
       .status = filled ? OrderStatus::kFilled : OrderStatus::kPartiallyFilled,
       .handle = maker_handle,
       .order_id = taker.order_id,
       .other_id = maker.order_id,
       .price = maker.price,
       .quantity = lots,
       .remaining = maker.remaining,
       .number = ++counters.trade_id});
  if (!filled) return;
  unlink_from(level, maker_handle);
  end_resting(maker_handle, EndReason::kNone, 0, out);
}

// The taker meets an order of its own account. False when the taker has expired by it.
bool Book::prevent(Taker& taker, Handle maker_handle, std::int64_t taker_lots, Output out) {
  Order& maker = shared_.pool[maker_handle];
  Level& level = ladder_at(maker.side).best();
  const SelfTrade mode = taker.self_trade;
  std::int64_t taker_loss = 0;
  std::int64_t maker_loss = 0;
  if (mode == SelfTrade::kDecrement) {
    taker_loss = maker_loss = std::min(taker_lots, maker.remaining);
  } else {
    if (mode != SelfTrade::kExpireMaker) taker_loss = taker_lots;
    if (mode != SelfTrade::kExpireTaker) maker_loss = maker.remaining;
  }
  taker.prevented = true;
  if (mode == SelfTrade::kExpireTaker || mode == SelfTrade::kExpireBoth) taker.expired = true;
  if (taker.by_quote) {
    if (!taker.expired) taker.quote_left -= taker_loss * maker.price;
    taker.expired |= taker.quote_left == 0;
  } else {
    taker.remaining -= taker_loss;
    taker.expired |= taker.remaining == 0;
  }
  remove_lots(level, maker, maker_loss);
  const bool maker_ended = maker.remaining == 0;
  out({.kind = EventKind::kPrevented,
       .side = taker.side,
       .status = maker_ended ? OrderStatus::kExpiredInMatch : open_status(maker.traded),
       .handle = maker_handle,
       .order_id = taker.order_id,
       .other_id = maker.order_id,
       .price = maker.price,
       .quantity = taker_loss,
       .remaining = maker_loss,
       .number = ++counters.prevented_id});
  if (maker_ended) {
    unlink_from(level, maker_handle);
    end_resting(maker_handle, EndReason::kSelfTrade, 0, out);
  }
  return !taker.expired;
}

// Whether match() would trade all lots: the same walk, touching nothing.
bool Book::fills_whole(const Taker& taker) const {
  const PriceLadder& others = ladder(taker.other_side());
  const Key limit = taker.limit_key();
  std::int64_t left = taker.remaining;
  Key key = others.best_key();
  const Level* level = &others.best();
  while (key <= limit) {
    if (taker.own_entry == kNoEntry) {
      left -= std::min(left, level->quantity);
    } else {
      for (Handle h = level->first; h != kNoHandle && left != 0; h = shared_.pool[h].next) {
        const Order& maker = shared_.pool[h];
        if (maker.account_entry != taker.own_entry) {
          left -= std::min(left, maker.remaining);
        } else if (taker.self_trade != SelfTrade::kExpireMaker) {
          return false;
        }
      }
    }
    if (left == 0) return true;
    if (!others.next(key, &key, &level)) return false;
  }
  return false;
}

void Book::end_taker(const Taker& taker, Output out) {
  EndReason reason = EndReason::kNone;  // filled
  if (taker.expired) {
    reason = EndReason::kSelfTrade;
  } else if (taker.by_quote) {
    // What is left buys no lot of the next maker: the order is done, by trading or by prevention.
    const PriceLadder& others = ladder(taker.other_side());
    const bool spent = taker.quote_left == 0 || !others.empty();
    if (!spent || !(taker.traded || taker.prevented)) {
      reason = EndReason::kNoLiquidity;
    } else if (!taker.traded) {
      reason = EndReason::kSelfTrade;
    }
  } else if (taker.remaining != 0) {
    reason = taker.type == OrderType::kMarket           ? EndReason::kNoLiquidity
             : taker.time_in_force == TimeInForce::kIoc ? EndReason::kIocUnfilled
                                                        : EndReason::kFokUnfilled;
  }
  const bool was_resting = taker.handle != kNoHandle;
  out({.kind = EventKind::kEnded,
       .side = taker.side,
       .status = status_of(reason),
       .reason = reason,
       .flags = was_resting ? event_flag::kWasResting : std::uint8_t{0},
       .handle = taker.handle,
       .order_id = taker.order_id,
       .price = taker.price,
       .quantity = taker.quantity,
       .remaining = taker.by_quote ? 0 : taker.remaining,
       .number = taker.by_quote ? taker.quote_left : 0});
  if (was_resting) release(taker.handle);
}

void Book::rest(const Taker& taker, Output out) {
  const bool is_new = taker.handle == kNoHandle;
  const Handle handle = is_new ? shared_.pool.allocate() : taker.handle;
  Order& order = shared_.pool[handle];
  order.order_id = taker.order_id;
  order.price = taker.price;
  order.remaining = taker.remaining;
  order.quantity = taker.quantity;
  order.priority = ++counters.priority;
  order.side = taker.side;
  order.type = taker.type;
  order.self_trade = taker.self_trade;
  order.live = true;
  order.traded = taker.traded;
  if (is_new) {
    ids_.insert(order.order_id, handle);
    shared_.accounts.insert(shared_.pool, shared_.accounts.acquire(symbol_, taker.account), handle);
  }
  link(handle, true);
  out({.kind = EventKind::kRested,
       .side = order.side,
       .status = open_status(order.traded),
       .handle = handle,
       .order_id = order.order_id,
       .price = order.price,
       .quantity = order.quantity,
       .remaining = order.remaining,
       .number = order.priority});
}

}  // namespace trading::core
