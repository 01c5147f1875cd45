"""What the parts of a node leave in the packet filter of this machine."""

from __future__ import annotations

import shlex
import subprocess

TOOLS = ("iptables", "ip6tables")
TABLES = ("mangle", "filter", "nat")
OURS = ("KUBE-", "CNI-")


def remove_packet_rules() -> None:
    """Remove the chains of kubelet and of the network plugin, and all rules that lead to them.

    One rule of theirs that stays makes the kernel track every connection of this machine.
    """
    for tool in TOOLS:
        for table in TABLES:
            done = subprocess.run(
                [tool, "-t", table, "-S"], capture_output=True, text=True, check=False
            )
            for words in deletions(done.stdout):
                subprocess.run([tool, "-t", table, *words], capture_output=True, check=False)


def deletions(rules: str) -> list[list[str]]:
    """The commands that undo our part of `iptables -S`: jumps first, then chains."""
    lines = [shlex.split(line) for line in rules.splitlines()]
    jumps = [
        ["-D", *words[1:]]
        for words in lines
        if words[0] == "-A" and not words[1].startswith(OURS) and _target(words).startswith(OURS)
    ]
    chains = [words[1] for words in lines if words[0] == "-N" and words[1].startswith(OURS)]
    return [*jumps, *(["-F", chain] for chain in chains), *(["-X", chain] for chain in chains)]


def _target(rule: list[str]) -> str:
    return rule[rule.index("-j") + 1] if "-j" in rule else ""
