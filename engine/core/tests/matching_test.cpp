// Price, then age; what each type and time in force does with its rest.
#include <doctest.h>

#include "market.hpp"

using namespace trading::core;
using namespace trading::core::tests;

TEST_CASE("the best price trades first, then the oldest, each at the maker's price") {
  for (const Side side : {Side::kBuy, Side::kSell}) {
    const bool selling = side == Side::kSell;
    const Side other = selling ? Side::kBuy : Side::kSell;
    const std::int64_t better = selling ? 101 : 99;  // for a taker on `side`
    const std::int64_t limit = selling ? 90 : 110;
    Market market;
    market.quietly({place(other, 1, 5, 100), place(other, 2, 5, better), place(other, 3, 5, 100),
                    place(other, 4, 5, better)});
    CHECK(market.run({place(side, 9, 17, limit)}) ==
          Lines{"accepted 9", "trade 9x2 5@" + std::to_string(better), "ended 2 filled",
                "trade 9x4 5@" + std::to_string(better), "ended 4 filled", "trade 9x1 5@100",
                "ended 1 filled", "trade 9x3 2@100", "ended 9 filled"});
    CHECK(market.book() == Lines{"3:3@100"});
  }
}

TEST_CASE("a partly filled maker keeps its place") {
  Market market;
  market.quietly({sell(1, 10, 100), sell(2, 10, 100), buy(3, 4, 100)});
  CHECK(market.book() == Lines{"1:6@100", "2:10@100"});
  CHECK(market.run({buy(4, 7, 100)}) == Lines{"accepted 4", "trade 4x1 6@100", "ended 1 filled",
                                              "trade 4x2 1@100", "ended 4 filled"});
}

TEST_CASE("a taker does not trade beyond its limit and its rest rests there") {
  Market market;
  market.quietly({sell(1, 2, 100), sell(2, 2, 101), sell(3, 2, 102)});
  CHECK(market.run({buy(4, 9, 101)}) == Lines{"accepted 4", "trade 4x1 2@100", "ended 1 filled",
                                              "trade 4x2 2@101", "ended 2 filled",
                                              "rested 4 5@101"});
  CHECK(market.book() == Lines{"4:5@101", "3:2@102"});
}

TEST_CASE("orders keep their turn when the head, the middle or the tail of a level goes") {
  for (const std::int64_t gone : {1, 2, 3}) {
    Market market;
    market.quietly({buy(1, 1, 50), buy(2, 1, 50), buy(3, 1, 50), cancel(gone)});
    Lines left;
    for (const std::int64_t id : {1, 2, 3}) {
      if (id != gone) left.push_back(std::to_string(id) + ":1@50");
    }
    CHECK(market.book() == left);
  }
}

TEST_CASE("the best price is right after a cancel empties the top") {
  Market market;
  market.quietly({sell(1, 1, 100), sell(2, 1, 105), cancel(1)});
  CHECK(market.run({buy(3, 1, 104)}) == Lines{"accepted 3", "rested 3 1@104"});
  CHECK(market.engine().best(0, Side::kSell)->price == 105);
}

TEST_CASE("an IOC order's rest expires") {
  Market market;
  CHECK(market.run({ioc(buy(1, 3, 100))}) ==
        Lines{"accepted 1", "ended 1 expired ioc-unfilled lost 3"});
  market.quietly({sell(2, 2, 100)});
  CHECK(market.run({ioc(buy(3, 3, 100))}) == Lines{"accepted 3", "trade 3x2 2@100",
                                                   "ended 2 filled",
                                                   "ended 3 expired ioc-unfilled lost 1"});
  CHECK(market.book().empty());
}

TEST_CASE("a market order takes any price and its rest expires") {
  Market market;
  market.quietly({sell(1, 1, 100), sell(2, 1, 100000)});
  CHECK(market.run({tests::market(Side::kBuy, 3, 5)}) ==
        Lines{"accepted 3", "trade 3x1 1@100", "ended 1 filled", "trade 3x2 1@100000",
              "ended 2 filled", "ended 3 expired no-liquidity lost 3"});
}

TEST_CASE("a market order by quote buys whole lots and never spends more") {
  Market market;
  market.quietly({sell(1, 3, 100), sell(2, 5, 110)});
  CHECK(market.run({market_quote(Side::kBuy, 3, 560)}) == Lines{"accepted 3", "trade 3x1 3@100",
                                                                "ended 1 filled", "trade 3x2 2@110",
                                                                "ended 3 filled unspent 40"});
  CHECK(market.run({market_quote(Side::kBuy, 4, 109)}) ==
        Lines{"accepted 4", "ended 4 expired no-liquidity unspent 109"});
  CHECK(market.run({market_quote(Side::kBuy, 5, 1000)}) ==
        Lines{"accepted 5", "trade 5x2 3@110", "ended 2 filled",
              "ended 5 expired no-liquidity unspent 670"});
}

TEST_CASE("a market order to sell by quote does not pass over a better bid it cannot use up") {
  Market market;
  market.quietly({buy(1, 5, 98), buy(2, 5, 10)});
  CHECK(market.run({market_quote(Side::kSell, 3, 117)}) ==
        Lines{"accepted 3", "trade 3x1 1@98", "ended 3 filled unspent 19"});
}

TEST_CASE("a maker-only order is refused when it meets the other side at all, else it rests") {
  Market market;
  market.quietly({sell(1, 1, 100, 7)});
  CHECK(market.run({maker_only(buy(2, 1, 100, 8))}) == Lines{"rejected 2 would-take"});
  CHECK(market.run({maker_only(buy(3, 1, 101, 7))}) == Lines{"rejected 3 would-take"});
  CHECK(market.run({maker_only(buy(4, 1, 99))}) == Lines{"accepted 4", "rested 4 1@99"});
}

TEST_CASE("FOK fills whole or expires before anything is touched") {
  Market market;
  market.quietly({sell(1, 2, 100), sell(2, 2, 101), sell(3, 2, 102)});
  const Lines before = market.book();
  CHECK(market.run({fok(buy(4, 5, 101))}) ==
        Lines{"accepted 4", "ended 4 expired fok-unfilled lost 5"});
  CHECK(market.run({fok(buy(4, 7, 200))}) ==
        Lines{"accepted 4", "ended 4 expired fok-unfilled lost 7"});
  CHECK(market.book() == before);
  CHECK(market.run({fok(buy(5, 4, 101))}).back() == "ended 5 filled");
  CHECK(market.run({fok(buy(6, 2, 102))}).back() == "ended 6 filled");
}

TEST_CASE("what no order can be is refused") {
  Market market;
  const std::int64_t large = INT64_MAX;
  Command fok_market = market_quote(Side::kBuy, 1, 5);
  fok_market.time_in_force = TimeInForce::kFok;
  Command priced_market = tests::market(Side::kBuy, 1, 5);
  priced_market.price = 3;
  Command both_amounts = market_quote(Side::kBuy, 1, 5);
  both_amounts.quantity = 5;
  for (const Command& command :
       {buy(0, 1, 1), buy(-4, 1, 1), buy(1, 0, 1), buy(1, -1, 1), buy(1, 1, 0), buy(1, 1, -1),
        buy(1, large, 2), sell(1, large / 2 + 1, 2), ioc(maker_only(buy(1, 1, 1))), fok_market,
        priced_market, both_amounts, tests::market(Side::kBuy, 1, 0)})
    CHECK(market.run({command}).front().find("invalid-order") != std::string::npos);
  Command malformed = buy(1, 1, 1);
  malformed.side = static_cast<Side>(2);
  CHECK(market.run({malformed}) == Lines{"rejected 1 malformed"});
  CHECK(market.run({of_kind(Kind::kQueryOpen)}) == Lines{"rejected 0 malformed"});
  Command elsewhere = buy(1, 1, 1);
  elsewhere.symbol = 1;
  EventBuffer events;
  market.engine().apply({&elsewhere, 1}, events);
  CHECK(tell(events[0]) == "rejected 1 unknown-symbol");
  CHECK(market.book().empty());
}

TEST_CASE("the lots of a side cannot overflow") {
  Market market;
  market.quietly({buy(1, INT64_MAX - 5, 1)});
  CHECK(market.run({buy(2, 6, 1)}) == Lines{"rejected 2 invalid-order"});
  CHECK(market.run({buy(3, 5, 1)}).back() == "rested 3 5@1");
  CHECK(market.run({replace(3, 6, 0)}) == Lines{"rejected 3 invalid-replacement"});
  CHECK(market.run({fok(sell(4, INT64_MAX, 1))}).back() == "ended 4 filled");
}

TEST_CASE("an open id is refused again and free once its order has ended") {
  Market market;
  market.quietly({buy(1, 1, 50)});
  CHECK(market.run({buy(1, 1, 51)}) == Lines{"rejected 1 duplicate"});
  CHECK(market.run({cancel(1), buy(1, 2, 51)}).back() == "rested 1 2@51");
}

TEST_CASE("limits on open orders count what is open") {
  Market market({.open_orders_max = 3, .open_orders_per_account_max = 2});
  market.quietly({buy(1, 1, 50, 7), buy(2, 1, 50, 7)});
  CHECK(market.run({buy(3, 1, 50, 7)}) == Lines{"rejected 3 too-many"});
  CHECK(market.run({instead_of(1, buy(3, 1, 50, 7))}).back() == "rested 3 1@50");
  CHECK(market.run({ioc(buy(4, 1, 50, 7))}).front() == "accepted 4");
  market.quietly({buy(5, 1, 50, 8)});
  CHECK(market.run({buy(6, 1, 50, 9)}) == Lines{"rejected 6 too-many"});
  CHECK(market.run({cancel(2, 7), buy(6, 1, 50, 9)}).back() == "rested 6 1@50");
}

TEST_CASE("trade ids, priorities and prevented ids rise by one from where they were set") {
  Market market;
  market.engine().set_counters(0,
                               {.trade_id = 41, .prevented_id = 6, .priority = 9, .last_price = 5});
  market.quietly(
      {sell(1, 1, 100, 7), sell(2, 1, 100, 8), with(SelfTrade::kExpireMaker, buy(3, 1, 100, 7))});
  const SymbolCounters counters = market.engine().counters(0);
  CHECK(counters.trade_id == 42);
  CHECK(counters.prevented_id == 7);
  CHECK(counters.priority == 11);
  CHECK(counters.last_price == 100);
}
