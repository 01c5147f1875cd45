"""`tradingctl`: brings a cluster up on this machine and looks after it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module

from trading_contract.errors import TradingError, UserError
from trading_operator.cli.move_arguments import add_moves
from trading_operator.cli.simulate_arguments import add_simulate
from trading_operator.substrates.processes.layout import told_problem

FAILED = 1
REFUSED = 2


def main() -> int:
    """Entry point: 0 done, 1 it did not work out, 2 refused."""
    arguments = parser().parse_args()
    os.umask(
        0o022
    )  # PostgreSQL runs as another user below our folders; secrets have modes of their own
    # Loaded only now: `status` is asked often and needs none of what `up` needs.
    module, _, function = arguments.command.partition(":")
    try:
        command: Callable[[argparse.Namespace], int] = getattr(
            import_module(f"trading_operator.cli.{module}"), function
        )
        return command(arguments)
    except UserError as error:
        _complain(error)
        return REFUSED
    except TradingError as error:
        _complain(error)
        return FAILED
    except PermissionError as error:
        print(
            f"tradingctl: {error.filename}: no permission; use the account of `up`", file=sys.stderr
        )
        return FAILED
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        _complain(told_problem(error))
        return FAILED
    except KeyboardInterrupt:
        return 130


def _complain(error: TradingError) -> None:
    for line in str(error).splitlines():
        print(f"tradingctl: {line}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="tradingctl", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, command: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--data-dir", metavar="DIR", help="the cluster's data folder")
        return sub

    def add_file(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("-f", "--file", required=True, help="a TradingCluster file; - = stdin")

    def add_output(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("-o", "--output", choices=("text", "json"), default="text")

    def add_name(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--name", help="which cluster, when there are several")

    sub = add("up", "bring a cluster up and keep it up", "up:up")
    add_file(sub)
    sub.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS")
    sub.add_argument("--foreground", action="store_true", help="supervise in this process")
    sub = add("apply", "apply an edited file", "up:apply")
    add_file(sub)
    sub.add_argument("--wait", action="store_true", help="until Ready")
    sub.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS")
    sub = add("plan", "show what applying a file would do, and why", "plan:plan")
    add_file(sub)
    add_output(sub)
    sub = add("status", "show what is true now", "status:show")
    add_name(sub)
    add_output(sub)
    sub = add("explain", "say why it did or did not scale", "explain:explain")
    add_name(sub)
    add_output(sub)
    sub.add_argument(
        "--tier", choices=("backends", "partitions", "shards", "redis"), help="only this one"
    )
    sub.add_argument("--at", metavar="TIME", help="as it was then, such as 14:30 (UTC)")
    sub.add_argument(
        "-f", "--file", help="a TradingCluster with its status, as kubectl prints it; - = stdin"
    )
    sub = add("logs", "show what the components wrote", "logs:logs")
    add_name(sub)
    sub.add_argument("component", nargs="?", metavar="COMPONENT")
    sub.add_argument("-f", "--follow", action="store_true")
    sub = add("down", "stop everything; the data stays", "down:down")
    add_name(sub)
    sub.add_argument("--purge", action="store_true", help="remove all data as well")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    sub.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
    add_moves(commands)
    add_simulate(commands)
    _add_keys(commands)
    return root


def _add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "create, list and revoke API keys"
    kinds = commands.add_parser("keys", help=text, description=text).add_subparsers(
        required=True, metavar="COMMAND"
    )
    for name, text, command in (
        ("create", "a new API key", "keys:create"),
        ("list", "all API keys", "keys:list_keys"),
        ("revoke", "remove an API key", "keys:revoke"),
    ):
        sub = kinds.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--data-dir", metavar="DIR", help="the cluster's data folder")
        sub.add_argument("--name", help="which cluster, when there are several")
        sub.add_argument(
            "-n", "--namespace", metavar="NS", help="its namespace, when it is on Kubernetes"
        )
        if name != "list":
            sub.add_argument("key_name", metavar="NAME")
        if name == "create":
            sub.add_argument("--scopes", default="read,trade", help="read, trade, or both")
            sub.add_argument("--account", type=int, help="an account that exists already")
        if name != "revoke":
            sub.add_argument("-o", "--output", choices=("text", "json"), default="text")


if __name__ == "__main__":
    sys.exit(main())
