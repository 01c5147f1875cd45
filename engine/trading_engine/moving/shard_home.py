"""What a move between shards asks of its partition."""

from __future__ import annotations

from typing import Protocol

from trading_engine.commit import CommitPipeline
from trading_engine.moving.decide import Held


class ShardHome(Protocol):
    """Who holds the slots."""

    def held(self, ids: tuple[int, ...]) -> dict[int, Held]:
        """Those of them that are served here, as they are in memory."""

    def shards_of(self, ids: tuple[int, ...]) -> set[str | None]:
        """Where they are served."""

    def pipeline_to(self, shard: str) -> CommitPipeline:
        """The one that commits to this shard; made if need be."""

    def resume(self, pipeline: CommitPipeline) -> None:
        """What waits for the slots goes on here."""

    def answer_held(self, pipeline: CommitPipeline) -> None:
        """What waits for held slots is refused for now."""

    def place(self, epochs: dict[int, int], shard: str) -> None:
        """They are served on this shard from now on, at these epochs."""

    def mirror(self, id_: int, mirrored: bool) -> None:
        """Whether batches carry its rows once more."""

    def conninfos(self, *shards: str) -> dict[str, str]:
        """How threads connect to them; none named: to all."""


class Soaks(Protocol):
    """What is kept warm after moves."""

    def begin(self, slot: int, follower: str, at: int) -> None:
        """The shard that a slot left follows."""

    async def end_others(self, slot: int, keep: str) -> None:
        """No shard but this one follows the slot any more, and this one only if it is warm."""
