#!/usr/bin/env python3
"""Plants bugs in a copy of the core, one at a time, and shows that the C++ tests see each.

    python engine/core/tests/mutants.py [name ...]   all, or those whose name contains a word

Exit 1 when a mutant survives, or when its text is no longer in the source. About 15 s a mutant.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

CORE = Path(__file__).resolve().parent.parent


class Mutant(NamedTuple):
    """One bug: `old` must stand exactly once in the file, however it is broken into lines."""

    name: str
    file: str
    old: str
    new: str


MUTANTS = [
    # price
    Mutant(
        "taker_price_on_one_side",
        "matching.cpp",
        ".price = maker.price, .quantity = lots, .remaining = maker.remaining,",
        ".price = taker.side == Side::kBuy && taker.price != 0 ? taker.price : maker.price,"
        " .quantity = lots, .remaining = maker.remaining,",
    ),
    Mutant(
        "limit_passed_on_a_sweep",
        "matching.cpp",
        "while (!others.empty() && others.best_key() <= limit) {",
        "for (bool first = true; !others.empty() && (!first || others.best_key() <= limit);"
        " first = false) {",
    ),
    # priority
    Mutant(
        "new_order_to_the_head",
        "book.cpp",
        "Handle before = level.quantity == 0 ? kNoHandle : level.last;\n"
        "  Handle after = kNoHandle;",
        "Handle before = kNoHandle;\n"
        "  Handle after = level.quantity == 0 ? kNoHandle : level.first;",
    ),
    Mutant(
        "failed_replace_loses_the_place",
        "commands.cpp",
        "    return out(rejected(command.order_id, Code::kInvalidReplacement));\n  if (halted)",
        "    { unlink(handle); shared_.pool[handle].priority = ++counters.priority;"
        " link(handle, true);\n"
        "    return out(rejected(command.order_id, Code::kInvalidReplacement)); }\n  if (halted)",
    ),
    Mutant("restore_ignores_priority", "book.cpp", "link(*handle, false);", "link(*handle, true);"),
    # quantity
    Mutant(
        "level_total_subtracted_twice",
        "book.cpp",
        "  level.quantity -= lots_taken;",
        "  level.quantity -= lots_taken * 2;",
    ),
    Mutant(
        "ioc_rest_stays_in_the_book",
        "matching.cpp",
        "const bool may_rest = taker.type != OrderType::kMarket && "
        "taker.time_in_force == TimeInForce::kGtc;",
        "const bool may_rest = taker.type != OrderType::kMarket &&"
        " taker.time_in_force != TimeInForce::kFok;",
    ),
    Mutant(
        "notional_overflows",
        "commands.cpp",
        "return static_cast<Wide>(price) * quantity <= kNotionalMax;",
        "return static_cast<std::int64_t>(static_cast<std::uint64_t>(price) *"
        " static_cast<std::uint64_t>(quantity)) <= kNotionalMax;",
    ),
    # caches
    Mutant(
        "stale_best_price",
        "price_ladder.hpp",
        "if (key == best_key_) find_best(i < window_.size() ? i : 0);",
        "if (key == best_key_ && levels_ == 0) find_best(0);",
    ),
    Mutant(
        "far_level_not_removed", "price_ladder.hpp", "      far_.erase(key);", "      (void)far_;"
    ),
    Mutant(
        "depth_change_forgotten_on_cancel",
        "book.cpp",
        "  ladder_at(order.side).mark(key);\n  if (level.quantity == 0)",
        "  if (level.quantity == 0)",
    ),
    # lifecycle
    Mutant(
        "foreign_order_cancelled",
        "commands.cpp",
        "if (handle == kNoHandle || account_of(handle) != account) return kNoHandle;",
        "if (handle == kNoHandle || account == 0) return handle;",
    ),
    Mutant(
        "duplicate_id_accepted",
        "commands.cpp",
        "if (find(command.order_id) != kNoHandle) return Code::kDuplicateOther;",
        "",
    ),
    Mutant(
        "handle_given_again_at_once",
        "order_pool.hpp",
        "    ++live_;\n",
        "    ++live_;\n    recycle();\n",
    ),
    Mutant(
        "gap_in_the_id_table",
        "id_table.cpp",
        "if (from_home >= from_hole) {",
        "if (from_home > from_hole + 1) {",
    ),
    Mutant(
        "former_id_table_not_searched",
        "id_table.hpp",
        "return find_former(id, pool);",
        "return kNoHandle;",
    ),
    Mutant(
        "id_put_where_nothing_is_moved_any_more",
        "id_table.cpp",
        "  if (i < moved_) return false;\n",
        "",
    ),
    Mutant(
        "moved_id_stays_behind",
        "id_table.cpp",
        "    slot.mark = kGone;\n",
        "",
    ),
    # FOK and self-trade prevention
    Mutant(
        "fok_ignores_the_limit",
        "matching.cpp",
        "  while (key <= limit) {",
        "  while (key <= INT64_MAX && limit != 0) {",
    ),
    Mutant(
        "fok_counts_own_orders",
        "matching.cpp",
        "    if (taker.own_entry == kNoEntry) {\n      left",
        "    if (taker.own_entry == kNoEntry || "
        "taker.self_trade == SelfTrade::kExpireMaker) {\n      left",
    ),
    Mutant(
        "fok_skips_own_orders_under_decrement",
        "matching.cpp",
        "} else if (taker.self_trade != SelfTrade::kExpireMaker) {",
        "} else if (taker.self_trade < SelfTrade::kExpireMaker) {",
    ),
    Mutant(
        "prevention_expiry_not_told",
        "matching.cpp",
        "    end_resting(maker_handle, EndReason::kSelfTrade, 0, out);",
        "    release(maker_handle);",
    ),
    Mutant(
        "system_orders_prevented",
        "matching.cpp",
        "if (taker.self_trade != SelfTrade::kNone && taker.account != 0) {",
        "if (taker.self_trade != SelfTrade::kNone) {",
    ),
    Mutant(
        "halt_lets_replaces_in",
        "commands.cpp",
        "  if (halted) return out(rejected(command.order_id, Code::kSymbolHalted));\n"
        "  if (order.type",
        "  if (order.type",
    ),
]


def plant(mutant: Mutant, core: Path) -> None:
    """Put the bug into this copy of the core."""
    source = core / "src" / mutant.file
    text = source.read_text()
    tokens = re.findall(r"\w+|[^\w\s]", mutant.old)
    pattern = re.compile(r"\s*".join(re.escape(token) for token in tokens))
    planted, count = pattern.subn(lambda _: mutant.new, text)
    if count != 1:
        raise SystemExit(f"{mutant.name}: its text stands {count} times in {mutant.file}")
    source.write_text(planted)


NO_MUTANT = Mutant("the core as it is", "", "", "")


def survives(mutant: Mutant, folder: Path) -> bool:
    """Whether the tests pass with this bug. A build that fails is no proof, and raises."""
    core = folder / "core"
    shutil.copytree(CORE, core)
    if mutant is not NO_MUTANT:
        plant(mutant, core)
    includes = [f"-I{core}/include", f"-I{core}/src", f"-I{CORE.parent}/wire/include"]
    program = folder / "tests"
    files = [*sorted((core / "src").glob("*.cpp")), *sorted((core / "tests").glob("*.cpp"))]
    unit = folder / "unit.cpp"
    unit.write_text("".join(f'#include "{path}"\n' for path in files if path.name not in APART))
    apart = [str(core / "tests" / name) for name in sorted(APART)]
    command = ["g++", "-std=c++20", "-O0", "-I/usr/include/doctest", *includes, str(unit), *apart]
    subprocess.run([*command, "-o", str(program)], check=True)
    try:
        done = subprocess.run([str(program), "-m"], capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


# Have names of their own in unnamed namespaces that would clash in one unit.
APART = {"main.cpp", "market.cpp", "self_trade_test.cpp", "state_test.cpp"}


def main() -> int:
    """Run all mutants, or those named."""
    words = sys.argv[1:]
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        if not survives(NO_MUTANT, Path(folder)):
            raise SystemExit("the tests fail without any mutant: nothing can be learned")
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            alive = survives(mutant, Path(folder))
        print(f"{'SURVIVED' if alive else 'caught  '} {mutant.name}", flush=True)
        if alive:
            survivors.append(mutant.name)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
