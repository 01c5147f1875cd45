"""Makes actions real on this machine.

What takes long is begun here and goes on in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable

from redis.exceptions import RedisError

from trading_contract.errors import TradingError, WorldError
from trading_operator.planner.actions import (
    Action,
    AssignPorts,
    CommandNode,
    Component,
    ForgetMove,
    MakeMove,
    PrepareShard,
    PublishTopology,
    ReplaceBalancer,
    StartComponent,
    StopComponent,
    TakeHashSlots,
    prepare_task,
    subject,
)
from trading_operator.planner.observed import Role
from trading_operator.planner.topology import topology_text
from trading_operator.substrates.processes.attempts import Attempts
from trading_operator.substrates.processes.commands import PROGRAMS, Programs
from trading_operator.substrates.processes.layout import (
    Layout,
    ordinary_user,
    told_problem,
    write_atomically,
)
from trading_operator.substrates.processes.moves import MoveFiles
from trading_operator.substrates.processes.observe import Observer, Probes
from trading_operator.substrates.processes.ports import (
    assign_ports,
    is_free,
    read_ports,
    release_port,
)
from trading_operator.substrates.processes.postgres import NeedsPersonError, make_data_folder
from trading_operator.substrates.processes.proc import ProcessTable
from trading_operator.substrates.processes.spawn import (
    AlreadyRunningError,
    base_environment,
    give_to,
    last_line,
    spawn,
)

PREPARE_SECONDS_MAX = 120
STOP_SIGNALS = {Role.SHARD: signal.SIGINT}
# PostgreSQL is never killed: "immediate" ends it just as surely and tells its children.
KILL_SIGNALS = {Role.SHARD: signal.SIGQUIT}


class Applier:
    """Does one action at a time; failures are recorded under the component's name."""

    def __init__(
        self,
        layout: Layout,
        attempts: Attempts,
        probes: Probes,
        programs: Programs = PROGRAMS,
    ) -> None:
        self._layout = layout
        self._attempts = attempts
        self._probes = probes
        self._programs = programs
        self._moves = MoveFiles(layout)

    async def apply(self, action: Action) -> None:
        """Do it or begin it; see `Substrate.apply`."""
        match action:
            case AssignPorts(names=names, fixed=fixed):
                assign_ports(self._layout, names, dict(fixed))
            case PublishTopology(topology=topology):
                write_atomically(self._layout.topology_file, topology_text(topology) + "\n")
            case StartComponent(component=component):
                self._attempts.begin(component.name, "starting", self._start(component))
            case ReplaceBalancer(component=component):
                self._attempts.begin(component.name, "reloading", self._replace(component))
            case StopComponent():
                self._stop(action)
            case PrepareShard(shard=shard):
                self._attempts.begin(prepare_task(shard), "preparing", self._prepare(action))
            case CommandNode():
                await self._command(action)
            case TakeHashSlots():
                await self._take_hash_slots(action)
            case MakeMove(move=move):
                self._moves.create(move.metadata.name, move.spec)
            case ForgetMove(name=name):
                self._moves.forget(name)

    async def _start(self, component: Component) -> None:
        name = component.name
        self._refuse_taken_port(component)
        if component.role == Role.SHARD:
            await asyncio.to_thread(make_data_folder, self._layout, name)
        elif component.role == Role.NODE:
            folder = self._layout.node_folder(name)
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            give_to(folder, ordinary_user())
        command = self._programs.commands[component.role](self._layout, component)
        try:
            # Two load balancers overlap while one replaces the other, so they share no lock.
            lock = component.role != Role.BALANCER
            child = spawn(self._layout, component, command, lock=lock)
        except AlreadyRunningError:
            return  # the next look will find it
        self._attempts.started(name, child)

    def _refuse_taken_port(self, component: Component) -> None:
        if is_free(component.port, component.setting("host", "127.0.0.1")):
            return
        if component.name in ProcessTable(self._layout.uid).look():
            return
        field = component.setting("port_field")
        if field:
            raise NeedsPersonError(
                f"{field}: port {component.port} is in use by another program: stop that, or choose"
                f" another {field}",
                "PortInUse",
            )
        # A port that we chose ourselves: give it up, the next pass chooses anew.
        release_port(self._layout, component.name)
        raise WorldError(f"{component.name}: port {component.port} was taken; choosing another")

    async def _replace(self, component: Component) -> None:
        seen = ProcessTable(self._layout.uid).look().get(component.name)
        command = self._programs.commands[Role.BALANCER](self._layout, component)
        child = spawn(self._layout, component, command, lock=False)
        self._attempts.started(component.name, child)
        for pid in () if seen is None else (*seen.older_pids, seen.pid):
            _tell(pid, signal.SIGTERM)

    def _stop(self, action: StopComponent) -> None:
        role = Role(action.role)
        if action.force:
            chosen = KILL_SIGNALS.get(role, signal.SIGKILL)
        else:
            chosen = STOP_SIGNALS.get(role, signal.SIGTERM)
        self._attempts.asked_to_stop(action.name, action.pid)
        seen = ProcessTable(self._layout.uid).look().get(action.name)
        if seen is None:
            return
        for pid in (*seen.older_pids, seen.pid):
            _tell(pid, chosen)

    async def _prepare(self, action: PrepareShard) -> None:
        shard, path = action.shard, self._layout.log_file(f"{action.shard}-prepare")
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._programs.prepare(self._layout, shard),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=base_environment(),
                cwd=self._layout.root,
                start_new_session=True,
            )
        finally:
            os.close(log)
        try:
            async with asyncio.timeout(PREPARE_SECONDS_MAX):
                code = await process.wait()
        except TimeoutError as error:
            process.kill()
            text = f"{shard}: preparing it took more than {PREPARE_SECONDS_MAX} s"
            raise WorldError(text) from error
        if code != 0:
            raise WorldError(f"{shard}: it could not be prepared: {last_line(path)}")
        write_atomically(self._layout.prepared_file(shard), action.wanted_hash + "\n")
        self._attempts.failures.pop(prepare_task(shard), None)

    async def _command(self, action: CommandNode) -> None:
        port = read_ports(self._layout)[action.node]
        try:
            await self._probes.node(action.node, port).tell(action.command)
        except (OSError, TimeoutError, RedisError) as error:
            raise WorldError(f"{action.node}: {' '.join(action.command[:2])}: {error}") from error

    async def _take_hash_slots(self, action: TakeHashSlots) -> None:
        node = self._probes.node(action.node, read_ports(self._layout)[action.node])
        try:
            await node.take_hash_slots(action.hash_slots, action.node_id, action.source_id)
        except (OSError, TimeoutError, RedisError) as error:
            raise WorldError(f"{action.node}: taking hash slots: {error}") from error


def _tell(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class ProcessesSubstrate:
    """Observer and applier together: the embedded substrate."""

    def __init__(
        self, layout: Layout, now: Callable[[], float], programs: Programs = PROGRAMS
    ) -> None:
        self.layout = layout
        self.attempts = Attempts(layout, now)
        self.observer = Observer(layout, self.attempts, now)
        self.applier = Applier(layout, self.attempts, self.observer.probes, programs)
        self.observe = self.observer.observe

    async def apply(self, action: Action) -> None:
        """Do one action; an ordinary failure is recorded, shown in the status and tried again."""
        try:
            await self._apply(action)
            if isinstance(action, AssignPorts | PublishTopology):
                self.attempts.failures.pop(subject(action), None)
        except TradingError as error:
            self.attempts.fail(subject(action), error)
            raise

    async def _apply(self, action: Action) -> None:
        try:
            await self.applier.apply(action)
        except OSError as error:
            raise told_problem(error) from error
