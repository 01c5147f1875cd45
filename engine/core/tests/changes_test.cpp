// Cancel, reduce, amend, replace, cancel-replace, mass cancel, halt, clear.
#include <doctest.h>

#include "market.hpp"

using namespace trading::core;
using namespace trading::core::tests;

TEST_CASE("unknown, ended and foreign orders are all the same: not active, nothing changes") {
  Market market;
  market.quietly({buy(1, 5, 50, 7), buy(2, 5, 50, 7), cancel(2, 7), sell(3, 1, 50, 8)});
  const Lines before = market.book();
  for (const std::int64_t id : {1, 2, 3, 4}) {
    const std::string wanted = "rejected " + std::to_string(id) + " not-active";
    CHECK(market.run({cancel(id, 9)}) == Lines{wanted});
    CHECK(market.run({change(Kind::kReduce, id, 1, 9)}) == Lines{wanted});
    CHECK(market.run({change(Kind::kAmend, id, 1, 9)}) == Lines{wanted});
    CHECK(market.run({replace(id, 1, 51, 9)}) == Lines{wanted});
  }
  CHECK(market.book() == before);
}

TEST_CASE("a cancel tells what was lost and why") {
  Market market;
  market.quietly({buy(1, 5, 50), sell(2, 2, 50)});
  Command dead_man = cancel(1);
  dead_man.reason = EndReason::kDeadMan;
  CHECK(market.run({dead_man}) == Lines{"ended 1 canceled dead-man lost 3"});
  CHECK(market.events()[0].quantity == 5);
  CHECK(market.run({cancel(1)}) == Lines{"rejected 1 not-active"});
}

TEST_CASE("reduce keeps the place; all that remains removes the order; more is refused") {
  Market market;
  market.quietly({buy(1, 5, 50), buy(2, 5, 50)});
  CHECK(market.run({change(Kind::kReduce, 1, 2)}) == Lines{"reduced 1 to 3 of 3"});
  CHECK(market.book() == Lines{"1:3@50", "2:5@50"});
  for (const std::int64_t by :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{4}, INT64_MAX, INT64_MIN})
    CHECK(market.run({change(Kind::kReduce, 1, by)}) == Lines{"rejected 1 invalid-order"});
  CHECK(market.engine().best(0, Side::kBuy)->quantity == 8);
  CHECK(market.run({change(Kind::kReduce, 1, 3)}) == Lines{"ended 1 canceled user lost 3"});
}

TEST_CASE("amend names the new original quantity: above what is used, below the present one") {
  Market market;
  market.quietly({buy(1, 9, 50), buy(2, 5, 50), sell(3, 4, 50)});
  for (const std::int64_t wrong : {0, 4, 9, 10})
    CHECK(market.run({change(Kind::kAmend, 1, wrong)}) == Lines{"rejected 1 invalid-amend"});
  CHECK(market.run({change(Kind::kAmend, 1, 5)}) == Lines{"reduced 1 to 1 of 5"});
  CHECK(market.book() == Lines{"1:1@50", "2:5@50"});
  CHECK(market.run({change(Kind::kAmend, 1, 5)}) == Lines{"rejected 1 invalid-amend"});
}

TEST_CASE("replace goes to the tail under the same id, even if nothing changed") {
  Market market;
  market.quietly({buy(1, 5, 50), buy(2, 5, 50)});
  CHECK(market.run({replace(1, 0, 0)}) == Lines{"replaced 1 5@50", "rested 1 5@50"});
  CHECK(market.book() == Lines{"2:5@50", "1:5@50"});
  market.quietly({replace(2, 3, 0)});
  CHECK(market.book() == Lines{"1:5@50", "2:3@50"});
}

TEST_CASE("a refused replace leaves the order at its place") {
  Market market;
  market.quietly({maker_only(buy(1, 5, 50)), buy(2, 5, 50), sell(3, 1, 60)});
  const Lines before = market.book();
  for (const Command& command : {replace(1, -1, 51), replace(1, 5, -1), replace(1, INT64_MAX, 2)})
    CHECK(market.run({command}) == Lines{"rejected 1 invalid-replacement"});
  CHECK(market.run({replace(1, 5, 60)}) == Lines{"rejected 1 would-take"});
  CHECK(market.run({of_kind(Kind::kHalt), replace(1, 5, 51), of_kind(Kind::kResume)}) ==
        Lines{"done 0", "rejected 1 halted", "done 0"});
  CHECK(market.book() == before);
}

TEST_CASE("a replace may trade at once, in part or whole, with its handle kept") {
  Market market;
  market.quietly({sell(1, 2, 60), sell(2, 2, 61), buy(3, 5, 50)});
  const Handle handle = market.engine().handle_of(0, 3);
  CHECK(market.run({replace(3, 0, 60)}) ==
        Lines{"replaced 3 5@60", "trade 3x1 2@60", "ended 1 filled", "rested 3 3@60"});
  CHECK(market.engine().handle_of(0, 3) == handle);
  CHECK(market.engine().order(handle).quantity == 5);
  CHECK(market.run({replace(3, 2, 61)}) ==
        Lines{"replaced 3 2@61", "trade 3x2 2@61", "ended 2 filled", "ended 3 filled"});
  CHECK(market.events()[0].quantity == 4);  // 2 executed before, 2 anew
  CHECK(market.events()[3].handle == handle);
  CHECK(market.book().empty());
  CHECK(market.engine().open_orders() == 0);
}

TEST_CASE("cancel-replace cancels, then places under a new id") {
  Market market;
  market.quietly({buy(1, 5, 50, 7)});
  CHECK(market.run({instead_of(1, buy(2, 4, 51, 7))}) ==
        Lines{"ended 1 canceled replaced lost 5", "accepted 2", "rested 2 4@51"});
}

TEST_CASE("cancel-replace touches nothing when the new order is at fault") {
  Market market;
  market.quietly({buy(1, 5, 50, 7), buy(8, 1, 40, 9)});
  const Lines before = market.book();
  CHECK(market.run({instead_of(1, buy(2, 0, 51, 7), true)}) ==
        Lines{"rejected 1 invalid-replacement (target)", "rejected 2 invalid-order"});
  CHECK(market.run({instead_of(1, buy(8, 1, 51, 7), true)}) ==
        Lines{"rejected 1 invalid-replacement (target)", "rejected 8 duplicate"});
  CHECK(market.run({instead_of(8, buy(2, 0, 51, 7))}) ==
        Lines{"rejected 8 not-active (target)", "rejected 2 invalid-order"});
  CHECK(market.book() == before);
}

TEST_CASE("cancel-replace without a target: stop on failure places nothing, allow failure places") {
  Market market;
  CHECK(market.run({instead_of(1, buy(2, 4, 51, 7))}) ==
        Lines{"rejected 1 not-active (target)", "rejected 2 invalid-replacement"});
  CHECK(market.run({instead_of(1, buy(2, 4, 51, 7), true)}) ==
        Lines{"rejected 1 not-active (target)", "accepted 2", "rested 2 4@51"});
}

TEST_CASE("cancel-replace does not meet the order it cancels, and may be left half done") {
  Market market;
  market.quietly({sell(1, 5, 50, 7)});
  CHECK(market.run({instead_of(1, maker_only(buy(2, 5, 50, 7)))}).back() == "rested 2 5@50");
  market.quietly({sell(3, 5, 60, 8)});
  CHECK(market.run({instead_of(2, maker_only(buy(4, 5, 60, 7)))}) ==
        Lines{"ended 2 canceled replaced lost 5", "rejected 4 would-take"});
}

TEST_CASE("cancel-all ends the account's orders on the symbol, oldest priority first") {
  Market market;
  market.quietly({buy(1, 1, 50, 7), buy(2, 1, 50, 8), sell(3, 1, 60, 7), buy(4, 1, 40, 7),
                  replace(1, 2, 0, 7)});
  CHECK(market.run({of_kind(Kind::kCancelAll, 7)}) ==
        Lines{"ended 3 canceled mass-cancel lost 1", "ended 4 canceled mass-cancel lost 1",
              "ended 1 canceled mass-cancel lost 2", "done 3"});
  CHECK(market.run({of_kind(Kind::kCancelAll, 7)}) == Lines{"done 0"});
  CHECK(market.book() == Lines{"2:1@50"});
}

TEST_CASE("while halted nothing new enters, and orders can leave") {
  Market market;
  market.quietly({buy(1, 5, 50), buy(2, 5, 50), of_kind(Kind::kHalt)});
  CHECK(market.engine().halted(0));
  CHECK(market.run({buy(3, 1, 50)}) == Lines{"rejected 3 halted"});
  CHECK(market.run({tests::market(Side::kSell, 3, 1)}) == Lines{"rejected 3 halted"});
  CHECK(market.run({instead_of(1, buy(3, 1, 50))}) ==
        Lines{"rejected 1 invalid-replacement (target)", "rejected 3 halted"});
  CHECK(market.run({change(Kind::kReduce, 1, 1)}) == Lines{"reduced 1 to 4 of 4"});
  CHECK(market.run({cancel(1)}) == Lines{"ended 1 canceled user lost 4"});
  CHECK(market.run({of_kind(Kind::kResume), buy(3, 1, 50)}).back() == "rested 3 1@50");
}

TEST_CASE("clear ends both sides without trades") {
  Market market;
  market.quietly({buy(1, 1, 50), buy(2, 1, 51), sell(3, 1, 60)});
  CHECK(market.run({of_kind(Kind::kClear)}) == Lines{"ended 2 expired exchange lost 1",
                                                     "ended 1 expired exchange lost 1",
                                                     "ended 3 expired exchange lost 1", "done 3"});
  CHECK(market.book().empty());
  CHECK(market.run({buy(1, 1, 50)}).back() == "rested 1 1@50");
}
