"""What the demo can be here: the demo target built and recorded, or the sample session that ships with Tailflame."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import tailflame_resources
from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host.install import install_command
from tailflame.host.system import Host, ask, find_tool

PROFILE = "release-with-debug"
_RESOURCES = Path(next(iter(tailflame_resources.__path__)))


def demo_project() -> Path | None:
    """The demo's cargo project; None where Tailflame was installed without its checkout."""
    project = _RESOURCES.parent / "demo" / "trading-system"
    return project if (project / "Cargo.toml").is_file() else None


def sample_session() -> Path:
    """The folder of the recorded session that ships with Tailflame."""
    return _RESOURCES / "sample"


def obstacle(host: Host) -> str:
    """Why the demo target cannot be recorded here, as the end of "because …"; "" where it can."""
    if demo_project() is None:
        return "this installation has no demo target: it is in Tailflame's source code"
    if host.perf is None:
        return f"perf is not installed ({install_command('perf')})"
    if host.refused:
        return "the kernel refuses performance events to this user (see `tailflame doctor`)"
    return ""


def build_demo(project: Path, *, say: Callable[[str], None]) -> Path:
    """The demo's binary, built where needed; cargo's own progress goes to stderr.

    Raises:
        ToolMissing: there is no cargo, or one too old, and no binary that was built before.
        ToolFailed: cargo could not build it.
    """
    binary = project / "target" / PROFILE / "trading-system"
    cargo = find_tool("cargo")
    if cargo is None:
        if binary.is_file():
            return binary
        raise ToolMissing("cargo is not installed", advice=install_command("cargo"))
    version = ask(cargo, "--version").stdout
    needed = re.search(r'^rust-version\s*=\s*"([\d.]+)"', (project / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
    if needed and _numbers(version) < _numbers(needed[1]):
        if binary.is_file():
            return binary
        raise ToolMissing(
            f"cargo is too old ({version.strip() or 'unknown'}; the demo target needs {needed[1]})",
            advice="https://rustup.rs installs a newer one",
        )
    if not binary.is_file():
        say("building the demo target; the first time takes a few minutes")
    # RUSTFLAGS would replace the frame pointers that .cargo/config.toml asks for, which counts from this folder alone.
    environment = {name: value for name, value in os.environ.items() if name != "RUSTFLAGS"}
    environment["CARGO_TARGET_DIR"] = str(project / "target")
    argv = (str(cargo), "build", "--locked", "--profile", PROFILE, *(("--quiet",) if binary.is_file() else ()))
    done = subprocess.run(argv, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=2, check=False)
    if done.returncode or not binary.is_file():
        raise ToolFailed("cargo could not build the demo target; its words are above")
    return binary


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
