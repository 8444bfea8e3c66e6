"""The real target of the end-to-end tests: the demo trading system, built once."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.environment import ROOT, refuse

DEMO = ROOT / "resources" / "demo" / "trading-system"
BINARY = DEMO / "target" / "release-with-debug" / "trading-system"
WITH_JEMALLOC = BINARY.with_name("trading-system-jemalloc")


@pytest.fixture(scope="session")
def demo_binary() -> Path:
    """The demo, built with debug symbols. Skips where there is no cargo that can build it."""
    cargo = shutil.which("cargo")
    if cargo is None:
        if BINARY.exists():
            return BINARY
        refuse("cargo is not installed, so the demo target cannot be built")
    needed = re.search(r'rust-version\s*=\s*"([\d.]+)"', (DEMO / "Cargo.toml").read_text())
    version = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if needed and _numbers(version) < _numbers(needed[1]):
        refuse(f"cargo {version} is older than {needed[1]}, which the demo target needs")
    with _alone("built-for-tests") as is_fresh:
        if not is_fresh:
            _build()
    return BINARY


@pytest.fixture(scope="session")
def jemalloc_demo(demo_binary: Path) -> Path:
    """The demo that links jemalloc, beside the plain one, as scripts/bootstrap.py makes it."""
    if WITH_JEMALLOC.exists() and WITH_JEMALLOC.stat().st_mtime > _newest_source():
        return WITH_JEMALLOC
    if shutil.which("cargo") is None:
        refuse("cargo is not installed, so the demo target cannot be built with jemalloc")
    with _alone("built-with-jemalloc"):
        try:
            _build("--features", "jemalloc")
            shutil.copyfile(BINARY, WITH_JEMALLOC)
            WITH_JEMALLOC.chmod(0o755)
        finally:
            _build()
    return WITH_JEMALLOC


@contextmanager
def _alone(stamp: str) -> Iterator[bool]:
    """One process builds at a time; whether another one has done so since the sources changed. Also where nothing is to
    be done cargo takes the program away for a moment, which another test may be about to start.
    """
    place = DEMO / "target" / f".{stamp}"
    place.parent.mkdir(exist_ok=True)
    with place.open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        yield bool(stream.read()) and place.stat().st_mtime > _newest_source() and BINARY.exists()
        stream.truncate(0)
        stream.write("built\n")


def _newest_source() -> float:
    sources = (*DEMO.glob("src/**/*.rs"), DEMO / "Cargo.toml", DEMO / "Cargo.lock", DEMO / ".cargo" / "config.toml")
    return max(path.stat().st_mtime for path in sources)


def _build(*options: str) -> None:
    # .cargo/config.toml counts only from cargo's working directory: frame pointers are set there.
    subprocess.run(
        ["cargo", "build", "--locked", "--quiet", "--profile", "release-with-debug", *options],
        cwd=DEMO, check=True, timeout=900, env={k: v for k, v in os.environ.items() if k != "RUSTFLAGS"},
    )  # fmt: skip


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
