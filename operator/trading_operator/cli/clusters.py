"""Which cluster a command is about."""

from __future__ import annotations

import argparse
from pathlib import Path

from trading_contract.errors import UserError
from trading_operator.substrates.processes.layout import Layout, home_folder


def find_cluster(arguments: argparse.Namespace) -> Layout:
    """The data folder named by --data-dir or --name, or the only one in the home folder.

    Raises UserError when there is none, or more than one and no choice was made.
    """
    if arguments.data_dir:
        layout = Layout(Path(arguments.data_dir).absolute())
        if not layout.cluster_file.exists():
            raise UserError(
                f"--data-dir: no cluster in {layout.root}; make one with `tradingctl up`"
            )
        return layout
    home = home_folder()
    names = cluster_names(home)
    if arguments.name:
        if arguments.name not in names:
            known = ", ".join(names) or "none"
            raise UserError(f"--name: no cluster {arguments.name} in {home} (there: {known})")
        return Layout((home / arguments.name).resolve())
    if not names:
        raise UserError(f"no cluster in {home}; make one with `tradingctl up -f FILE`")
    if len(names) > 1:
        raise UserError(f"choose one with --name: {', '.join(names)}")
    return Layout((home / names[0]).resolve())


def cluster_names(home: Path) -> list[str]:
    """The clusters of a home folder."""
    if not home.is_dir():
        return []
    return sorted(each.name for each in home.iterdir() if (each / "cluster.json").exists())


def folder_for(name: str, data_dir: str | None) -> Layout:
    """Where a cluster of that name lies or will lie."""
    if data_dir:
        return Layout(Path(data_dir).absolute())
    return Layout((home_folder() / name).resolve())


def register(layout: Layout, name: str) -> None:
    """Make a cluster outside the home folder findable by its name."""
    link = home_folder() / name
    if link.resolve() == layout.root.resolve():
        return
    if link.exists() and not link.is_symlink():
        raise UserError(f"metadata.name: {name} already lies in {link}; choose another name")
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(layout.root)


def unregister(layout: Layout) -> None:
    """Remove links to a folder that is about to vanish."""
    home = home_folder()
    for link in home.iterdir() if home.is_dir() else ():
        if link.is_symlink() and link.resolve() == layout.root.resolve():
            link.unlink()
