"""The command that `make up` prints places an order, as it stands."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from exchange import Exchange, Key, Trader

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "01-minimal" / "place-order.sh"


def run(exchange: Exchange, *command: str | Path) -> str:
    """Standard output of a command with the environment of the cluster."""
    environment = {**os.environ, "TRADINGCTL_HOME": str(exchange.home), "CLUSTER": exchange.name}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd="/"
    ).stdout


def test_the_printed_command_places_an_order(exchange: Exchange) -> None:
    shown = run(exchange, SCRIPT, "--show")
    command = shown.split("Place an order:\n")[1].split("The same in one word")[0]
    key = Key(
        *(
            json.loads(_key_file(exchange).read_text())[name]
            for name in ("apiKey", "secret", "account")
        )
    )
    try:
        placed = json.loads(run(exchange, "sh", "-c", command.replace("price=50000", "price=9999")))
        assert placed["status"] == "NEW"
        again = json.loads(run(exchange, SCRIPT, "BTCUSDT", "BUY", "0.5", "11.00"))
        assert again["orderId"] > placed["orderId"]
        assert run(exchange, SCRIPT, "--show") == shown, "the key must be reused"
    finally:
        client = Trader(exchange.rest, key)
        with client.http:
            client.signed("DELETE", "openOrders", symbol="BTCUSDT")
        _key_file(exchange).unlink()


def _key_file(exchange: Exchange) -> Path:
    return ROOT / "build" / f"demo-key-{exchange.name}.json"
