"""What the demo can be here: the demo target built and recorded, or the sample session that ships with Tailflame."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import tailflame_resources
from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host.install import install_command
from tailflame.host.system import Host, ask, find_tool
from tailflame.tools import PERF_RECORD, CallGraph, Plan, Target

PROFILE = "release-with-debug"
LOGS = ("latency",)
"""What the demo target writes beside its profile: artifacts by role."""
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
        return f"{host.perf_missing} ({install_command('perf')})"
    if host.refused:
        return "the kernel refuses performance events to this user (see `tailflame doctor`)"
    return ""


@dataclass(frozen=True, slots=True)
class Build:
    """How the demo's binary is made: `argv` in the project's folder, or () where the one that is there has to do."""

    binary: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]


def demo_build(project: Path) -> Build:
    """ToolMissing where there is no cargo, or one too old, and no binary that was built before."""
    binary = project / "target" / PROFILE / "trading-system"
    # RUSTFLAGS would replace the frame pointers that .cargo/config.toml asks for, which counts from this folder alone.
    environment = {name: value for name, value in os.environ.items() if name != "RUSTFLAGS"}
    environment["CARGO_TARGET_DIR"] = str(project / "target")
    cargo = find_tool("cargo")
    if cargo is None:
        if binary.is_file():
            return Build(binary, (), environment)
        raise ToolMissing("cargo is not installed", advice=install_command("cargo"))
    version = ask(cargo, "--version").stdout
    needed = re.search(r'^rust-version\s*=\s*"([\d.]+)"', (project / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
    if needed and _numbers(version) < _numbers(needed[1]):
        if binary.is_file():
            return Build(binary, (), environment)
        raise ToolMissing(
            f"cargo is too old ({version.strip() or 'unknown'}; the demo target needs {needed[1]})",
            advice="https://rustup.rs installs a newer one",
        )
    argv = (str(cargo), "build", "--locked", "--profile", PROFILE, *(("--quiet",) if binary.is_file() else ()))
    return Build(binary, argv, environment)


def demo_plan(target: Target, host: Host, out: Path) -> Plan:
    """Records `target`, the demo with its switches, and has it write its latency log into the session's folder."""
    # The demo is built with frame pointers: they cost least.
    options = replace(PERF_RECORD.defaults(host), call_graph=CallGraph.FRAME_POINTERS)
    log = out / "latency.hlog"
    planned = PERF_RECORD.plan(replace(target, args=(*target.args, "--hlog", str(log)), cwd=out), options, out)
    return replace(planned, artifacts=MappingProxyType({**planned.artifacts, LOGS[0]: log}))


def build_demo(project: Path, *, say: Callable[[str], None]) -> Path:
    """The demo's binary, built where needed; cargo's own progress goes to stderr.

    Raises:
        ToolMissing: there is no cargo, or one too old, and no binary that was built before.
        ToolFailed: cargo could not build it.
    """
    build = demo_build(project)
    if not build.argv:
        return build.binary
    if not build.binary.is_file():
        say("building the demo target; the first time takes a few minutes")
    done = subprocess.run(build.argv, cwd=project, env=build.env, stdin=subprocess.DEVNULL, stdout=2, check=False)
    if done.returncode or not build.binary.is_file():
        raise ToolFailed("cargo could not build the demo target; its words are above")
    return build.binary


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
