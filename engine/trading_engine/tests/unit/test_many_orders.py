"""What the sequencer promises however many orders there are."""

from __future__ import annotations

from trading_contract.wire import Code, Command, Kind, Side
from trading_engine.tests.sequenced import Harness


def buy(client_id: str, price: int = 100, symbol: str = "BTC") -> Command:
    return Command(
        0, Kind.PLACE, symbol, account=1, side=Side.BUY, price=price, quantity=1,
        client_id=client_id,
    )  # fmt: skip


def cancel(order_id: int) -> Command:
    return Command(0, Kind.CANCEL, "BTC", account=1, order_id=order_id)


def test_memory_comes_in_small_steps_however_many_orders_there_are() -> None:
    symbols = [f"S{n:02d}" for n in range(16)]
    sequencer = Harness(*symbols).sequencer
    before, steps = sequencer.memory_bytes, []
    for batch in range(100):
        orders = [
            buy(f"b{batch}-{number}", 1 + number % 50, symbols[number % 16])
            for number in range(1500)
        ]
        assert sequencer.enqueue(7, b"".join(each.pack() for each in orders))
        assert sequencer.sequence(0, 1_000_000 + batch, len(orders)).commands == len(orders)
        steps.append(sequencer.memory_bytes - before)
        before = sequencer.memory_bytes
    assert sequencer.open_orders == 150_000
    assert sum(steps) > 150_000 * 250
    # A chunk of the core, one of what is cold, and the symbols' tables of ids, 16 times 256 KiB.
    assert max(steps) < 8 << 20


def test_of_many_client_ids_the_last_to_end_and_all_open_ones_are_known() -> None:
    world = Harness(ended_max=2000)
    orders = [buy(f"m{number}") for number in range(9000)]
    numbers = [reply[-1].order_id for reply in world.ask(*orders)]
    ends = [cancel(number) for number in numbers[:6000]]
    assert {reply[-1].code for reply in world.ask(*ends)} == {Code.OK}
    again = [reply[-1] for reply in world.ask(*orders[4000:])]
    assert [reply.order_id for reply in again] == numbers[4000:]
    assert world.sequencer.idempotency_entries == 3000 + 2000
    news = [reply[-1].order_id for reply in world.ask(*orders[:4000])]
    assert news == list(range(9001, 13_001))
