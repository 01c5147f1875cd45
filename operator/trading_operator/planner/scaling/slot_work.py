"""What each slot causes, and what is known of slots that have just come to be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trading_operator.planner.scaling.capacity import CPU
from trading_operator.planner.scaling.layout import Layout, SlotPlace, symbol_loads
from trading_operator.planner.scaling.memory import Memory
from trading_operator.planner.scaling.predictions import at_batch
from trading_operator.planner.scaling.signals import Rates, SlotLoad, SymbolLoad, Tier


@dataclass(frozen=True)
class SlotWork:
    """One look at the slots.

    `work` is CPU milliseconds per second by slot, as if all partitions had commits of the same
    size; `loads` has the shares of symbols. `begun` are slots whose averages begin; of those that
    are `unread` nothing was told yet, of the `unknown` ones nothing can be inferred either.
    """

    work: Mapping[int, float]
    loads: Mapping[int, SlotLoad]
    begun: frozenset[int] = frozenset()
    unread: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()


def slot_work(
    layout: Layout, rates: Rates, memory: Memory, batch: float | None, idle: float
) -> SlotWork:
    """What was told, and for who was told nothing of, what their symbols caused where they were.

    `batch` is the number of commands in a commit of all partitions, `idle` the CPU that one needs
    without any work.
    """
    work = _told(layout, rates, batch, idle)
    loads = {slot.slot_id: slot for slot in rates.slots}
    begun = _begun(memory, layout)
    unread = begun - work.keys()
    for slot in layout.slots if unread else ():
        if slot.slot_id in unread and (inherited := _inherited(slot, layout, memory)):
            work[slot.slot_id] = inherited.cpu_milliseconds_per_second
            loads[slot.slot_id] = inherited
    if len(loads) < len(layout.slots):
        loads = {**memory.loads, **loads}  # the shares of symbols are as they were
    return SlotWork(work, loads, begun, unread, unread - work.keys())


def _told(layout: Layout, rates: Rates, batch: float | None, idle: float) -> dict[int, float]:
    """By slot. It goes along with a slot that moves.

    Neither what a partition needs without any work, nor what it saves as it has much to do, does.
    """
    parts = {}
    for unit in rates.unit_loads(Tier.PARTITIONS):
        cpu = unit.loads.get(CPU, 0.0)
        if cpu > 0:
            parts[unit.name] = max(0.0, 1 - idle / cpu) * at_batch(batch, unit.batch)
    owner = dict(zip(layout.slot_ids, layout.owners, strict=True))
    return {
        slot.slot_id: slot.cpu_milliseconds_per_second * parts.get(owner.get(slot.slot_id, ""), 1.0)
        for slot in rates.slots
    }


def _begun(memory: Memory, layout: Layout) -> frozenset[int]:
    """Slots that are new, cut or merged, or were so before and nothing was told of them."""
    before, now = memory.places, layout.slots
    if before is now or before == now:
        return memory.unread
    same = set(map(id, before))
    changed = [slot for slot in now if id(slot) not in same]  # most are the very same objects
    ids = {slot.slot_id for slot in changed}
    bounds = {slot.slot_id: (slot.first, slot.past) for slot in before if slot.slot_id in ids}
    begun = {s.slot_id for s in changed if bounds.get(s.slot_id) != (s.first, s.past)}
    return frozenset(begun | (memory.unread & set(layout.slot_ids)))


def _inherited(slot: SlotPlace, layout: Layout, memory: Memory) -> SlotLoad | None:
    """The sum of its symbols in the slots that there were; None where nothing is known of these."""
    parents = [
        each for each in memory.places
        if each.first < slot.past and slot.first < each.past and each.slot_id in memory.work
    ]  # fmt: skip
    if not parents:
        return None
    shares = dict(_symbols(parents, layout, memory))
    names = layout.symbols_of(slot.first, slot.past)
    told = {hot.name for each in parents for hot in _hottest(each, memory)}
    hottest = tuple(SymbolLoad(name, shares[name]) for name in names if name in told)
    return SlotLoad(slot.slot_id, sum(shares.get(name, 0.0) for name in names), hottest=hottest)


def _symbols(
    parents: Iterable[SlotPlace], layout: Layout, memory: Memory
) -> Iterable[tuple[str, float]]:
    for each in parents:
        names = layout.symbols_of(each.first, each.past)
        loads = symbol_loads(memory.loads.get(each.slot_id), memory.work[each.slot_id], names)
        yield from zip(names, loads, strict=True)


def _hottest(slot: SlotPlace, memory: Memory) -> tuple[SymbolLoad, ...]:
    load = memory.loads.get(slot.slot_id)
    return load.hottest if load else ()
