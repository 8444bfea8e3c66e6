"""What valgrind's tools have in common: massif, DHAT, cachegrind and callgrind.

valgrind becomes the program by exec, so that it is found and signalled by the one process id; SIGTERM ends the program,
and the tool writes its file. It speaks the same in every locale: the program keeps its own.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.binary import Kind, binary_facts
from tailflame.host.install import install_command
from tailflame.host.jemalloc import jemalloc_of
from tailflame.host.system import Host, ask
from tailflame.tools.base import Capabilities, Plan, Target
from tailflame.tools.failures import Failure, explained
from tailflame.tools.findings import Finding, Level

PROGRAM = "valgrind"
# "==1234== Massif, a heap profiler", "--1234-- warning: ...", "**1234** output of a client request", and what the
# launcher says before there is a process id: "valgrind: ./engine: Permission denied".
OWN_LINES = re.compile(r"^((==\d+==|--\d+--|\*\*\d+\*\*)( .*)?|valgrind: .*)$")


def probe(host: Host) -> Capabilities:
    """Whether valgrind is here, and its version. Asks it once."""
    place = host.has_tool(PROGRAM)
    if place is None:
        return Capabilities(False, "valgrind is not installed", fix=install_command(PROGRAM))
    text = _version(place)
    if not text:
        return Capabilities(False, f"{place} does not run", fix=install_command(PROGRAM))
    return Capabilities(True, version=text)


def version(host: Host) -> tuple[int, ...]:
    """(3, 19, 0); empty where there is no valgrind."""
    return tuple(int(digits) for digits in re.findall(r"\d+", probe(host).version)[:3])


@functools.lru_cache(maxsize=8)
def _version(place: Path) -> str:
    """ "valgrind-3.19.0" and "valgrind-3.24.0.GIT" without the name."""
    answer = ask(place, "--version")
    return answer.stdout.strip().removeprefix("valgrind-") if answer.returncode == 0 else ""


def argv(tool: str, *options: str, target: Target) -> tuple[str, ...]:
    """The command line. Source files are named by their whole paths, so that they can be opened."""
    return (PROGRAM, f"--tool={tool}", "--fullpath-after=", *options, "--", *target.argv)


def file_name(path: Path) -> str:
    """A path as valgrind takes it for its files, in which %p, %n and %q{NAME} stand for something."""
    return str(path).replace("%", "%%")


def explain(output: str, plan: Plan) -> TailflameError | None:
    """valgrind's own words as one sentence and a fix; None where they tell of no failure."""
    return explained(_FAILURES, output, plan)


def checks(target: Target, host: Host, *, replaces_malloc: bool = False) -> Iterator[Finding]:
    """What speaks against valgrind on this program; reads the binary.

    replaces_malloc: the tool watches the heap by standing in for malloc, as massif and DHAT do.
    """
    try:
        facts = binary_facts(target.binary)
    except TailflameError:
        return  # told for every tool
    name = target.name
    if _privileged(target.binary):
        yield Finding(
            Level.BLOCKER,
            f"{name} runs with rights of its own (setuid, setgid or capabilities).",
            "valgrind refuses to start such a program.",
            "Record a copy of it: a copy has no such rights.",
        )
    if facts.kind is Kind.SCRIPT:
        yield Finding(
            Level.WARNING,
            f"{name} is a script: valgrind looks at its interpreter, {facts.interpreter}.",
            "What the script starts is not looked at.",
            "Choose the program that the script starts.",
        )
    if facts.debug_build:
        yield Finding(
            Level.NOTE,
            f"{name} is a debug build.",
            "Its many small calls make valgrind still slower.",
            "Record a release build that keeps its symbols.",
        )
    if not replaces_malloc:
        return
    jemalloc = jemalloc_of(target.binary)
    if jemalloc is not None and jemalloc.hidden_from_valgrind:
        yield hidden_heap(name, "valgrind replaces")
    elif facts.kind is Kind.ELF and not facts.interpreter:
        # There is no loader that could bring valgrind's own malloc along. Seen: massif counts 0 bytes.
        yield Finding(
            Level.BLOCKER,
            f"{name} is linked statically, the C library included.",
            "valgrind cannot stand in for its malloc: it would see nothing of the heap.",
            "Link the C library dynamically (for Rust: the gnu target, not musl), or count pages as heap.",
        )


def hidden_heap(name: str, how: str) -> Finding:
    """For tools that watch malloc from outside. how: what they do with it, "valgrind replaces"."""
    return Finding(
        Level.BLOCKER,
        f"{name} links jemalloc statically.",
        f"It never calls the malloc that {how}: almost nothing of its heap would be seen.",
        "Record with jemalloc, which has a heap profiler of its own.",
    )


def _privileged(binary: Path) -> bool:
    try:
        if binary.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return bool(os.getxattr(binary, "security.capability"))
    except OSError:
        return False  # no such attribute, or a file system without them


# Most telling first: a refusal of setuid also says "Permission denied".
_FAILURES = (
    Failure(
        re.compile(r"Warning: Can't execute setuid/setgid/setcap executable"),
        ToolDenied,
        "valgrind refuses {plan.target.name}, which runs with rights of its own (setuid, setgid or capabilities).",
        "Record a copy of it: a copy has no such rights.",
    ),
    Failure(
        re.compile(r"^valgrind: (?:Unknown|Bad) option:? *(.*)$", re.MULTILINE),
        ToolFailed,
        "valgrind does not take the option {1}.",
        "`valgrind --help` and its manual name those of this version.",
    ),
    # massif: "Error: can not open xtree output file `X'"; DHAT: "error: can't open DHAT output file 'X'"; cachegrind
    # and callgrind: "error: can't open cache simulation output file 'X'", "can not open X".
    Failure(
        re.compile(r"[Ee]rror: can(?: ?not|'t) open [^`'\n]*[`']([^'\n]*)'"),
        ToolFailed,
        "valgrind cannot write {1}.",
        "Choose a profiles folder that this user may write to, on a disk with space left.",
    ),
    Failure(
        re.compile(r"Fatal error at startup: a function redirection"),
        ToolMissing,
        "valgrind needs the symbols of the C library, and this system's are stripped.",
        "Install the package with its debug symbols: libc6-dbg on Debian and Ubuntu, glibc-debuginfo elsewhere.",
    ),
    Failure(
        re.compile(r"failed to start tool '([^']*)'"),
        ToolMissing,
        "This valgrind has no {1} for programs of this kind.",
        "Install valgrind as a whole ({install:valgrind}), for 32-bit programs also its 32-bit half.",
    ),
    Failure(
        re.compile(r"unhandled instruction bytes|Unrecognised instruction at address"),
        ToolFailed,
        "{plan.target.name} uses an instruction that this valgrind does not know.",
        "Build it for an older processor (without target-cpu=native or AVX-512), or use a newer valgrind.",
    ),
    Failure(
        re.compile(r"Use --max-threads=INT|VG_N_THREADS is too low"),
        ToolFailed,
        "{plan.target.name} has more threads than valgrind was told to expect.",
        "Add --max-threads=2000 to the further arguments.",
    ),
    Failure(
        re.compile(r"memory management: out of memory|Valgrind: FATAL: .*out of memory"),
        ToolFailed,
        "valgrind ran out of memory.",
        "Let the program work on less: under valgrind it takes about twice its usual memory.",
    ),
    # "valgrind: the 'impossible' happened:\n   LibVEX called failure_exit()." and
    # "valgrind: m_debuginfo/readdwarf.c:2761 (copy_tree): Assertion 'srcix >= 0' failed."
    *(
        Failure(
            pattern,
            ToolFailed,
            "valgrind failed by a fault of its own: {1}.",
            "A newer valgrind may know better.",
        )
        for pattern in (
            re.compile(r"the 'impossible' happened:\s*(.+?)\.*\s*$", re.MULTILINE),
            re.compile(r"^\w+: (\S+:\d+ \(\w+\): Assertion '.*' failed)", re.MULTILINE),
        )
    ),
    Failure(
        re.compile(r"^valgrind: (.+): (Permission denied|No such file or directory|[Cc]ommand not found)$", re.M),
        ToolFailed,
        "valgrind could not start the program: {1}: {2}.",
        "Check that the file exists and is executable.",
    ),
)
