"""A foreign client, unmodified: ccxt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from exchange import Exchange, Key

BOT = Path(__file__).parent.parent / "examples" / "05-ccxt-bot" / "bot.py"


def test_the_example_bot_trades(exchange: Exchange, key: Key, other_key: Key) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(BOT), "--url", exchange.rest),
            *("--key", key.api_key, "--secret", key.secret),
            *("--taker-key", other_key.api_key, "--taker-secret", other_key.secret),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "all as expected" in done.stdout
