"""One run of a tape through `trading_engine._core`, a batch a call; prints JSON. Its own process.

    python core_python.py FILLING MEASURED BATCH

The tapes are packed commands, as `core_benchmark --write-tapes` writes them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from trading_engine._core import COMMAND_BYTES, MatchingEngine


def apply_all(engine: MatchingEngine, tape: bytes, batch: int) -> tuple[float, int]:
    """(seconds, bytes of events). The events are bytes objects, as the next stage would get."""
    view, step, event_bytes = memoryview(tape), batch * COMMAND_BYTES, 0
    begun = time.perf_counter()
    for at in range(0, len(tape), step):
        event_bytes += len(engine.apply(view[at : at + step]))
    return time.perf_counter() - begun, event_bytes


def main() -> None:
    """Fill the book, then measure."""
    filling, measured = (Path(path).read_bytes() for path in sys.argv[1:3])
    batch = int(sys.argv[3])
    engine = MatchingEngine()
    symbol = engine.add_symbol()
    apply_all(engine, filling, batch)
    seconds, event_bytes = apply_all(engine, measured, batch)
    messages = len(measured) // COMMAND_BYTES
    result = {
        "messages_per_second": messages / seconds,
        "state_hash": f"{engine.state_hash(symbol):016x}",
        "event_bytes": event_bytes,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
