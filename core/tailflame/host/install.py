"""How a missing tool is installed on this distribution."""

from __future__ import annotations

import functools
from pathlib import Path

_INSTALLERS = {
    "apt": "sudo apt install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "zypper": "sudo zypper install",
    "apk": "sudo apk add",
}
_FAMILIES = {
    "debian": "apt",
    "ubuntu": "apt",
    "fedora": "dnf",
    "rhel": "dnf",
    "centos": "dnf",
    "arch": "pacman",
    "suse": "zypper",
    "opensuse": "zypper",
    "opensuse-tumbleweed": "zypper",
    "opensuse-leap": "zypper",
    "sles": "zypper",
    "alpine": "apk",
}
_PACKAGES = {
    "perf": {"apt": "linux-perf", "dnf": "perf", "pacman": "perf", "zypper": "perf", "apk": "perf"},
    "setpriv": dict.fromkeys(_INSTALLERS, "util-linux"),
    "cargo-flamegraph": {},
    "cargo": dict.fromkeys(_INSTALLERS, "cargo"),
    "binutils": dict.fromkeys(_INSTALLERS, "binutils"),
    **{tool: dict.fromkeys(_INSTALLERS, tool) for tool in ("bpftrace", "strace", "valgrind", "heaptrack", "gdb")},
    "jeprof": {
        "apt": "libjemalloc-dev",
        "dnf": "jemalloc-devel",
        "pacman": "jemalloc",
        "zypper": "jemalloc-devel",
        "apk": "jemalloc-dev",
    },
    "jemalloc": {
        "apt": "libjemalloc2",
        "dnf": "jemalloc",
        "pacman": "jemalloc",
        "zypper": "libjemalloc2",
        "apk": "jemalloc",
    },
}
_UBUNTU_PERF = "linux-tools-common linux-tools-generic linux-tools-$(uname -r)"
_CARGO_INSTALL = {"cargo-flamegraph": "cargo install flamegraph"}


def install_command(tool: str) -> str:
    """The command that installs `tool` here, or a sentence where nobody knows one."""
    return command_for(tool, *_distribution())


def command_for(tool: str, identity: str, like: tuple[str, ...] = ()) -> str:
    """The same for a distribution by the ID and ID_LIKE of its os-release."""
    if tool in _CARGO_INSTALL:
        return _CARGO_INSTALL[tool]
    if tool == "cargo":
        return "See https://rustup.rs"
    installer = next((_FAMILIES[name] for name in (identity, *like) if name in _FAMILIES), "")
    package = _PACKAGES.get(tool, {}).get(installer, tool)
    if tool == "perf" and "ubuntu" in (identity, *like):
        package = _UBUNTU_PERF
    if not installer:
        return f"Install {package} with this system's package manager."
    return f"{_INSTALLERS[installer]} {package}"


@functools.lru_cache(maxsize=1)
def _distribution() -> tuple[str, tuple[str, ...]]:
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        try:
            return parse_os_release(path.read_text(errors="replace"))
        except FileNotFoundError:
            continue
    return "", ()


def parse_os_release(text: str) -> tuple[str, tuple[str, ...]]:
    """ID and ID_LIKE."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    identity = values.get("ID", "").strip("\"'")
    return identity, tuple(values.get("ID_LIKE", "").strip("\"'").split())
