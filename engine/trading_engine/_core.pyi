"""The matching core and what stands on it, in C++ (engine/core, engine/bindings)."""

from collections.abc import Sequence

from typing_extensions import Buffer

COMMAND_BYTES: int
EVENT_BYTES: int
ORDER_STATE_BYTES: int

class MatchingEngine:
    """Order books of many symbols; packed records in and out (see core_records).

    Not for use by two threads at once: `apply` runs without the interpreter's lock.
    An unknown symbol index raises IndexError, a malformed buffer ValueError.
    """

    def __init__(self) -> None: ...
    def add_symbol(
        self, *, open_orders_max: int = ..., open_orders_per_account_max: int = ...
    ) -> int: ...
    def remove_symbol(self, symbol: int) -> None: ...
    def apply(self, commands: Buffer) -> bytes:
        """Run packed Commands in order; their packed Events."""
    def restore(self, orders: Buffer) -> None:
        """Put packed OrderStates back into their books; ValueError names the first refused."""
    def orders(self, symbol: int) -> bytes:
        """The L3 book as packed OrderStates: bids, then asks, best price first, then oldest."""
    def orders_of_account(self, symbol: int, account: int) -> bytes:
        """Packed OrderStates of the account's open orders, oldest first."""
    def find(self, symbol: int, order_id: int) -> bytes | None:
        """The packed OrderState of an open order."""
    def depth(self, symbol: int, sell: bool, levels_max: int) -> list[tuple[int, int]]:
        """(price, quantity) of the best levels of one side, best first."""
    def take_depth_changes(self, symbol: int) -> list[tuple[bool, int, int]] | None:
        """(sell, price, new total) of the levels touched since the last call, 0 = gone.

        None when there were too many to remember: take the whole depth instead.
        """
    def counters(self, symbol: int) -> tuple[int, int, int, int]:
        """Last trade id, last prevented id, last priority, last price."""
    def set_counters(
        self, symbol: int, *, trade_id: int, prevented_id: int, priority: int, last_price: int
    ) -> None: ...
    def halted(self, symbol: int) -> bool: ...
    def set_halted(self, symbol: int, halted: bool) -> None: ...
    def state_hash(self, symbol: int) -> int:
        """64 bits; equal states of a symbol have equal hashes. Reads every open order."""
    def open_orders(self) -> int: ...
    def memory_bytes(self) -> int: ...
    def check_invariants(self) -> None:
        """Walk everything; a broken law ends the process. For tests."""

class Batch:
    """What one commit needs, and what may be told once it is durable."""

    @property
    def commands(self) -> int: ...
    @property
    def changes(self) -> bool:
        """Whether there is anything to commit."""
    @property
    def slots(self) -> list[tuple[int, int, int, int, bytes]]:
        """(slot id, epoch, sequence before, sequence after, chain after)."""
    def parameters(self, types: Sequence[int]) -> list[bytes]:
        """Parameters 2.. of commit_rows in binary format, with the shard's numbers of its types."""
    @property
    def mirrors(self) -> list[tuple[int, int, int, int]]:
        """(slot id, sequence before, sequence after, bytes) of slots that are mirrored."""
    def mirror_parameters(self, slot: int, types: Sequence[int]) -> list[bytes]:
        """Parameters as `parameters` gives them, of the rows of a mirrored slot alone."""
    @property
    def outboxes(self) -> list[tuple[int, bytes]]:
        """(connection, frames)."""
    def doubt(self) -> None:
        """Turn the answers into those for a commit in doubt: UNKNOWN_OUTCOME, queries BUSY."""

class SlotRows:
    """Rows of a slot on their way into memory. Parts of COPY .. (FORMAT binary), cut between rows.

    May be filled by another thread than the sequencer's. False: malformed.
    """

    def add_states(self, part: Buffer) -> bool:
        """The columns of symbol_state."""
    def add_open_orders(self, part: Buffer) -> bool:
        """The columns of open_orders."""
    def add_closed_orders(self, part: Buffer) -> bool:
        """Columns symbol, order_id, account, client_id, body_hash, ended_us."""
    def merge(self, other: SlotRows) -> bool:
        """Take over what another thread has read of the same slot; each row once."""
    def finish(self) -> bool:
        """Nothing more comes."""
    @property
    def open_orders(self) -> int: ...

class Sequencer:
    """The only writer of its slots: wire commands in, batches out."""

    def __init__(self, ended_max: int, window_us: int) -> None: ...
    def set_symbol(
        self,
        name: str,
        price_band_percent: int = 0,
        open_orders_per_account_max: int = 0,
        halted: bool = False,
        listed: bool = True,
    ) -> None: ...
    def set_slot(
        self,
        id: int,
        first: str,
        past: str,
        shard: int,
        epoch: int,
        sequence: int,
        chain: bytes,
    ) -> None: ...
    def drop_slot(self, id: int) -> None:
        """Take nothing more for it; what was applied is still sealed."""
    def forget_slot(self, id: int) -> None:
        """Free the books of a dropped slot, of which everything is durable."""
    def slots(self) -> list[tuple[int, str, str, int, int, int, bytes]]:
        """(id, first, past, shard, epoch, sequence, chain)."""
    def slot(self, id: int) -> tuple[int, str, str, int, int, int, bytes] | None:
        """The same of one slot, served or followed."""
    def follow_slot(
        self,
        id: int,
        first: str,
        past: str,
        shard: int,
        epoch: int,
        sequence: int,
        chain: bytes,
    ) -> None:
        """Feed it by `replay` alone from now on; its rows are adopted."""
    def replay(self, id: int, payload: bytes, sequence: int, chain: bytes) -> int:
        """Apply one row of the log; its number of commands.

        -1: it does not continue what is here or gave another result there. Drop the slot.
        """
    def open_slot(self, id: int, shard: int, epoch: int, sequence: int, chain: bytes) -> bool:
        """Serve a followed slot; False, changing nothing: it is not at that point."""
    def hold_slot(self, id: int) -> None:
        """Set its commands aside from now on. Right after `seal`."""
    def held(self, shard: int) -> int:
        """How many are set aside."""
    def resume_held(self, shard: int) -> None:
        """End the holding: what was set aside goes first."""
    def refuse_held(self, shard: int, code: int, now_us: int) -> Batch:
        """End the holding: what was set aside is answered with the code."""
    def answer_held(self, shard: int, code: int, now_us: int) -> Batch:
        """What was set aside is answered with the code; the holding goes on."""
    def place_slot(self, id: int, shard: int, epoch: int) -> bool:
        """It commits with that pipeline at that epoch from now on; what waits for it goes there.

        False, changing nothing: it is in an open batch.
        """
    def mirror_slot(self, id: int, mirrored: bool) -> None:
        """Batches carry its rows once more, from the first one on that has none of it yet."""
    def split_slot(self, id: int, at: str, right: int, epoch: int) -> bool:
        """A held slot becomes two, both at this epoch. False, changing nothing: not possible."""
    def merge_slots(self, left: int, right: int, epoch: int, sequence: int, chain: bytes) -> bool:
        """Two held neighbours become one. False, changing nothing: not possible."""
    def digest(
        self, id: int, first: str, past: str, orders_max: int, since_us: int
    ) -> tuple[bytes, str] | None:
        """Digest of its symbols in [first, past), and the first symbol that is not in it.

        No further symbol once that many orders are in it; past "" = the slot's end. Orders that
        ended are in it from `since_us` on; None: not all of those are remembered.
        """
    def digest_since_us(self, now_us: int) -> int:
        """From when on a digest made now can have the orders that ended."""
    def adopt(self, rows: SlotRows, most: int) -> int:
        """Take orders out of finished rows; how many are left, -1 = they make no book."""
    def enqueue(self, connection: int, commands: bytes) -> bool:
        """False when `commands` is not whole records."""
    def waiting(self, shard: int) -> int: ...
    def advance(self, shard: int, now_us: int, commands_max: int) -> int:
        """Sequence waiting commands into the open batch; how many it has now."""
    def seal(self, shard: int) -> Batch:
        """Close the open batch, empty or not."""
    def sequence(self, shard: int, now_us: int, commands_max: int) -> Batch:
        """`advance` and `seal`."""
    def refuse(self, shard: int, code: int, now_us: int) -> Batch: ...
    def has_publications(self, shard: int) -> bool: ...
    def publications(self, shard: int, now_us: int) -> list[tuple[str, bytes, bool]]:
        """(channel or key, message, is a snapshot to be stored)."""
    def snapshots(self, shard: int, now_us: int) -> list[tuple[str, bytes, bool]]: ...
    def begin_round(self) -> None:
        """Now and then: symbols that were hot two rounds ago are told no longer."""
    def slot_loads(
        self,
    ) -> list[tuple[int, int, int, int, int, int, list[tuple[str, int]]]]:
        """(id, commands, orders, trades, busy ns, open orders, [(hot symbol, busy ns)]) each."""
    @property
    def refusals(self) -> int:
        """Commands that were refused, since the start."""
    @property
    def open_orders(self) -> int: ...
    @property
    def idempotency_entries(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
