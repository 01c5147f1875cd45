"""All SymbolMoves of a cluster and the world -> orders, statuses, and what the planner asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trading_contract.moves import MoveOrder
from trading_contract.symbolmove import (
    MoveReason,
    MoveState,
    SymbolMove,
    SymbolMoveStatus,
)
from trading_contract.topology import Topology
from trading_operator.planner.actions import ForgetMove, MakeMove
from trading_operator.planner.moves.asking import Cluster, balancing, proposed
from trading_operator.planner.moves.hindrances import may_be_asked
from trading_operator.planner.moves.judge import judge
from trading_operator.planner.moves.merging import merge_orders
from trading_operator.planner.moves.orders import in_words
from trading_operator.planner.moves.soak import soaking
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.turnover import (
    has_gone_wrong,
    is_finished,
    turnover,
)
from trading_operator.planner.moves.work import has_arrived
from trading_operator.planner.moves.world import MovesWorld, Obstruction, Room, ends_of
from trading_operator.planner.topology import same_but_moves

HISTORY_MAX = 20  # finished moves of the planner that are kept
REMEMBERED_SECONDS = 3600.0  # movesPerHourMax counts them, however many


@dataclass(frozen=True)
class MovesPlan:
    """What follows for all moves.

    `statuses` hold every move's, by name; `orders` are what the topology should ask for, `makes`
    and `forgets` the SymbolMoves of the planner to create and to delete.
    """

    orders: tuple[MoveOrder, ...] = ()
    statuses: Mapping[str, SymbolMoveStatus] = field(default_factory=dict)
    makes: tuple[SymbolMove, ...] = ()
    forgets: tuple[SymbolMove, ...] = ()
    moves: tuple[SymbolMove, ...] = ()  # as judged
    held: frozenset[str] = frozenset()  # partitions that may not be restarted yet
    resting: frozenset[str] = frozenset()  # ids of orders that stand in nobody's way
    places: Mapping[int, str] = field(default_factory=dict)  # slot -> who takes it over instead

    def are_done(self, orders: Iterable[MoveOrder]) -> bool:
        """Whether none of these orders is for anything that still moves."""
        return all(order.id in self.resting for order in orders)

    @property
    def under_way(self) -> tuple[SymbolMove, ...]:
        """Moves that have orders, or are on their way back."""
        states = (MoveState.SPLITTING, MoveState.MOVING, MoveState.REVERSING, MoveState.CANCELLING)
        return tuple(move for move in self.moves if move.status and move.status.state in states)

    @property
    def unverified(self) -> tuple[SymbolMove, ...]:
        """Moves whose digests differed: a person must look."""
        return tuple(move for move in self.moves if move.status and move.status.evidence)


def plan_moves(
    cluster: Cluster, moves: Sequence[SymbolMove], world: MovesWorld, *, may_ask: bool
) -> MovesPlan:
    """Judge every move, the oldest first, those of people before the planner's.

    `may_ask`: whether the planner asks for moves of its own now.
    """
    moving = [order for order in world.orders if not has_arrived(order, world)]
    ends = set().union(*(ends_of(order) for order in moving))
    room = Room(world.parallel_max, ids=set(world.ids), ends=ends)
    judged: dict[str, SymbolMove] = {}
    orders: list[MoveOrder] = []
    places: dict[int, str] = {}
    for move in sorted(moves, key=_seniority):
        verdict = judge(move, _as_seen_by(move, world, moves), room)
        judged[move.metadata.name] = move.model_copy(update={"status": verdict.status})
        orders.extend(verdict.orders)
        places |= verdict.places
    after = tuple(judged[move.metadata.name] for move in moves)
    soaks = [each for each in soaking(after, world) if each not in orders]
    own = as_the_planner_sees_it(world)
    may_ask = may_ask and own.obstruction is None
    makes = _own_moves(cluster, own, after) if may_ask else ()
    is_quiet = may_ask and not (orders or makes) and all(is_finished(move) for move in after)
    if is_quiet and not has_gone_wrong(after, world.now):
        merges = merge_orders(world, cluster.pause_milliseconds_max)
        soaks += [each for each in merges if not busy_slots(soaks) & set(each.slots)]
    return MovesPlan(
        orders=tuple(sorted((*orders, *soaks), key=lambda order: (order.slots, order.id))),
        resting=frozenset(order.id for order in soaks),
        places=places,
        statuses={name: move.status for name, move in judged.items() if move.status is not None},
        makes=makes,
        forgets=tuple(_forgets(after, world.now)),
        moves=after,
    )


def _own_moves(
    cluster: Cluster, world: MovesWorld, moves: Sequence[SymbolMove]
) -> tuple[SymbolMove, ...]:
    """Who goes or is new comes first; then what load asks for, unless a move just went wrong."""
    makes = turnover(cluster, world, moves)
    if makes or has_gone_wrong(moves, world.now):
        return makes
    wishes = [wish for wish in world.asks.wishes if may_be_asked(wish, world)]
    return tuple(proposed(cluster, balancing(wishes), moves))


def busy_slots(orders: Iterable[MoveOrder]) -> set[int]:
    """All that they touch."""
    return {slot for order in orders for slot in order.touched}


def _seniority(move: SymbolMove) -> tuple[bool, bool, str, str]:
    """Who has begun goes first, then people, then the older one."""
    has_begun = bool(move.status and move.status.origins and not move.status.is_finished)
    metadata = move.metadata
    return (not has_begun, move.is_planned, metadata.creation_timestamp, metadata.name)


def as_the_planner_sees_it(world: MovesWorld) -> MovesWorld:
    """A restart for which it moves symbols away does not stand in its way; a difference does."""
    why = world.obstruction
    if world.differences:
        return replace(
            world, obstruction=Obstruction(MoveReason.NOT_VERIFIED, world.differences[0])
        )
    if world.relieved and why is not None and why.reason is MoveReason.CLUSTER_UPDATING:
        return replace(world, obstruction=None)
    return world


def _as_seen_by(move: SymbolMove, world: MovesWorld, moves: Iterable[SymbolMove]) -> MovesWorld:
    """After a difference was found, the planner's own moves wait for a person."""
    if not move.is_planned:
        return world
    world = as_the_planner_sees_it(world)
    if world.obstruction is not None:
        return world
    for other in moves:
        if other is not move and other.status is not None and other.status.evidence:
            text = f"{other.metadata.name} was not verified: look at it, then delete it"
            return replace(world, obstruction=Obstruction(MoveReason.NOT_VERIFIED, text))
    return world


def move_actions(plan: MovesPlan) -> Iterator[MakeMove | ForgetMove]:
    """What the planner does about its own SymbolMoves."""
    for move in plan.makes:
        yield MakeMove(move, move.spec.reason)
    for move in plan.forgets:
        reason = f"only the last {HISTORY_MAX} finished ones are kept, and those of an hour"
        yield ForgetMove(move.metadata.name, move.metadata.uid, reason)


def publish_reason(after: Topology, before: Topology | None) -> str:
    """Why a topology is published, in words."""
    if before is None or not same_but_moves(after, before):
        return "the specification or the addresses differ from it"
    old, new = set(before.moves), set(after.moves)
    words = [in_words(order) for order in after.moves if order not in old]
    words += [f"no longer {in_words(order)}" for order in before.moves if order not in new]
    if after.slots != before.slots:
        words.append("slots have new owners or bounds")
    return "; ".join(words)


def _forgets(moves: Iterable[SymbolMove], now: float) -> Iterator[SymbolMove]:
    """The planner's own, beyond the newest ones and those that still count; never evidence."""
    finished = [
        move for move in moves
        if move.is_planned and move.status and move.status.is_finished and not move.status.evidence
    ]  # fmt: skip
    finished.sort(key=lambda move: (move.status.finished_time if move.status else "",
                                    move.metadata.name))  # fmt: skip
    for move in finished[: max(0, len(finished) - HISTORY_MAX)]:
        ended = seconds_of(move.status.finished_time) if move.status else None
        if ended is None or now - ended > REMEMBERED_SECONDS:
            yield move
