// The laws of a book, checked by walking all of it. For tests.
#include "book.hpp"

namespace trading::core {

void Book::check_invariants() const {
  std::size_t orders = 0;
  for (const Side side : {Side::kBuy, Side::kSell}) {
    const PriceLadder& own = ladder(side);
    TRADING_CHECK(own.empty() == (own.levels() == 0));
    std::int64_t side_lots = 0;
    std::size_t levels = 0;
    if (!own.empty()) {
      Key key = own.best_key();
      const Level* level = &own.best();
      for (bool more = true; more; ++levels) {
        std::int64_t level_lots = 0;
        Handle before = kNoHandle;
        for (Handle h = level->first; h != kNoHandle; before = h, h = shared_.pool[h].next) {
          const Order& order = shared_.pool[h];
          TRADING_CHECK(order.live && order.side == side && key_of(side, order.price) == key);
          TRADING_CHECK(order.remaining > 0 && order.remaining <= order.quantity);
          TRADING_CHECK(order.previous == before && find(order.order_id) == h);
          TRADING_CHECK(before == kNoHandle || shared_.pool[before].priority < order.priority);
          TRADING_CHECK(order.priority <= counters.priority);
          TRADING_CHECK(shared_.accounts[order.account_entry].symbol == symbol_);
          level_lots += order.remaining;
          ++orders;
        }
        TRADING_CHECK(level->last == before && before != kNoHandle);
        TRADING_CHECK(level->quantity == level_lots && own.find(key) == level);
        side_lots += level_lots;
        const Key last_key = key;
        more = own.next(key, &key, &level);
        TRADING_CHECK(!more || last_key < key);
      }
    }
    TRADING_CHECK(levels == own.levels() && side_lots == lots_[index_of(side)]);
  }
  TRADING_CHECK(orders == ids_.size());
  if (!ladder(Side::kBuy).empty() && !ladder(Side::kSell).empty())
    TRADING_CHECK(~ladder(Side::kBuy).best_key() < ladder(Side::kSell).best_key());
}

}  // namespace trading::core
