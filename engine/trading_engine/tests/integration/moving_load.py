"""Clients that trade on symbols whose slots move, and what they were told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from trading_contract.topology import Idempotency
from trading_contract.wire import Code, Reply, Side
from trading_engine._core import Sequencer
from trading_engine.conninfo import shard_conninfo
from trading_engine.recovery import fetch_slots
from trading_engine.taking import TakenSlot
from trading_engine.tests.integration.moving_site import Pair
from trading_engine.tests.integration.partition_process import PASSWORDS
from trading_engine.tests.integration.wire_client import WireClient, place

ORDERS_PER_SECOND = 200
RETRY = (Code.WRONG_OWNER, Code.BUSY)
AFTER_UNKNOWN = (Code.OK, Code.DUPLICATE_SAME)


@dataclass
class Load:
    """One trader per symbol, at a steady rate; asks elsewhere when told to."""

    pair: Pair
    symbols: tuple[str, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    placed: dict[str, list[tuple[str, int]]] = field(default_factory=dict)  # (client id, order id)
    wrong: list[str] = field(default_factory=list)
    redirects: int = 0
    resent: int = 0
    seconds_max: float = 0.0  # from the first sending to the answer, redirects included
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number, symbol in enumerate(self.symbols):
            self.placed[symbol] = []
            thread = threading.Thread(target=self._trade, args=(symbol, number + 10))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.wrong

    def count(self) -> int:
        """Orders that were acknowledged so far."""
        return sum(len(each) for each in self.placed.values())

    def _trade(self, symbol: str, account: int) -> None:
        clients: dict[str, WireClient] = {}
        at, number, next_at = "p0", 0, time.monotonic()
        while not self.stop.is_set():
            number += 1
            side = Side.BUY if number % 2 else Side.SELL
            # Every other one trades with the one before; some rest.
            price = 100 - number % 3 if side is Side.BUY else 100 + number % 2
            name = f"{symbol}-{number}"
            command = place(symbol, side, price, 1, account=account, client_id=name)
            sent_before, sent_at = False, time.monotonic()
            while not self.stop.is_set():
                try:
                    if at not in clients:
                        clients[at] = self.pair.client(at)
                    reply = clients[at].one(command)
                except (OSError, ConnectionError, TimeoutError):
                    if at in clients:
                        clients.pop(at).close()
                    sent_before = True
                    self.resent += 1
                    at = "p1" if at == "p0" else "p0"
                    time.sleep(0.01)
                    continue
                if reply.code in RETRY:
                    self.redirects += 1
                    at = "p1" if at == "p0" else "p0"
                    time.sleep(0.001)
                    continue
                if reply.code is Code.UNKNOWN_OUTCOME:
                    sent_before = True
                    continue
                self.seconds_max = max(self.seconds_max, time.monotonic() - sent_at)
                self._note(symbol, name, reply, sent_before)
                break
            next_at = max(next_at + 1 / ORDERS_PER_SECOND, time.monotonic())
            time.sleep(max(0.0, next_at - time.monotonic()))
        for client in clients.values():
            client.close()

    def _note(self, symbol: str, name: str, reply: Reply, sent_before: bool) -> None:
        good = AFTER_UNKNOWN if sent_before else (Code.OK,)
        if reply.code not in good:
            self.wrong.append(f"{name}: {reply.code!r}")
        self.placed[symbol].append((name, reply.order_id))


def check(load: Load, sequences: bool = True) -> None:
    """Nothing lost, nothing doubled, order kept, sequences without gaps."""
    pair = load.pair
    for symbol, told in load.placed.items():
        stored = pair.rows(
            f"SELECT client_id, order_id FROM orders WHERE symbol = '{symbol}' ORDER BY order_id"
        )
        names = [str(name) for name, _ in stored]
        assert len(set(names)) == len(names), "doubled"
        assert [number for _, number in stored] == list(range(1, len(stored) + 1))
        assert set(told) <= set(stored), "lost"
        # One after another was asked, so one after another it happened; the last may be unheard of.
        assert told == stored[: len(told)]
        assert len(stored) <= len(told) + 1
    if not sequences:
        return
    log = pair.rows("SELECT slot_id, seq_lo, seq_hi, epoch FROM slot_log ORDER BY slot_id, seq_hi")
    last: dict[int, tuple[int, int]] = {}
    for slot, low, high, epoch in log:
        sequence, before = last.get(slot, (low - 1, epoch))
        assert (low, epoch >= before) == (sequence + 1, True)
        last[slot] = (high, epoch)


ALL = 1 << 60


def _digest(sequencer: Sequencer, slot: int) -> bytes:
    made = sequencer.digest(slot, "", "", ALL, ALL)
    assert made is not None
    return made[0]


def _row(pair: Pair, slot: int) -> TakenSlot:
    ((first, past, epoch, sequence, chain),) = pair.rows(
        f"SELECT first_sym, past_sym, epoch, last_seq, chain FROM slot_owner WHERE slot_id = {slot}"
    )
    return TakenSlot(slot, first, past, epoch, sequence, chain)


def recovered_digest(pair: Pair, slot: int) -> bytes:
    """Of a slot as its rows have it; without the orders that ended."""
    sequencer = Sequencer(1000, 1 << 60)
    row = _row(pair, slot)
    shard = pair.site.topology.shards[0]
    info = shard_conninfo(shard, "tc_engine", PASSWORDS["tc_engine"], "test")
    rows = fetch_slots(info, [row], Idempotency(), 0)
    while sequencer.adopt(rows, 1000):
        pass
    sequencer.follow_slot(slot, row.first, row.past, 0, row.epoch, row.sequence, row.chain)
    return _digest(sequencer, slot)


def replayed_digest(pair: Pair, slot: int) -> bytes:
    """The same of its log, from the first row on."""
    sequencer = Sequencer(1000, 1 << 60)
    row = _row(pair, slot)
    sequencer.follow_slot(slot, row.first, row.past, 0, row.epoch, 0, bytes(32))
    for payload, high, chain in pair.rows(
        f"SELECT payload, seq_hi, chain FROM slot_log WHERE slot_id = {slot} ORDER BY seq_hi"
    ):
        assert sequencer.replay(slot, payload, high, chain) > 0, f"at {high}"
    return _digest(sequencer, slot)
