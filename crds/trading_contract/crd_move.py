"""What the definition of SymbolMove says beyond its schema: rules and columns."""

from __future__ import annotations

# (path below spec, rule, message). They run after the defaults are filled in.
RULES = (
    (
        "",
        "has(self.toPartition) != has(self.toShard)",
        "set exactly one of toPartition and toShard; to change both, make one move after the other",
    ),
    (
        "",
        (
            "self.symbols.all(s, !s.contains('..') || s.endsWith('..') || "
            "s.split('..')[0] < s.split('..')[1])"
        ),
        "symbols: a range must run upwards: A..H, ..H or P..",
    ),
    ("", "self.cluster == oldSelf.cluster", "cluster cannot change; make another SymbolMove"),
    *(
        ("", f"!oldSelf.{field} || self.{field}", f"{field} cannot be taken back")
        for field in ("approved", "cancel", "reverse")
    ),
)
_FIXED = ("symbols", "requestedBy", "approval", "maxPauseMilliseconds")
_FIXED_TARGETS = ("toPartition", "toShard")
ROOT_RULES = (
    (
        "!has(oldSelf.status) || !has(oldSelf.status.startedTime) || "
        "oldSelf.status.startedTime == '' || ("
        + " && ".join(
            [
                *(f"self.spec.{field} == oldSelf.spec.{field}" for field in _FIXED),
                *(
                    f"has(self.spec.{field}) == has(oldSelf.spec.{field}) && "
                    f"(!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field})"
                    for field in _FIXED_TARGETS
                ),
            ]
        )
        + ")",
        (
            "the move has begun: only approved, cancel and reverse may change; cancel it and make"
            " another one"
        ),
    ),
)
KEYED_STATUS_LISTS = (("conditions", "type"),)
# (name, type, path, priority): 0 is always shown, 1 with `-o wide`.
COLUMNS = (
    ("Cluster", "string", ".spec.cluster", 0),
    ("Range", "string", ".status.symbols", 0),
    ("From", "string", ".status.source", 0),
    ("To", "string", ".status.target", 0),
    ("State", "string", ".status.state", 0),
    ("Percent", "integer", ".status.percent", 0),
    ("Pause", "number", ".status.pauseMilliseconds", 0),
    ("Reason", "string", ".status.reason", 1),
    ("Message", "string", ".status.message", 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
