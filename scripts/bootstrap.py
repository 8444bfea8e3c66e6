"""Sets up a checkout on a Debian machine that has only python3, git and make. Standard library only.

    bootstrap.py system    the system packages the window needs
    bootstrap.py run       those, the virtual environment, and the demo target where cargo can build it
    bootstrap.py test      those, the test tools, cargo flamegraph and inferno

System packages are installed where root or sudo allows it; otherwise the one command is printed. A missing profiler or
cargo is no failure: the application falls back to its sample session and says so.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
DEMO = ROOT / "resources" / "demo" / "trading-system"

WINDOW_PACKAGES = (
    # What Qt's xcb and offscreen platforms load; PySide6's wheels bring the rest.
    "libegl1", "libgl1", "libfontconfig1", "libdbus-1-3", "libxkbcommon0", "libxkbcommon-x11-0", "libglib2.0-0",
    "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0", "libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0",
    "libxcb-shape0", "libxcb-xinerama0", "libxcb-xkb1",
)  # fmt: skip
RUN_PACKAGES = ("python3-venv", "linux-perf", "binutils", "bpftrace", "strace", "valgrind", "heaptrack", "gdb",
                "libjemalloc2")  # fmt: skip
COMPILER_PACKAGES = ("gcc", "libc6-dev")  # cargo links with it; the tests compile small C targets
TEST_PACKAGES = ("gcc", "libc6-dev", "xvfb", "xauth", "desktop-file-utils", "shared-mime-info", "appstream",
                 "util-linux", "zstd", "xz-utils", "prometheus", "sudo", "libjemalloc-dev")  # fmt: skip
RUST_TOOLS = (
    # crate, program, the series the tests were written against
    ("flamegraph", "cargo-flamegraph", "^0.6"),
    ("inferno", "inferno-flamegraph", "^0.12"),
)


def main(goal: str) -> int:
    packages = WINDOW_PACKAGES if goal == "system" else WINDOW_PACKAGES + RUN_PACKAGES
    if goal != "system" and find_cargo() is not None:
        packages += COMPILER_PACKAGES
    if goal == "test":
        packages += COMPILER_PACKAGES + TEST_PACKAGES
    system_packages(tuple(dict.fromkeys(packages)))
    if goal == "system":
        return 0
    environment("dev" if goal == "test" else "")
    built = demo_target(with_jemalloc=goal == "test")
    if goal == "test" and built:
        rust_tools()
    return 0


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def system_packages(wanted: tuple[str, ...]) -> None:
    if shutil.which("dpkg-query") is None:
        say("not a Debian system: install Qt's xcb libraries and perf with your package manager")
        return
    missing = [p for p in wanted if not installed(p)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    prefix = privileged()
    if prefix is None:
        say(f"missing system packages; install them with:\n    sudo {' '.join(command)}")
        return
    say(f"installing {' '.join(missing)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*prefix, "apt-get", "update", "-qq"], env=environ, check=False, stdout=subprocess.DEVNULL)
    done = subprocess.run([*prefix, *command], env=environ, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        say(f"apt-get failed; install them yourself with:\n    sudo {' '.join(command)}")


def installed(package: str) -> bool:
    state = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True, check=False
    )
    return state.stdout == "installed"


def privileged() -> list[str] | None:
    """What to put before a command to run it as root; None where that is not possible without asking."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    without_asking = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    if without_asking:
        return ["sudo", "-n"]
    return ["sudo"] if sys.stdin.isatty() and sys.stdout.isatty() else None


def environment(extra: str) -> None:
    """The virtual environment with Tailflame installed editable; nothing is done when it is up to date."""
    stamp = VENV / f"tailflame-{extra or 'run'}.stamp"
    text = (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    wanted = hashlib.sha256(text).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before any version is chosen
        raise SystemExit(f"Tailflame needs Python 3.11 or newer, this is {sys.version.split()[0]}.")
    if not (VENV / "bin" / "python").exists():
        say("creating the virtual environment in .venv")
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            raise SystemExit("The virtual environment could not be made: install python3-venv.")
    say("installing Tailflame and what it needs")
    target = f"{ROOT}[{extra}]" if extra else str(ROOT)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "-e", target], check=False).returncode:
        raise SystemExit("pip could not install Tailflame's dependencies; its message is above.")
    stamp.write_text(wanted)


def demo_target(*, with_jemalloc: bool = False) -> bool:
    """Builds the demo target; False, with the reason said, where it cannot be built. with_jemalloc: also one that links
    jemalloc, trading-system-jemalloc beside it.
    """
    cargo = find_cargo()
    if cargo is None:
        say("no cargo: the demo opens the recorded sample session (https://rustup.rs installs cargo)")
        return False
    found = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False).stdout
    needed = re.search(r'^rust-version\s*=\s*"([\d.]+)"', (DEMO / "Cargo.toml").read_text(), re.MULTILINE)
    if needed and numbers(found) < numbers(needed[1]):
        say(f"{found.strip() or 'cargo'} is too old for the demo target, which needs {needed[1]}: "
            "the demo opens the recorded sample session")  # fmt: skip
        return False
    say("building the demo target (a few minutes the first time)")
    # Frame pointers come from .cargo/config.toml, which cargo reads from its working directory only.
    environ = {k: v for k, v in os.environ.items() if k != "RUSTFLAGS"}
    command = [cargo, "build", "--locked", "--quiet", "--profile", "release-with-debug"]
    if with_jemalloc:
        built = DEMO / "target" / "release-with-debug" / "trading-system"
        if subprocess.run([*command, "--features", "jemalloc"], cwd=DEMO, env=environ, check=False).returncode:
            say("the demo target could not be built with jemalloc: its tests will fail")
        else:
            shutil.copy(built, built.with_name("trading-system-jemalloc"))
    if subprocess.run(command, cwd=DEMO, env=environ, check=False).returncode:
        say("the demo target could not be built: the demo opens the recorded sample session")
        return False
    return True


def rust_tools() -> None:
    """cargo flamegraph, which the tests record with, and inferno, whose graphs and folded stacks ours are held to."""
    cargo = find_cargo()
    if cargo is None:
        return
    for crate, program, version in RUST_TOOLS:
        if shutil.which(program) or (TOOLS / "bin" / program).exists():
            continue
        say(f"installing {crate} into .tools (a few minutes the first time)")
        # Without --locked: the lock file of a release may name a crate that has been withdrawn since.
        command = [cargo, "install", "--quiet", "--root", str(TOOLS), "--version", version, crate]
        if subprocess.run(command, check=False, cwd=ROOT).returncode:
            say(f"{crate} could not be installed: its tests will be skipped")


def find_cargo() -> str | None:
    # rustup puts cargo there without touching the PATH of a shell that is already open.
    return shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("system", "run", "test"):
        raise SystemExit(__doc__)
    sys.exit(main(sys.argv[1]))
