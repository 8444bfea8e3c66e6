"""What a function probe would do to a program, before it is put there: kill it, lie, or cost much.

A return probe replaces the return address on the stack. Whatever walks the stack for itself meets that address: an
unwinder gives up and ends the program, Go's runtime crashes.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from tailflame.errors import TargetError
from tailflame.host.elf import BrokenElf, Elf
from tailflame.host.functions import Function, functions_of, shown_name

NESTED_AT_MOST = 64
"""Return probes that the kernel keeps open in one thread, over all functions: MAX_URETPROBE_DEPTH."""
ARCHITECTURES = ("x86_64", "aarch64")
_GO = (".gopclntab", ".note.go.buildid", ".go.buildinfo", ".data.rel.ro.gopclntab")
# They return twice, or on another stack: the second return would find nothing to return to.
_RETURN_TWICE = {
    *("setjmp", "_setjmp", "__setjmp", "sigsetjmp", "__sigsetjmp", "vfork", "__vfork", "getcontext", "swapcontext"),
    *("__getcontext", "__swapcontext", "jump_fcontext", "make_fcontext", "ontop_fcontext"),
}
_BODY_LIMIT = 4 << 20
_X86_CALL = 0xE8
_ARM_CALL = 0x25
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


class FirstInstruction(StrEnum):
    """What the kernel does with the instruction that a probe replaces: it decides the cost of a call."""

    EMULATED = "emulated"
    """push, nop, jump, call: done by the kernel itself."""
    ENDBR64 = "endbr64"
    """The landing mark that gcc writes with -fcf-protection, as Ubuntu does by default: executed in single step."""
    STEPPED = "single-stepped"
    """Everything else: mov, sub, xor, lea…; executed elsewhere in single step, with an exception behind it."""
    UNKNOWN = "unknown"
    """On other processors than x86-64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A function and how it is probed."""

    function: Function
    first: FirstInstruction
    recursive: bool
    """It calls itself: entries are counted too, to see levels that the kernel leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether functions of a binary may be probed."""

    probed: tuple[Probed, ...]
    refusal: str = ""
    """Why not, a sentence; "" where they may."""
    advice: str = ""
    may_accept: bool = False
    """The user may take this risk for this binary: `judge` again with `accepted_unwinding`."""
    cautions: tuple[str, ...] = ()
    """What will be dear or not whole, sentences."""

    @property
    def allowed(self) -> bool:
        return not self.refusal


def judge(
    binary: Path, functions: Sequence[Function], *, accepted_unwinding: bool = False, pid: int | None = None
) -> Verdict:
    """Whether probes on `functions` of `binary` kill the program, lie, or cost much. A few milliseconds.

    pid: the program, where it runs or stands ready: its seccomp filter matters.

    Raises:
        TargetError: the file is not there, or damaged.
    """
    name = shown_name(binary)
    try:
        with Elf(binary) as elf:
            machine, loaded, go = elf.machine, elf.loaded, any(elf.has(section) for section in _GO)
            unwinds = "" if go else _unwinds(elf, name)
    except OSError as problem:
        raise TargetError(f"{binary} cannot be read: {problem.strerror}.") from problem
    except BrokenElf as broken:
        raise TargetError(broken.sentence, advice="Build it again.", details=broken.details) from broken
    except ValueError as problem:  # an empty file cannot be mapped
        raise TargetError(f"{binary} is empty.", advice="Build it again.") from problem
    probed = tuple(
        Probed(
            function=function,
            first=first_instruction(function.head, machine),
            recursive=calls_itself(_body(binary, function, loaded), function.address, machine),
        )
        for function in functions
    )
    refusal, advice, may_accept = _refusal(name, machine, functions, go=go, pid=pid)
    if not refusal and (twins := _twins(binary, functions)):
        refusal = f"{name} holds several functions with the symbol {twins}: bpftrace would probe any one of them."
        advice = "Choose its caller, or give them names of their own."
    cautions = [] if refusal else _cautions(probed)
    if unwinds and not refusal:
        if accepted_unwinding:
            cautions.insert(0, f"{unwinds}, and that is accepted: what unwinds through a probed function ends it.")
        else:
            what = "panic" if "panic" in unwinds else "exception"
            refusal = f"{unwinds}: the first {what} that passes through a probed function would kill it."
            advice = (
                'Build it with panic = "abort", or accept this for the binary.'
                if what == "panic"
                else "Accept this for the binary if no exception passes through these functions."
            )
            may_accept = True
    return Verdict(probed=probed, refusal=refusal, advice=advice, may_accept=may_accept, cautions=tuple(cautions))


def _refusal(
    name: str, machine: str, functions: Sequence[Function], *, go: bool, pid: int | None
) -> tuple[str, str, bool]:
    if go:
        return (
            f"{name} is a Go program: its runtime moves stacks and crashes on a return probe.",
            "Record it with perf instead, or use its own metrics.",
            False,
        )
    if machine not in ARCHITECTURES:
        return f"{name} is built for {machine}: functions are timed on x86-64 and arm64 alone.", "", False
    twice = next((f.name for f in functions if f.symbol.partition("@")[0] in _RETURN_TWICE), "")
    if twice:
        return f"{twice} returns more than once: a return probe on it would kill {name}.", "Choose its caller.", False
    if pid is not None and _filtered(pid) and _seccomp_kills(platform.release()):
        return (
            f"{name} runs under a seccomp filter, and this kernel ({platform.release()}) lets the filter kill a "
            "program that has a return probe.",
            "A kernel of 6.12.14, 6.13.3, 6.14 or later does not.",
            False,
        )
    return "", "", False


def _twins(binary: Path, functions: Sequence[Function]) -> str:
    """A chosen symbol that stands for several places, as static functions of C files may; "" where there is none."""
    if not functions:
        return ""
    table = functions_of(binary)
    wanted = {function.symbol for function in functions}
    seen: dict[str, int] = {}
    for symbol, address in zip(table.symbols, table.address.tolist(), strict=True):
        if symbol in wanted and seen.setdefault(symbol, address) != address:
            return symbol
    return ""


def _unwinds(elf: Elf, name: str) -> str:
    """Whether something may unwind through the binary's functions: the beginning of a sentence, "" where not.

    Rust with panic=abort needs no unwinder and does not import its entry; panic=unwind does, in the crate panic_unwind.
    This holds in stripped binaries too. A static C program carries an unwinder that nobody calls.
    """
    table, names = elf.symbols(".dynsym")
    imported = {_name(names, int(at)) for at in table["name"][table["section"] == 0].tolist() if at < len(names)}
    if "_Unwind_RaiseException" in imported or elf.find_name(rb"12panic_unwind"):
        return f"{name} unwinds its stack when it panics (Rust's default)"
    if (
        imported & {"__cxa_throw", "__gxx_personality_v0"}
        or any(library.startswith(("libstdc++.so", "libc++.so")) for library in elf.needed)
        or elf.find_name(rb"\x00(?:__cxa_throw|__gxx_personality_v0)[\x00@]")
    ):
        return f"{name} holds C++, which may throw exceptions"
    return ""


def _name(names: bytes, at: int) -> str:
    return names[at : names.find(b"\0", at)].decode("utf-8", "replace").partition("@")[0]


def _cautions(probed: Sequence[Probed]) -> list[str]:
    found = []
    if deep := [p.function.name for p in probed if p.recursive]:
        found.append(
            f"{_listed(deep)}: calls itself. Every level counts, with the time of those below; the kernel times the "
            f"outermost {NESTED_AT_MOST} nested calls, and deeper ones are told as lost."
        )
    if dear := [p.function.name for p in probed if p.first in (FirstInstruction.STEPPED, FirstInstruction.ENDBR64)]:
        found.append(
            f"{_listed(dear)}: begins with an instruction that the kernel must single-step. A call costs several times "
            "as much as one of a function that begins with push."
        )
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def first_instruction(head: bytes, machine: str) -> FirstInstruction:
    """The class of the first instruction of a function.

    As arch/x86/kernel/uprobes.c has it: branch_setup_xol_ops and push_setup_xol_ops.
    """
    if machine != "x86_64" or not head:
        return FirstInstruction.UNKNOWN
    if head.startswith(b"\xf3\x0f\x1e\xfa"):
        return FirstInstruction.ENDBR64
    first = head[0]
    second = head[1] if len(head) > 1 else 0
    push = 0x50 <= first <= 0x57 or (first == 0x41 and 0x50 <= second <= 0x57)
    nop = first == 0x90 or head.startswith((b"\x66\x90", b"\x0f\x1f", b"\x66\x0f\x1f", b"\x66\x66"))
    branch = first in (0xE8, 0xE9, 0xEB) or 0x70 <= first <= 0x7F or (first == 0x0F and 0x80 <= second <= 0x8F)
    return FirstInstruction.EMULATED if push or nop or branch else FirstInstruction.STEPPED


def calls_itself(body: bytes, address: int, machine: str) -> bool:
    """Whether a function calls its own start: what it does through pointers or other functions is not seen."""
    if machine == "x86_64":
        code = np.frombuffer(body, np.uint8)
        calls = np.flatnonzero(code[:-4] == _X86_CALL) if len(code) > 4 else np.empty(0, np.int64)
        # call rel32: the distance counts from behind the instruction.
        return any(at + 5 + int.from_bytes(body[at + 1 : at + 5], "little", signed=True) == 0 for at in calls.tolist())
    if machine == "aarch64":
        words = np.frombuffer(body[: len(body) // 4 * 4], "<u4")
        for at in np.flatnonzero(words >> 26 == _ARM_CALL).tolist():
            distance = int(words[at]) & 0x3FFFFFF
            if at + (distance - (1 << 26) if distance >> 25 else distance) == 0:
                return True
    return False


def _body(binary: Path, function: Function, loaded: Sequence[tuple[int, int, int]]) -> bytes:
    for begin, offset, size in loaded:
        if begin <= function.address < begin + size:
            try:
                with binary.open("rb") as file:
                    return os.pread(file.fileno(), min(function.size, _BODY_LIMIT), function.address - begin + offset)
            except OSError:
                return b""
    return b""


def _filtered(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return False
    return "\nSeccomp:\t2" in status


def _seccomp_kills(release: str) -> bool:
    """Return probes became a system call in 6.11; filters let it pass since commit cf6cb56ef244 of February 2025."""
    found = _RELEASE.match(release)
    if found is None:
        return False
    version = (int(found[1]), int(found[2]))
    patch = int(found[3] or 0)
    return version == (6, 11) or (version == (6, 12) and patch < 14) or (version == (6, 13) and patch < 3)
