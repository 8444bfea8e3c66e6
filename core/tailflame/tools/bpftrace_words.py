"""What bpftrace's own words mean, where they tell of a failure; and where in a program the mistake is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed

# "stdin:2:8-11: ERROR: Unknown function: foo", "x.bt:2:7-8: ERROR: syntax error, unexpected ;", "stdin:2-5: ERROR: ..."
_MISTAKE = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d{1,7})(?::(?P<first>\d{1,7})-(?P<last>\d{1,7})|-\d{1,7})?: "
                      r"(?P<kind>ERROR|WARNING): (?P<text>.*)$", re.MULTILINE)  # fmt: skip
# "ERROR: Unknown error -1: couldn't set RLIMIT_MEMLOCK for bpftrace. If your program is not loading, you can try ..."
# Kernels from 5.11 on do not count the memory of programs that way.
_HARMLESS = re.compile(r"couldn't set RLIMIT_MEMLOCK|failed to look up stack id")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What bpftrace says of a place in a program. line: 1-based; columns: 1-based, 0 where it does not tell."""

    line: int
    first: int
    last: int
    text: str
    fatal: bool = True


def mistakes(said: str) -> tuple[Mistake, ...]:
    """Every place that bpftrace complains of, in its order."""
    return tuple(
        Mistake(
            int(found["line"]), int(found["first"] or 0), int(found["last"] or 0), found["text"],
            found["kind"] == "ERROR",
        )
        for found in _MISTAKE.finditer(said)
    )  # fmt: skip


def serious(said: str) -> str:
    """Its words without those that mean nothing."""
    return "\n".join(line for line in said.split("\n") if not _HARMLESS.search(line)).strip()


def explained(said: str) -> TailflameError | None:
    """Why it did not work; None where nothing tells of a failure."""
    words = serious(said)
    if "only supports running as the root user" in words:
        return ToolDenied(
            "bpftrace runs as root alone.",
            advice="Install Tailflame's helper (make install-helper) and attach to the program, or run as root.",
            details=words,
        )
    if "kprobe_events" in words or "kprobe_multi" in words:
        return ToolDenied(
            "This kernel was built without kprobes (CONFIG_KPROBES): its functions cannot be probed.",
            advice="Use a tracepoint: bpftrace -l 'tracepoint:*' lists them.",
            details=words,
        )
    if "kfunc/kretfunc not available" in words:
        return ToolDenied(
            "This kernel tells no types of its functions (CONFIG_DEBUG_INFO_BTF): kfunc probes need them.",
            advice="Use a tracepoint: bpftrace -l 'tracepoint:*' lists them.",
            details=words,
        )
    if (child := re.search(r"Failed to fork child: path '(.*)' does not exist", words)) is not None:
        return TargetError(
            f"bpftrace starts binaries alone, and {child[1]} is a script.",
            advice="Put its interpreter in front (/bin/sh FILE, /usr/bin/python3 FILE), or attach to it.",
            details=words,
        )
    found = next((one for one in mistakes(words) if one.fatal), None)
    if found is not None:
        if "tracepoint not found" in found.text:
            missing = found.text.rpartition(": ")[2]
            return ToolFailed(
                f"This kernel has no tracepoint {missing} (line {found.line} of the program).",
                advice="bpftrace -l 'tracepoint:*' lists those that it has.",
                details=words,
            )
        if "does not exist or is not executable" in found.text:
            return TargetError(f"Line {found.line} of the program: {found.text}.", details=words)
        if "unsafe function being used" in found.text:
            return ToolDenied(
                f"Line {found.line} of the program: {found.text}.",
                advice="Tailflame runs no program that changes the system.",
                details=words,
            )
        where = f"line {found.line}" + (f", column {found.first}" if found.first else "")
        return ToolFailed(f"bpftrace does not take the program: {where}: {found.text}.", details=words)
    if "No probes to attach" in words or "ould not resolve symbol" in words:
        return TargetError(
            "bpftrace finds none of the probes: a function is not in its file, or was inlined everywhere.",
            advice="Choose another function; a binary that was built anew has other names.",
            details=words,
        )
    if "No such process" in words:
        return TargetError("There is no such process any more.", details=words)
    if "rror attaching probe" in words or "failed to attach" in words.lower():
        which = re.search(r"rror attaching probe:? '?([^'\n]+)", words)
        return ToolFailed(
            f"The kernel refuses the probe {which[1]}." if which else "The kernel refuses a probe.",
            advice="A machine without hardware counters, as most virtual ones, has no hardware: probes.",
            details=words,
        )
    if "Operation not permitted" in words or "Permission denied" in words:
        return ToolDenied(
            "The kernel does not let bpftrace run.",
            advice="In a container it needs CAP_BPF and CAP_PERFMON; kernel lockdown forbids it.",
            details=words,
        )
    if "ERROR:" in words:
        first = next(line for line in words.split("\n") if "ERROR:" in line)
        return ToolFailed(f"bpftrace: {first.partition('ERROR:')[2].strip()}", details=words)
    return None
