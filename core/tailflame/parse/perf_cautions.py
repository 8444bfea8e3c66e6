"""What spoils a recording of perf, as the lines under its title."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping

import numpy as np

from tailflame.model import Caution, FrameKind
from tailflame.model.stacks import Int32
from tailflame.parse.debug_info import State as ScriptState
from tailflame.parse.perf_file import PerfFile
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perfdata.reader import Doubt, Reading
from tailflame.parse.perfdata.sideband import Sideband
from tailflame.parse.symbolize import KernelNames, RecordedKernel, State, names_here
from tailflame.units import count, percent

_UNRESOLVED_SHARE = 0.05
_KERNEL_HIDDEN_SHARE = 0.5
_BROKEN_SHARE = 0.02
_DEEP_SHARE = 0.01
_CUT_SHARE = 0.10
_KERNEL_STACK_LIMIT = 127
"""kernel.perf_event_max_stack, where nobody has raised it."""

_SAME_ARCH = {"amd64": "x86_64", "arm64": "aarch64"}
_STARTS = frozenset(
    (
        *("_start", "__libc_start_main", "__libc_start_call_main", "__libc_start_main_impl", "main", "start_thread"),
        *("clone", "clone3", "__clone", "__clone3", "_dl_start_user", "_dl_start", "ret_from_fork_asm"),
        *("ret_from_fork", "entry_SYSCALL_64_after_hwframe", "secondary_startup_64", "start_kernel"),
    )
)
"""Functions at which a whole stack begins."""


_SHOW_KERNEL = "sudo sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1"
_HIDDEN = {
    KernelNames.UNTOLD: Caution("The kernel's function names are hidden.", f"Before you record: {_SHOW_KERNEL}"),
    KernelNames.HIDDEN: Caution(
        "The kernel's function names are hidden from you.",
        f"Open it as root, or let them be seen: {_SHOW_KERNEL}",
    ),
    KernelNames.UNIDENTIFIED: Caution(
        "The kernel's functions have no names: the file does not tell which kernel was recorded.",
        "Stop perf record with Ctrl-C (SIGINT), so that it can write that.",
    ),
    KernelNames.ELSEWHERE: Caution(
        "The kernel's functions have no names: another kernel runs here than was recorded.",
        "Open it where it was recorded, or put that kernel's vmlinux below /usr/lib/debug.",
    ),
}

_GONE = {
    State.MISSING: "It is not here: put the recorded binary back in its place, or open this where it was recorded.",
    State.CHANGED: "It has been rebuilt since: record again, or put the recorded build back.",
}
"""How functions get names whose symbols are those of a file that is not the recorded one."""


def lost_events(lost: int, samples: int) -> tuple[Caution, ...]:
    if not lost:
        return ()
    total = lost + samples
    return (
        Caution(
            f"{count(lost)} of {count(total)} samples were lost ({percent(lost / total)}).",
            "Record with a larger buffer (-m 4M), at a lower frequency, or with a smaller dwarf stack.",
        ),
    )


def broken_chains(broken: int, samples: int) -> tuple[Caution, ...]:
    """broken: samples of which only the function on top is known."""
    if broken <= _BROKEN_SHARE * samples:
        return ()
    return (
        Caution(
            f"The call chain of {percent(broken / samples)} of the samples is broken: only the function on top is"
            " known.",
            "Build with frame pointers (-C force-frame-pointers=yes, -fno-omit-frame-pointer), or record with"
            " --call-graph dwarf.",
        ),
    )


def lost_of(file: PerfFile, side: Sideband | None) -> int:
    """Lost samples. side: what stands beside the samples, where these were read here; also if they were compressed."""
    if side is None or not file.tally.compressed:
        return file.lost
    asked = any(event.counts_lost for event in file.header.events)
    return side.lost_samples if asked and side.lost_samples else side.lost + side.lost_samples


def of_file(file: PerfFile, samples: int, side: Sideband | None = None) -> tuple[Caution, ...]:
    """What the file itself tells."""
    found: list[Caution] = []
    if not file.whole:
        found.append(
            Caution(
                f"{file.path.name} is cut short: only what comes before the cut is shown.",
                "Copy it again if the original is whole.",
            )
        )
    elif not file.closed:
        found.append(
            Caution(
                f"perf record was killed before it could close {file.path.name}: its last moments, the machine and the"
                " command are missing.",
                "Stop perf record with Ctrl-C (SIGINT) rather than by killing it.",
            )
        )
    found += lost_events(lost_of(file, side), samples)
    throttled = file.tally.throttled if side is None else side.throttled
    if throttled:
        times = "once" if throttled == 1 else f"{count(throttled)} times"
        found.append(
            Caution(
                f"The kernel paused sampling {times}, because it took too much time.",
                "Record at a lower frequency.",
            )
        )
    here = platform.machine()
    there = _SAME_ARCH.get(file.header.arch, file.header.arch)
    if there and there != here:
        found.append(
            Caution(
                f"It was recorded on another architecture ({there}; this machine is {here}): functions of binaries that"
                " are not here have no names.",
                "Open it on the machine that recorded it, or copy the output of perf script from there.",
            )
        )
    return tuple(found)


def of_reading(reading: Reading) -> tuple[Caution, ...]:
    """What was met while the records were read."""
    found: list[Caution] = []
    content = reading.content
    damaged = int(content.columns.damaged.sum()) + content.side.damaged
    if damaged:
        found.append(Caution(f"{count(damaged)} records do not make sense: they are damaged.", "Copy the file again."))
    if not content.whole:
        found.append(Caution("Its compressed records end in the middle: only what comes before that is shown."))
    if reading.spaces.simplified:
        found.append(Caution("Files were mapped too often to keep account of: some functions may be wrong."))
    match reading.doubt:
        case Doubt.UNRETURNED:
            found.append(
                Caution(
                    "How long threads were off the processor cannot be told: their return was not recorded.",
                    "Record all processors (-a), or with --switch-events.",
                )
            )
        case Doubt.SAMPLED:
            found.append(
                Caution(
                    "How long threads were off the processor cannot be told: only some of the switches were recorded.",
                    "Record each of them (-c 1).",
                )
            )
        case Doubt.LOST:
            found.append(
                Caution(
                    "Switches were lost: some times off the processor are too long.", "Use a larger buffer (-m 4M)."
                )
            )
    return tuple(found)


def of_samples(
    samples: PerfSamples,
    *,
    unwound: bool,
    kernel: RecordedKernel | None = None,
    states: Mapping[str, State] | None = None,
) -> tuple[Caution, ...]:
    """What the stacks tell, before inlined frames are put in. unwound: whether perf unwound copies of the stack;
    kernel: what the file tells of it; states: of the modules, by path."""
    stack = samples.samples.stack[samples.samples.stack >= 0]
    if not len(stack):
        return ()
    found: list[Caution] = []
    unresolved = np.array([frame.is_unresolved for frame in samples.frames])
    is_kernel = np.array([frame.kind is FrameKind.KERNEL for frame in samples.frames])
    top = samples.stacks.frame[stack]
    hidden = is_kernel[top] & unresolved[top]
    in_kernel = int(is_kernel[top].sum())
    names_hidden = in_kernel > 0 and hidden.sum() > _KERNEL_HIDDEN_SHARE * in_kernel
    if names_hidden:
        found.append(_HIDDEN[names_here(kernel or RecordedKernel())])
    nameless = unresolved[top] & ~hidden if names_hidden else unresolved[top]
    if nameless.mean() > _UNRESOLVED_SHARE:
        module = _most(samples.frames[number].module or "memory of no file" for number in top[nameless])
        state = (states or {}).get(module, State.READ)
        found.append(
            Caution(
                f"{percent(float(nameless.mean()))} of the samples are in functions without a name"
                f" (most in {module.rsplit('/', 1)[-1]}).",
                _GONE.get(state, "Build with symbols (strip = false), or install the package with its debug symbols."),
            )
        )
    depth = samples.stacks.depths()
    is_deep = float((depth[stack] >= _KERNEL_STACK_LIMIT).mean())
    if is_deep > _DEEP_SHARE and not unwound:
        found.append(
            Caution(
                f"{percent(is_deep)} of the stacks are as deep as the kernel records ({_KERNEL_STACK_LIMIT} frames):"
                " their outer frames are missing.",
                "Before you record: sudo sysctl kernel.perf_event_max_stack=1024",
            )
        )
    if unwound:
        cut = _share_cut(samples, stack, depth)
        if cut > _CUT_SHARE:
            found.append(
                Caution(
                    f"{percent(cut)} of the stacks end before the function in which their thread began: the copied part"
                    " of the stack was too small, or a binary has no unwind information.",
                    "Record with a larger copy (--call-graph dwarf,32768), or with frame pointers.",
                )
            )
    return tuple(found)


def _share_cut(samples: PerfSamples, stack: Int32, depth: Int32) -> float:
    """Share of the samples whose outermost function is user code, and none that a thread begins in."""
    whole = np.array(
        [frame.name in _STARTS or frame.kind in (FrameKind.KERNEL, FrameKind.OTHER) for frame in samples.frames]
    )
    leaves, seen = np.unique(stack, return_counts=True)
    outermost = leaves.copy()
    while len(inner := np.flatnonzero(depth[outermost] > 1)):  # depth 0 is the thread's name
        outermost[inner] = samples.stacks.parent[outermost[inner]]
    return float(seen[~whole[samples.stacks.frame[outermost]]].sum() / seen.sum())


def of_modules(states: Mapping[str, State] | Mapping[str, ScriptState], *, demangled: bool) -> tuple[Caution, ...]:
    """What became of the binaries when inlined functions and source lines were looked up."""
    found: list[Caution] = []
    changed = sorted(module for module, state in states.items() if state.value == State.CHANGED.value)
    if changed:
        one = len(changed) == 1
        found.append(
            Caution(
                f"{_listed(changed)} {'has' if one else 'have'} been rebuilt since this was recorded: inlined functions"
                f" and source lines of {'it' if one else 'them'} are left out.",
                "Record again, or put the recorded build back.",
            )
        )
    large = sorted(module for module, state in states.items() if state.value == State.TOO_LARGE.value)
    if large:
        found.append(
            Caution(f"The debug information of {_listed(large)} is too large: inlined functions are left out.")
        )
    without = (State.MISSING.value, State.NO_DEBUG_INFO.value)
    bare = sorted(module for module, state in states.items() if state.value in without)
    servers = os.environ.get("DEBUGINFOD_URLS", "")
    if bare and servers and not os.environ.get("TAILFLAME_DEBUGINFOD"):
        found.append(
            Caution(
                f"{_listed(bare)} {'has' if len(bare) == 1 else 'have'} no debug information here;"
                " the servers in DEBUGINFOD_URLS may have it.",
                "Let them be asked (Settings, or TAILFLAME_DEBUGINFOD=yes) and read it again; they learn which builds.",
            )
        )
    if not demangled:
        found.append(
            Caution(
                "Names of inlined functions are shown as the linker knows them, because c++filt is missing.",
                "Install binutils.",
            )
        )
    return tuple(found)


def _most(modules: Iterable[str]) -> str:
    tally: dict[str, int] = {}
    for module in modules:
        tally[module] = tally.get(module, 0) + 1
    return max(tally, key=lambda module: tally[module])


def _listed(paths: list[str]) -> str:
    names = [path.rsplit("/", 1)[-1] for path in paths]
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
