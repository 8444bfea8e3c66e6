"""The cargo project that a binary comes from: its root, what it can run, and whether its sources are newer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host.install import install_command
from tailflame.host.system import ask, find_tool

KINDS = ("bin", "example", "test", "bench")
_FILES_LOOKED_AT = 5000


@dataclass(frozen=True, slots=True)
class CargoTarget:
    """Something that `cargo flamegraph` can run: `--bin NAME`, `--test NAME`, …"""

    kind: str
    name: str
    package: str


@dataclass(frozen=True, slots=True)
class CargoProject:
    """A cargo project or workspace. `folder` is where cargo is run: `.cargo/config.toml` counts from there alone."""

    folder: Path
    targets: tuple[CargoTarget, ...]
    target_folder: Path


def project_root(path: Path) -> Path | None:
    """The folder with the Cargo.toml that `path` belongs to: a binary under target/, a source, or the folder itself."""
    start = path if path.is_dir() else path.parent
    return next((folder for folder in (start, *start.parents) if (folder / "Cargo.toml").is_file()), None)


def read_project(folder: Path) -> CargoProject:
    """What cargo says of a project; takes some tenths of a second, so call it from a thread.

    Raises:
        ToolMissing: there is no cargo.
        ToolFailed: cargo cannot read the project.
    """
    cargo = find_tool("cargo")
    if cargo is None:
        raise ToolMissing("cargo is not installed.", advice=install_command("cargo"))
    manifest = str(folder / "Cargo.toml")
    answer = ask(cargo, "metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path", manifest)
    if answer.returncode != 0:
        raise ToolFailed(
            f"cargo cannot read the project in {folder}.",
            advice="`cargo check` there tells what is wrong.",
            details=answer.stderr,
        )
    data = json.loads(answer.stdout)
    targets = tuple(
        CargoTarget(kind, target["name"], package["name"])
        for package in data["packages"]
        for target in package["targets"]
        for kind in target["kind"]
        if kind in KINDS
    )
    return CargoProject(folder, targets, Path(data["target_directory"]))


def is_debug_profile(binary: Path) -> bool:
    """Whether the path is that of cargo's dev profile: target/debug/… or target/TRIPLE/debug/…"""
    folders = binary.absolute().parent.parts
    for at, name in enumerate(folders):
        if name == "debug" and at and (folders[at - 1] == "target" or "target" in folders[at - 2 : at - 1]):
            return True
        if name == "debug" and Path(*folders[: at + 1], ".fingerprint").is_dir():
            return True
    return False


def newer_source(binary: Path, known: tuple[Path, ...] = ()) -> Path | None:
    """A source that was changed after the binary was built; None where there is none or nobody can tell.

    cargo writes the list of sources beside the binary, as a make rule in BINARY.d. Without it the package's folder is
    walked, a bounded number of files; without a package the `known` sources are looked at.
    """
    built = binary.stat().st_mtime
    rule = binary.with_name(binary.name + ".d")
    try:
        sources: Iterator[Path] = iter(_read_rule(rule.read_text(errors="replace")))
    except OSError:
        root = project_root(binary)
        sources = _walk(root) if root is not None and (root / "target") in binary.parents else iter(known)
    newest: tuple[float, Path] | None = None
    for source in sources:
        try:
            changed = source.stat().st_mtime
        except OSError:
            continue  # removed since: cargo would tell, a recording does not need it
        if changed > built and (newest is None or changed > newest[0]):
            newest = (changed, source)
    return newest[1] if newest else None


def _read_rule(text: str) -> list[Path]:
    """`/p/target/release/app: /p/src/main.rs /p/a\\ b.rs`: blanks in names are escaped."""
    _, _, sources = text.partition(": ")
    return [Path(word.replace("\\ ", " ")) for word in re.findall(r"(?:\\ |\S)+", sources.split("\n", 1)[0])]


def _walk(root: Path) -> Iterator[Path]:
    looked_at = 0
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if not n.startswith(".") and n != "target"]
        for file in files:
            looked_at += 1
            if looked_at > _FILES_LOOKED_AT:
                return
            if file.endswith(".rs") or file in ("Cargo.toml", "Cargo.lock"):
                yield Path(folder, file)
