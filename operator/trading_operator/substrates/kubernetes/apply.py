"""Makes actions real through the Kubernetes API and on the components in their pods."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Mapping

from trading_contract.errors import InvariantError, WorldError
from trading_operator.planner.actions import (
    Action,
    CommandNode,
    ForgetMove,
    MakeMove,
    PrepareShard,
    TakeHashSlots,
)
from trading_operator.planner.child_actions import (
    ApplyChild,
    ConfigureShard,
    DeleteChild,
    MakeSecret,
    RollPod,
    SwitchPrimary,
    TellPod,
)
from trading_operator.planner.kubernetes.children import CLUSTER_LABEL
from trading_operator.planner.kubernetes.seen import (
    PREPARED_ANNOTATION,
    REVISION_ANNOTATION,
    ChildKey,
    KubernetesSeen,
    PodSeen,
)
from trading_operator.substrates.kubernetes.api import (
    CHILDREN,
    CONFLICT,
    MOVE,
    NOT_FOUND,
    OPTIONAL,
    POD,
    ApiError,
    Body,
    KubernetesApi,
)
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity
from trading_operator.substrates.kubernetes.components import Components
from trading_operator.substrates.kubernetes.mirror import ClusterKey, Mirror
from trading_operator.substrates.kubernetes.observe import is_ours

PASSWORD_CHARACTERS = 32


class CollisionError(WorldError):
    """An object that is not ours has the name of one that we want."""

    def __init__(self, key: ChildKey) -> None:
        super().__init__(f"{key.kind} {key.name}: an object that is not ours has this name")
        self.key = key


class UnservedError(WorldError):
    """The API server does not know the kind of an object; what defines it can be added."""

    def __init__(self, key: ChildKey) -> None:
        super().__init__(f"{key.kind} {key.name}: the API server does not know this kind")
        self.key = key


class Applier:
    """Does actions for one cluster; `seen` and `credentials` are those of the present pass."""

    def __init__(
        self, key: ClusterKey, api: KubernetesApi, mirror: Mirror, components: Components
    ) -> None:
        self._key = key
        self._api = api
        self._mirror = mirror
        self._components = components
        self.uid = ""
        self.seen = KubernetesSeen()
        self.credentials: Mapping[str, str] = {}

    async def apply(self, action: Action) -> None:
        """Do one thing. Raises WorldError when it may succeed later."""
        match action:
            case ApplyChild():
                await self._apply_child(action)
            case MakeSecret():
                await self._make_secret(action)
            case DeleteChild(kind=kind, name=name, uid=uid, resource_version=version):
                found = CHILDREN[kind]
                await self._api.delete(found, self._key.namespace, name, uid, version)
            case RollPod(name=name, uid=uid):
                await self._api.delete(POD, self._key.namespace, name, uid)
            case TellPod(name=name, uid=uid, revision=revision):
                note = {REVISION_ANNOTATION: str(revision)}
                body = await self._api.annotate(POD, self._key.namespace, name, uid, note)
                self._mirror.put(body)
            case PrepareShard():
                await self._prepare(action)
            case CommandNode(node=node, command=command):
                await self._components.tell_node(self._pod(node), command)
            case TakeHashSlots():
                await self._components.take_hash_slots(self._pod(action.node), action)
            case SwitchPrimary(shard=shard, leader=leader, candidate=candidate):
                pods = self.seen.pods_of(shard)
                await self._components.switch_over(pods, leader, candidate, self.credentials)
            case ConfigureShard(shard=shard, config=config):
                pods = self.seen.pods_of(shard)
                await self._components.configure(pods, config, self.credentials)
            case MakeMove():
                await self._make_move(action)
            case ForgetMove(name=name, uid=uid):
                await self._api.delete(MOVE, self._key.namespace, name, uid)
            case _:
                raise InvariantError(f"{action.describe()} is of another substrate")

    async def _apply_child(self, action: ApplyChild) -> None:
        key = ChildKey(action.kind, action.name)
        kind = CHILDREN[action.kind]
        manifest = {**action.manifest, "metadata": dict(action.manifest["metadata"])}
        if action.uid:
            manifest["metadata"]["uid"] = action.uid
        else:
            # Applying would silently take over what has the name already, so look first.
            there = await self._api.get(kind, self._key.namespace, action.name)
            if there is not None:
                self._adopt_or_refuse(key, there)
                return
        try:
            body = await self._api.apply(kind, self._key.namespace, manifest)
        except ApiError as error:
            if kind.name in OPTIONAL and error.code == NOT_FOUND:
                raise UnservedError(key) from error
            raise
        self._mirror.put({**body, "kind": kind.name})

    def _adopt_or_refuse(self, key: ChildKey, there: Body) -> None:
        labels = there["metadata"].get("labels") or {}
        if labels.get(CLUSTER_LABEL) != self._key.name or not is_ours(there, self.uid):
            raise CollisionError(key)
        self._mirror.put({**there, "kind": key.kind})  # the watch is late

    async def _make_secret(self, action: MakeSecret) -> None:
        values = {**dict(action.values), **{key: _password() for key in action.keys}}
        identity = ClusterIdentity(self._key.name, self._key.namespace, self.uid)
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": identity.metadata(action.name, is_owned=action.is_owned),
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in values.items()},
        }
        kind = CHILDREN["Secret"]
        try:
            body = await self._api.create(kind, self._key.namespace, manifest)
        except ApiError as error:
            if error.code != CONFLICT:
                raise
            there = await self._api.get(kind, self._key.namespace, action.name)
            if there is not None:
                self._adopt_or_refuse(ChildKey("Secret", action.name), there)
            return
        self._mirror.put({**body, "kind": "Secret"})

    async def _make_move(self, action: MakeMove) -> None:
        """One of that name is from an earlier pass that the watch has not told of yet."""
        identity = ClusterIdentity(self._key.name, self._key.namespace, self.uid)
        spec = action.move.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        manifest = {
            "apiVersion": MOVE.api_version,
            "kind": MOVE.name,
            "metadata": identity.metadata(action.move.metadata.name),
            "spec": spec,
        }
        try:
            body = await self._api.create(MOVE, self._key.namespace, manifest)
        except ApiError as error:
            if error.code != CONFLICT:
                raise
            return
        self._mirror.put({**body, "kind": MOVE.name})

    def _pod(self, component: str) -> PodSeen:
        for pod in self.seen.pods_of(component):
            if pod.ip:
                return pod
        raise WorldError(f"{component}: no pod of it has an address")

    async def _prepare(self, action: PrepareShard) -> None:
        """Bring the shard up, then note on its StatefulSet for what."""
        topology = self.seen.topology
        if topology is None:
            raise WorldError(f"{action.shard}: the topology is not there yet")
        pods = self.seen.pods_of(action.shard)
        await self._components.prepare(action.shard, pods, topology, self.credentials)
        for key, child in (self.seen.children or {}).items():
            labels = child.manifest["metadata"].get("labels") or {}
            is_owner = labels.get("hft.trading/component") == action.shard
            if key.kind == "StatefulSet" and is_owner and labels.get("hft.trading/role") == "shard":
                note = {PREPARED_ANNOTATION: action.wanted_hash}
                kind, namespace = CHILDREN["StatefulSet"], self._key.namespace
                body = await self._api.annotate(kind, namespace, key.name, child.uid, note)
                self._mirror.put({**body, "kind": "StatefulSet"})


def _password() -> str:
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(PASSWORD_CHARACTERS))
