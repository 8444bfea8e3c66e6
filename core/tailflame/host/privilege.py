"""Which way a tool gets the permission that it needs for a running program, and what to do where there is none.

Nothing here raises anybody's privilege: it says what is possible. The ways, best first: as we are, where the kernel
lets us; the privileged helper (packaging/helper) through pkexec, which asks the user; the helper through sudo where
that asks for no password; with less, which is user space alone. Root and a permissive kernel need none of them.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tailflame.host.install import install_command
from tailflame.host.running import RunningProcess, user_name
from tailflame.host.system import Host, read_setting

HELPER = Path("/usr/libexec/tailflame/tailflame-helper")
ACTION = Path("/usr/share/polkit-1/actions/org.tailflame.helper.policy")
INSTALL_HELPER = ("make", "install-helper")
_SUDO_TIMEOUT_S = 5.0


class Need(StrEnum):
    """What a tool does to a running program."""

    RECORD = "perf-record"
    COUNT = "perf-stat"
    PROBE = "bpftrace"
    TRACE = "strace"


class Way(StrEnum):
    AS_IS = "as is"
    HELPER = "helper"
    """Through pkexec; the user is asked for a password, once."""
    SUDO = "sudo"
    """Through `sudo -n`; nobody is asked."""
    REDUCED = "reduced"
    """As we are, in user space alone: kernel functions and some counts are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a tool may look at one process. `ways` is empty where it may not at all."""

    need: Need
    ways: tuple[Way, ...]
    sentence: str
    """What is possible and what is missing, for the preflight."""
    fix: str = ""
    """What the user can do for more."""
    fix_argv: tuple[str, ...] = ()
    """The fix as a command, where one command is the whole of it. Nothing here runs it."""

    @property
    def way(self) -> Way | None:
        """The best one."""
        return self.ways[0] if self.ways else None

    @property
    def possible(self) -> bool:
        return bool(self.ways)

    @property
    def full(self) -> bool:
        """Whether nothing is missing."""
        return self.way is not None and self.way is not Way.REDUCED


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What this machine has to give a permission with. `means()` looks."""

    root: bool = False
    helper: Path | None = None
    """The installed one, with its polkit action."""
    pkexec: bool = False
    sudo: bool = False
    """`sudo -n` works."""
    bundled: Path | None = None
    """The helper's text where it is not installed: sudo can start it, pkexec cannot."""

    def argv(self, way: Way) -> tuple[str, ...]:
        """How `HelperClient.start` starts the helper; empty for the ways that need none."""
        match way:
            case Way.HELPER if self.helper is not None:
                return ("pkexec", "--disable-internal-agent", str(self.helper))
            case Way.SUDO if self.helper is not None:
                return ("sudo", "-n", f"PKEXEC_UID={os.getuid()}", str(self.helper))
            case Way.SUDO if self.bundled is not None:
                return ("sudo", "-n", f"PKEXEC_UID={os.getuid()}", "/usr/bin/python3", "-I", str(self.bundled))
        return ()


def means() -> Means:
    """Looks around; asks sudo, once, whether it works without a password. Call it from a thread."""
    root = os.geteuid() == 0
    helper = HELPER if HELPER.is_file() and ACTION.is_file() else None
    return Means(
        root=root,
        helper=helper,
        pkexec=shutil.which("pkexec") is not None,
        sudo=not root and _sudo_works(),
        bundled=_bundled_helper(),
    )


def access(need: Need, process: RunningProcess, host: Host, has: Means) -> Access:
    """The ways to do `need` to `process`, with a sentence. Reads a few files of /proc."""
    missing = _missing_tool(need, host)
    if missing is not None:
        return missing
    if not process.attachable:
        other = process.uid != os.geteuid()
        return Access(
            need=need,
            ways=(),
            sentence=f"{process.name} cannot be attached to: {process.reason}.",
            fix=f"Start Tailflame as root, or as {process.user}." if other else "",
        )
    if has.root:
        return _as_root(need, process, host)
    why = _refusal(need, process, host)
    if why is None:
        return Access(need=need, ways=(Way.AS_IS,), sentence=f"{_TOOLS[need]} may look at {process.name}.")
    if why.final:
        return Access(need=need, ways=(), sentence=why.sentence, fix=why.fix)
    ways = tuple(
        way
        for way, there in (
            (Way.HELPER, has.helper is not None and has.pkexec),
            (Way.SUDO, has.sudo and bool(has.argv(Way.SUDO))),
            (Way.REDUCED, why.reduced),
        )
        if there
    )
    fix, fix_argv = _fix(why, has, ways)
    sentence = f"{why.sentence} {_CONSEQUENCES[ways[0] if ways else None]}".rstrip()
    return Access(need=need, ways=ways, sentence=sentence, fix=fix, fix_argv=fix_argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """Why a tool may not, as we are. `final`: the helper may not either. `fix`: besides installing the helper."""

    sentence: str
    fix: str = ""
    fix_argv: tuple[str, ...] = ()
    reduced: bool = False
    final: bool = False


_TOOLS = {Need.RECORD: "perf", Need.COUNT: "perf", Need.PROBE: "bpftrace", Need.TRACE: "strace"}
_CONSEQUENCES = {
    Way.HELPER: "Tailflame's helper can do it: you are asked for the password once.",
    Way.SUDO: "sudo can do it without asking.",
    Way.REDUCED: "It works with less: user space alone.",
    None: "",
}
_LOWER = ("sudo", "sysctl", "kernel.perf_event_paranoid=1")


def _fix(why: _Refusal, has: Means, ways: tuple[Way, ...]) -> tuple[str, tuple[str, ...]]:
    if Way.HELPER in ways or Way.SUDO in ways:
        return "", ()
    if has.helper is None and has.pkexec:
        return "Install the helper, as a user who may use sudo.", INSTALL_HELPER
    return why.fix, why.fix_argv


def _missing_tool(need: Need, host: Host) -> Access | None:
    name = _TOOLS[need]
    if (host.perf if name == "perf" else host.has_tool(name)) is not None:
        return None
    command = install_command(name)
    argv = tuple(command.split()) if command.startswith("sudo ") and "$" not in command else ()
    sentence = f"{host.perf_missing}." if name == "perf" else f"{name} is not installed."
    return Access(need=need, ways=(), sentence=sentence, fix=command, fix_argv=argv)


def _as_root(need: Need, process: RunningProcess, host: Host) -> Access:
    """Root may everything but what a container or another tracer forbids."""
    why = _refusal(need, process, host, root=True)
    if why is not None:
        return Access(need=need, ways=(), sentence=why.sentence, fix=why.fix)
    return Access(need=need, ways=(Way.AS_IS,), sentence=f"{_TOOLS[need]} may look at {process.name}.")


def _refusal(need: Need, process: RunningProcess, host: Host, *, root: bool = False) -> _Refusal | None:
    """What stands against it as we are; None where nothing does."""
    if not root and hides_memory(process.pid):
        return _hidden(process)
    if need is Need.TRACE:
        return _tracing(process, root=root)
    if need is Need.PROBE:
        if root:
            return None
        return _Refusal(
            sentence="bpftrace, which probes functions, works for root alone.", fix="Start Tailflame with sudo."
        )
    if host.refused:
        if root or "No permission to enable" in host.refused:
            return _Refusal(
                sentence="This system forbids performance events, as containers do.",
                fix="Start the container with --cap-add PERFMON (or SYS_ADMIN), or look from outside of it.",
                final=True,
            )
        level = host.perf_event_paranoid
        return _Refusal(
            sentence=f"The kernel refuses performance events to this user (kernel.perf_event_paranoid is {level}).",
            fix="Lower the limit, until the next start of the machine.",
            fix_argv=_LOWER,
        )
    if root:
        return None
    if host.user_only:
        return _Refusal(
            sentence="The kernel lets this user see user space alone: time in system calls and counts of the kernel "
            "are missing.",
            fix="Lower the limit, until the next start of the machine.",
            fix_argv=_LOWER,
            reduced=True,
        )
    return None


def trace_refused(process: RunningProcess) -> Access | None:
    """Why this user may not trace a process as we are; None where nothing stands against it. `ways` is empty."""
    root = os.geteuid() == 0
    why = _hidden(process) if not root and hides_memory(process.pid) else _tracing(process, root=root)
    if why is None:
        return None
    return Access(need=Need.TRACE, ways=(), sentence=why.sentence, fix=why.fix, fix_argv=why.fix_argv)


def _tracing(process: RunningProcess, *, root: bool) -> _Refusal | None:
    tracer = tracer_of(process.pid)
    if tracer:
        return _Refusal(
            sentence=f"{process.name} is being traced already, by process {tracer}: only one can.",
            fix="Let go of it there first: a debugger, or another strace.",
            final=True,
        )
    scope = read_setting("kernel/yama/ptrace_scope") or 0
    if scope >= 3:
        return _Refusal(
            sentence="Tracing is switched off until the next start of the machine (kernel.yama.ptrace_scope is 3).",
            final=True,
        )
    if root:
        return None
    if scope:
        return _Refusal(
            sentence=f"A running program may be traced by root alone here (kernel.yama.ptrace_scope is {scope}).",
            fix="Allow it for your own programs, until the next start of the machine.",
            fix_argv=("sudo", "sysctl", "kernel.yama.ptrace_scope=0"),
        )
    return None


def _hidden(process: RunningProcess) -> _Refusal:
    return _Refusal(
        sentence=f"{process.name} may not be looked into, even by {user_name(os.geteuid())}: its file has a setuid bit "
        "or capabilities (setcap), or it hides its memory by itself.",
        fix="Start it from a file without capabilities, or Tailflame with sudo.",
        final=True,
    )


def hides_memory(pid: int) -> bool:
    """Whether the kernel keeps even its own user out. It gives the process' files in /proc to root then."""
    try:
        owner = os.stat(f"/proc/{pid}/maps").st_uid  # noqa: PTH116
        user = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116
    except OSError:
        return False
    return owner != user


def tracer_of(pid: int) -> int:
    """The process that traces it (strace, a debugger); 0 for none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("TracerPid:")), 0)


@functools.lru_cache(maxsize=1)
def _sudo_works() -> bool:
    """Whether sudo runs programs as root without asking. Asked once: where it does not, sudo keeps a log of it."""
    if shutil.which("sudo") is None:
        return False
    try:
        done = subprocess.run(
            ("sudo", "-n", "true"), stdin=subprocess.DEVNULL, capture_output=True, timeout=_SUDO_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def forget_means() -> None:
    """The next `means` asks sudo again."""
    _sudo_works.cache_clear()


def _bundled_helper() -> Path | None:
    """In a checkout it lies in packaging/, in a wheel beside the resources."""
    here = Path(__file__).resolve()
    places = (here.parents[3] / "packaging" / "helper", here.parents[2] / "tailflame_resources" / "helper")
    return next((place / "tailflame-helper" for place in places if (place / "tailflame-helper").is_file()), None)
