"""Is this machine fit to measure? What it is, what of it disturbs, and what to change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tailflame.host.system import ask, find_tool, probe_host

_CPU = Path("/sys/devices/system/cpu")


def environment(project: Path | None = None) -> dict[str, str]:
    """Facts of the machine and the compiler that a measurement depends on, by name; what nobody tells is left out.

    Asks rustc: some tens of milliseconds, in a thread.
    """
    host = probe_host()
    stolen = steal_share()
    facts = {
        "host": host.hostname,
        "kernel": host.kernel,
        "cpu": host.cpu,
        "processors": str(host.cpus),
        "governor": governor(),
        "turbo": turbo(),
        "smt": _text(_CPU / "smt" / "control"),
        "isolated": _text(_CPU / "isolated"),
        "load": f"{os.getloadavg()[0]:.2f}",
        "steal": f"{stolen:.4f}" if stolen is not None else "",
        "virtual": hypervisor(),
        "rustc": rustc(project),
        "rustflags": os.environ.get("RUSTFLAGS", ""),
        "perf": host.perf_version,
    }
    return {name: value for name, value in facts.items() if value}


def governor() -> str:
    """How the processor chooses its frequency: "performance"; "" where the kernel does not tell."""
    return _text(_CPU / "cpu0" / "cpufreq" / "scaling_governor")


def turbo() -> str:
    """ "on", "off", or "" where nobody tells."""
    no_turbo, boost = _text(_CPU / "intel_pstate" / "no_turbo"), _text(_CPU / "cpufreq" / "boost")
    if no_turbo:
        return "off" if no_turbo == "1" else "on"
    return {"1": "on", "0": "off"}.get(boost, "")


def hypervisor() -> str:
    """ "yes" inside a virtual machine."""
    try:
        return "yes" if " hypervisor" in Path("/proc/cpuinfo").read_text(errors="replace") else ""
    except OSError:
        return ""


def steal_share() -> float | None:
    """The share of processor time that the hypervisor has kept for others since the start, 0..1; None unknown."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    times = [int(word) for word in words[:8]]
    whole = sum(times)
    return times[7] / whole if len(times) == 8 and whole else None


def rustc(project: Path | None) -> str:
    """ "rustc 1.95.0 (…)" as the project has it; "" without rustc."""
    place = find_tool("rustc")
    if place is None or shutil.which(str(place)) is None:
        return ""
    answer = ask(place, "--version")
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
