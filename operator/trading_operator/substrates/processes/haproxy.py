"""The load balancer's configuration, as text.

A replica is ready when it reaches every partition. While none is (one partition restarts), those
that are alive go on serving the symbols of the other partitions.

Only a connection that could not be made is tried again elsewhere: a request that was sent once is
never sent twice. Its own answers are JSON in the shape of the API and never claim more than is
known.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from trading_operator.planner.actions import Component
from trading_operator.substrates.processes.layout import Layout, ordinary_user, write_atomically
from trading_operator.substrates.processes.postgres import NeedsPersonError
from trading_operator.substrates.processes.spawn import Command, give_to

UNKNOWN = "the outcome is unknown; ask by the client order id"
ANSWERS = {
    502: ("Bad Gateway", -1006, f"No complete answer from the exchange: {UNKNOWN}."),
    503: (
        "Service Unavailable",
        -1008,
        "No backend takes requests right now; not applied. Try again.",
    ),
    504: ("Gateway Timeout", -1007, f"Timeout waiting for the exchange: {UNKNOWN}."),
}
# What the load is, is nothing to clients; whoever looks after the cluster asks each replica.
NO_SUCH_ROUTE = (
    "status 404 content-type application/json "
    f"string '{json.dumps({'code': -1000, 'msg': 'No such route.'}, separators=(',', ':'))}'"
)


def balancer_config(
    folder: Path, component: Component, socket_of: Callable[[str], Path | None]
) -> str:
    """The whole configuration for these replicas, each at its UNIX socket or else at its port."""
    servers = [
        (name, f"unix@{socket}" if (socket := socket_of(name)) else address)
        for name, address in (
            text.split("=") for text in component.setting("replicas").split(",") if text
        )
    ]
    errors = "\n".join(f"  errorfile {code} {folder}/{code}.http" for code in ANSWERS)
    lines = "\n".join(f"  server {name} {address} check" for name, address in servers)
    return f"""# generated, do not edit
global
  stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners
  maxconn {component.setting("connections_max", "4096")}
  nbthread 1
  hard-stop-after 30s
  log stderr format raw daemon notice
defaults
  mode http
  log global
  option dontlognull
  timeout connect 2s
  timeout client 75s
  timeout server 75s
  timeout tunnel 1h
  timeout http-request 15s
  timeout http-keep-alive 75s
  timeout queue 5s
  retries 3
  retry-on conn-failure
  option redispatch 1
{errors}
frontend clients
  bind {component.setting("host", "127.0.0.1")}:{component.port}
  http-request return {NO_SUCH_ROUTE} if {{ path,url_dec -m str /load /metrics }}
  use_backend ready if {{ nbsrv(ready) gt 0 }}
  default_backend alive
{_backend("ready", "/readyz", lines)}{_backend("alive", "/healthz", lines)}"""


def _backend(name: str, path: str, lines: str) -> str:
    return f"""backend {name}
  balance leastconn
  option httpchk
  http-check send meth GET uri {path} ver HTTP/1.1 hdr Host localhost
  http-check expect status 200
  default-server inter 500ms fastinter 200ms downinter 300ms fall 2 rise 1 pool-purge-delay 1s
{lines}
"""


def error_file(code: int) -> str:
    """One answer of the balancer's own, as a whole HTTP response."""
    phrase, number, message = ANSWERS[code]
    body = json.dumps({"code": number, "msg": message})
    head = (
        f"HTTP/1.1 {code} {phrase}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
    )
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def write_config(layout: Layout, component: Component) -> None:
    """Write configuration and answers into the balancer's folder."""
    folder, user = layout.balancer_folder, ordinary_user("haproxy")
    give_to(folder, user)
    files = {f"{code}.http": error_file(code) for code in ANSWERS}
    files["haproxy.cfg"] = balancer_config(folder, component, layout.socket_file)
    for name, text in files.items():
        path = folder / name
        # Unchanged ones are left: it must be able to start on a full disk.
        if not path.exists() or path.read_bytes() != text.encode():
            write_atomically(path, text)


def haproxy_command(layout: Layout, _: Component, older: tuple[int, ...] = ()) -> Command:
    """Haproxy in the foreground; with `older` it takes their sockets over and lets them drain."""
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        raise NeedsPersonError(
            "haproxy is missing: install the package `haproxy`", "ImageUnavailable"
        )
    folder = layout.balancer_folder
    argv = [binary, "-db", "-f", str(folder / "haproxy.cfg")]
    if older:
        argv += ["-x", str(folder / "admin.sock"), "-sf", *map(str, older)]
    return Command(tuple(argv), folder=folder, user=ordinary_user("haproxy"))
