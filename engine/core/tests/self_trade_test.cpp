// An account meets its own orders: the taker's mode decides, by encounter.
#include <doctest.h>

#include "market.hpp"

using namespace trading::core;
using namespace trading::core::tests;

namespace {

// Asks: 1 of another account, 2 of account 7, 3 of another, 4 of account 7 deeper.
void fill(Market& market) {
  market.quietly({sell(1, 2, 100, 8), sell(2, 3, 100, 7), sell(3, 4, 101, 8), sell(4, 5, 102, 7)});
}

}  // namespace

TEST_CASE("without prevention an account trades with itself") {
  Market market;
  fill(market);
  CHECK(market.run({buy(9, 4, 101, 7)}) == Lines{"accepted 9", "trade 9x1 2@100", "ended 1 filled",
                                                 "trade 9x2 2@100", "ended 9 filled"});
}

TEST_CASE("expire-taker ends the taker at the first contact; earlier trades stand") {
  Market market;
  fill(market);
  CHECK(market.run({with(SelfTrade::kExpireTaker, buy(9, 6, 102, 7))}) ==
        Lines{"accepted 9", "trade 9x1 2@100", "ended 1 filled", "prevented 9x2 taker-4 maker-0",
              "ended 9 expired-in-match self-trade"});
  CHECK(market.book() == Lines{"2:3@100", "3:4@101", "4:5@102"});
}

TEST_CASE("expire-maker removes the own order whole and goes on behind it; deeper ones stay") {
  Market market;
  fill(market);
  CHECK(market.run({with(SelfTrade::kExpireMaker, buy(9, 6, 102, 7))}) ==
        Lines{"accepted 9", "trade 9x1 2@100", "ended 1 filled", "prevented 9x2 taker-0 maker-3",
              "ended 2 expired-in-match self-trade", "trade 9x3 4@101", "ended 3 filled",
              "ended 9 filled"});
  CHECK(market.book() == Lines{"4:5@102"});
}

TEST_CASE("expire-both ends both") {
  Market market;
  fill(market);
  CHECK(market.run({with(SelfTrade::kExpireBoth, buy(9, 6, 102, 7))}) ==
        Lines{"accepted 9", "trade 9x1 2@100", "ended 1 filled", "prevented 9x2 taker-4 maker-3",
              "ended 2 expired-in-match self-trade", "ended 9 expired-in-match self-trade"});
  CHECK(market.book() == Lines{"3:4@101", "4:5@102"});
}

TEST_CASE("decrement takes the smaller from both; what is left keeps its place or goes on") {
  Market market;
  fill(market);
  CHECK(market.run({with(SelfTrade::kDecrement, buy(9, 9, 101, 7))}) ==
        Lines{"accepted 9", "trade 9x1 2@100", "ended 1 filled", "prevented 9x2 taker-3 maker-3",
              "ended 2 expired-in-match self-trade", "trade 9x3 4@101", "ended 3 filled",
              "ended 9 filled"});
  CHECK(market.run({with(SelfTrade::kDecrement, buy(10, 2, 102, 7))}) ==
        Lines{"accepted 10", "prevented 10x4 taker-2 maker-2",
              "ended 10 expired-in-match self-trade"});
  market.quietly({sell(11, 1, 102, 8)});
  CHECK(market.book() == Lines{"4:3@102", "11:1@102"});
  const OrderState left = *market.engine().find(0, 4);
  CHECK(left.quantity == 5);
  CHECK_FALSE(left.traded);
}

TEST_CASE("the system's own orders are never prevented, nor are the maker's wishes asked") {
  Market market;
  market.quietly({with(SelfTrade::kExpireBoth, sell(1, 1, 100, 0)),
                  with(SelfTrade::kExpireBoth, sell(2, 1, 100, 7))});
  CHECK(market.run({with(SelfTrade::kExpireTaker, buy(3, 1, 100, 0))})[1] == "trade 3x1 1@100");
  CHECK(market.run({buy(4, 1, 100, 7)})[1] == "trade 4x2 1@100");
}

TEST_CASE("a replaced order meets its own account by the mode it was placed with") {
  Market market;
  market.quietly({sell(1, 2, 100, 7), with(SelfTrade::kExpireMaker, buy(2, 3, 90, 7))});
  CHECK(market.run({replace(2, 0, 100, 7)}) ==
        Lines{"replaced 2 3@100", "prevented 2x1 taker-0 maker-2",
              "ended 1 expired-in-match self-trade", "rested 2 3@100"});
}

TEST_CASE("the check of FOK agrees with what matching would do") {
  struct Row {
    SelfTrade mode;
    std::int64_t quantity;
    std::string last;
  };
  const Row rows[] = {
      {SelfTrade::kNone, 9, "ended 9 filled"},
      {SelfTrade::kExpireMaker, 6, "ended 9 filled"},
      {SelfTrade::kExpireMaker, 7, "ended 9 expired fok-unfilled lost 7"},
      {SelfTrade::kExpireTaker, 2, "ended 9 filled"},
      {SelfTrade::kExpireTaker, 3, "ended 9 expired fok-unfilled lost 3"},
      {SelfTrade::kExpireBoth, 3, "ended 9 expired fok-unfilled lost 3"},
      {SelfTrade::kDecrement, 3, "ended 9 expired fok-unfilled lost 3"},
  };
  for (const Row& row : rows) {
    Market market;
    fill(market);
    const Lines before = market.book();
    CHECK(market.run({with(row.mode, fok(buy(9, row.quantity, 101, 7)))}).back() == row.last);
    if (row.last != "ended 9 filled") CHECK(market.book() == before);
  }
}

TEST_CASE("a market order by quote is prevented by the lots it could have bought") {
  Market market;
  market.quietly({sell(1, 5, 100, 7), sell(2, 5, 100, 8)});
  CHECK(market.run({with(SelfTrade::kDecrement, market_quote(Side::kBuy, 3, 750, 7))}) ==
        Lines{"accepted 3", "prevented 3x1 taker-5 maker-5", "ended 1 expired-in-match self-trade",
              "trade 3x2 2@100", "ended 3 filled unspent 50"});
  market.quietly({sell(4, 5, 90, 7)});
  CHECK(market.run({with(SelfTrade::kExpireTaker, market_quote(Side::kBuy, 5, 200, 7))}) ==
        Lines{"accepted 5", "prevented 5x4 taker-2 maker-0",
              "ended 5 expired-in-match self-trade unspent 200"});
}
