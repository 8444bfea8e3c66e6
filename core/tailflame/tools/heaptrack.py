"""heaptrack: every allocation with its call stack, in a program that is started or in one that runs.

Its own script is left alone: it takes a path with a blank for two, opens heaptrack's window when it is done, sees
nothing of what the program starts, and leaves its injection behind where /bin/sh is dash. What it does is little: a
library in the program writes a raw file, for which heaptrack_interpret finds the names (parse/heaptrack_raw.py).
"""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.binary import Kind, binary_facts
from tailflame.host.install import install_command
from tailflame.host.jemalloc import jemalloc_of
from tailflame.host.running import process_of
from tailflame.host.system import Host, ask
from tailflame.model.leak_patterns import parse_suppressions
from tailflame.parse.heaptrack_place import interpreter, library_folder
from tailflame.tools.base import (
    Capabilities,
    Capability,
    Family,
    OptionField,
    OptionKind,
    Plan,
    SlowDown,
    Step,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.failures import Failure, explained
from tailflame.tools.findings import Finding, Level

RESULT = "heaptrack.zst"
RAW = "heaptrack.raw"
MANY_RESULTS, MANY_RAW = "heaptrack.*.zst", "heaptrack.*.raw"
_USUAL_FOLDER = "/usr/lib/heaptrack"

FOLDER = OptionField(
    name="library-folder",
    title="Folder of heaptrack's libraries",
    tip="Where libheaptrack_preload.so and libheaptrack_inject.so are.",
    kind=OptionKind.TEXT,
    default=_USUAL_FOLDER,
    rare=True,
)

CHILDREN = OptionField(
    name="children",
    title="Also what it starts",
    tip="Every program that it starts is recorded in a file of its own. This takes heaptrack's newer way in, which it"
    " calls experimental: the addresses of malloc and its kin are overwritten in each loaded library.",
    kind=OptionKind.FLAG,
    default=False,
)

SUPPRESSIONS = OptionField(
    name="suppressions",
    title="Suppressions",
    tip="A file of leaks that are known and not to be counted, as the leak sanitizer takes it: lines such as"
    " leak:Cache::warm_up, by function, file or library; * stands for anything.",
    kind=OptionKind.TEXT,
    default="",
    rare=True,
)

# What the library in the program has to say: libheaptrack.cpp.
_OWN_LINES = re.compile(
    r"^(heaptrack (warning|debug).*|WARNING: Failed to (open /proc/self/statm|block signals|restore the signal mask"
    r"|read RSS value|enable per-thread|set libunwind).*|ERROR: failed to (open|lock) heaptrack output file .*"
    r"|ERROR: ld\.so: object '.*libheaptrack_(preload|inject)\.so' .*)$"
)


class Heaptrack:
    """Counts every allocation and every free."""

    name = "heaptrack"
    title = "heaptrack"
    answers = (
        "Where is memory allocated, how often, what is temporary, what is never freed, and what makes up the peak?"
    )
    cost = (
        "A library in the program writes down every allocation with its call stack; threads wait for each other there."
    )
    family = Family.MEMORY
    program = "heaptrack"
    launches = True
    attaches = True
    slow_down = SlowDown(typical=2.2, worst=43, worst_for="threads that do nothing but allocate")

    def probe(self, host: Host) -> Capabilities:
        script, folder = host.has_tool("heaptrack"), library_folder()
        if script is None and folder is None:
            return Capabilities(False, "heaptrack is not installed", fix=install_command("heaptrack"))
        version = _version(script) if script is not None else ""
        if folder is None:
            return Capabilities(
                False, "heaptrack's libraries are not found", fix=install_command("heaptrack"), version=version
            )
        if interpreter() is None:
            return Capabilities(
                False, "heaptrack_interpret is not found", fix=install_command("heaptrack"), version=version
            )
        attach = Capability("attaching", True)
        if host.has_tool("gdb") is None:
            attach = Capability("attaching", False, f"It takes gdb, which is not installed: {install_command('gdb')}")
        return Capabilities(True, version=version, options=(attach,))

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (CHILDREN, SUPPRESSIONS, FOLDER)

    def defaults(self, host: Host) -> ToolOptions:
        folder = library_folder()
        found = {} if folder is None or str(folder) == _USUAL_FOLDER else {FOLDER.name: str(folder)}
        return ToolOptions(tool=self.name, values=MappingProxyType(found))

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        folder = Path(options.text(FOLDER))
        attached = target.pid is not None
        many = options.flag(CHILDREN) and not attached
        raw, result = out / (MANY_RAW if many else RAW), out / (MANY_RESULTS if many else RESULT)
        known = options.text(SUPPRESSIONS).strip()
        rules = ("--suppressions", known) if known else ()
        interpret = (sys.executable, "-I", "-m", "tailflame.parse.heaptrack_raw", *rules)
        return Plan(
            tool=self.name,
            argv=_attaching(target, raw, folder) if attached else (*target.argv, *options.extra),
            target=target,
            out=out,
            artifacts=MappingProxyType({RESULT: result} if many else {RESULT: result, RAW: raw}),
            primary=RESULT,
            cwd=None if attached else target.cwd,
            env=MappingProxyType({} if attached else _preloading(target, out, folder, many=many)),
            duration_s=options.duration_s,
            own_lines=_OWN_LINES,
            target_is=TargetIs.RUNNING if attached else TargetIs.ITSELF,
            stop_signal=signal.SIGINT if attached else signal.SIGTERM,
            after=(
                Step(
                    title="finding the names of functions",
                    argv=(*interpret, "--all", str(out)) if many else (*interpret, str(raw), str(result)),
                    stdin=None if many else raw,
                ),
            ),
            leaves=(MANY_RESULTS, MANY_RAW) if many else (),
            grows=(raw.name,),
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        found = (
            _of_the_attached(target, target.pid, host) if target.pid is not None else _of_the_started(target, options)
        )
        return (*found, *_of_the_program(target), *_of_the_suppressions(options.text(SUPPRESSIONS).strip()))

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return explained(_FAILURES, output, plan)


def _version(script: Path) -> str:
    """ "heaptrack 1.4.0" without the name."""
    answer = ask(script, "--version")
    return answer.stdout.strip().removeprefix("heaptrack ") if answer.returncode == 0 else ""


def _preloading(target: Target, out: Path, folder: Path, *, many: bool) -> dict[str, str]:
    """many: the library that stays in the environment, and with it in all that the program starts."""
    library = str(folder / ("libheaptrack_inject.so" if many else "libheaptrack_preload.so"))
    others = target.env.get("LD_PRELOAD", "")
    return {
        "LD_PRELOAD": f"{library}:{others}" if others else library,
        # $$ stands for the number of the process there.
        "DUMP_HEAPTRACK_OUTPUT": str(out / (MANY_RAW.replace("*", "$$") if many else RAW)),
    }


def _attaching(target: Target, raw: Path, folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-I", "-m", "tailflame.host.heaptrack_attach", str(target.pid), str(raw), str(folder))


def _of_the_started(target: Target, options: ToolOptions) -> Iterator[Finding]:
    try:
        facts = binary_facts(target.binary)
    except TailflameError:
        return  # told for every tool
    name = target.name
    if _privileged(target.binary):
        yield Finding(
            Level.BLOCKER,
            f"{name} runs with rights of its own (setuid, setgid or capabilities).",
            "The system loads no library into such a program: nothing would be recorded.",
            "Record a copy of it: a copy has no such rights.",
        )
    if facts.kind is Kind.SCRIPT and not options.flag(CHILDREN):
        yield Finding(
            Level.WARNING,
            f"{name} is a script: heaptrack records its interpreter, {facts.interpreter}.",
            "What it starts is not recorded: heaptrack takes itself out of the environment that children get.",
            f"Choose the program that the script starts, or turn on “{CHILDREN.title}”.",
        )
    elif facts.kind is Kind.ELF and not facts.interpreter:
        yield Finding(
            Level.BLOCKER,
            f"{name} is linked statically, the C library included.",
            "No library can be loaded into it before its own: nothing of its heap would be seen.",
            "Link the C library dynamically (for Rust: the gnu target, not musl).",
        )


def _privileged(binary: Path) -> bool:
    try:
        if binary.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return bool(os.getxattr(binary, "security.capability"))
    except OSError:
        return False  # no such attribute, or a file system without them


def _of_the_program(target: Target) -> Iterator[Finding]:
    binary = target.binary if target.pid is None else Path("/proc", str(target.pid), "exe")
    jemalloc = jemalloc_of(binary)
    if jemalloc is not None and jemalloc.hidden_from_preloading:
        yield Finding(
            Level.BLOCKER,
            f"{target.name} links jemalloc statically.",
            "It never calls the malloc that heaptrack puts itself before: almost nothing of its heap would be seen.",
            "Record with jemalloc, which has a heap profiler of its own.",
        )


def _of_the_suppressions(named: str) -> Iterator[Finding]:
    if not named:
        return
    try:
        patterns, wrong = parse_suppressions(Path(named).read_text(errors="backslashreplace"))
    except OSError as error:
        yield Finding(
            Level.BLOCKER,
            f"The suppressions {named} cannot be read: {error.strerror}.",
            "",
            "Choose a file that exists.",
        )
        return
    if wrong or not patterns:
        what = f"{wrong:,} {'line' if wrong == 1 else 'lines'} of {named} are no suppressions of leaks."
        yield Finding(
            Level.WARNING,
            what if wrong else f"{named} holds no suppressions.",
            "Each line names one: leak:PATTERN.",
        )


def _of_the_attached(target: Target, pid: int, host: Host) -> Iterator[Finding]:
    if host.has_tool("gdb") is None:
        yield Finding(
            Level.BLOCKER,
            "gdb is not installed.",
            "heaptrack is loaded into a running program by gdb.",
            install_command("gdb"),
            tuple(install_command("gdb").split()) if install_command("gdb").startswith("sudo ") else (),
        )
    yield Finding(
        Level.WARNING,
        f"Attaching may crash {target.name}.",
        "gdb stops it for about a second and loads a library into it. heaptrack calls this unstable, above all after it"
        " was taken out again. Only what is allocated from then on is recorded.",
        "Start the program with heaptrack where you can, and attach to nothing that must not fail.",
    )
    process = process_of(pid)
    if process is not None and process.container:
        yield Finding(
            Level.BLOCKER,
            f"{target.name} runs in a container ({process.container}).",
            "It does not see heaptrack's library, nor the file that it would have to write.",
            "Record it inside the container.",
        )


# Most telling first.
_FAILURES = (
    Failure(
        re.compile(r"ERROR: failed to (?:open|lock) heaptrack output file (.*): (.*) \(\d+\)"),
        ToolDenied,
        "{plan.target.name} could not write heaptrack's file {1}: {2}.",
        "Choose a profiles folder that the program's user may write to.",
    ),
    Failure(
        re.compile(
            r"ERROR: ld\.so: object '([^']*libheaptrack_(?:preload|inject)\.so)' from LD_PRELOAD cannot be preloaded"
        ),
        ToolFailed,
        "heaptrack's library {1} cannot be loaded into {plan.target.name}.",
        "It must be of the same kind (32 or 64 bits) as the program. Installed: {install:heaptrack}",
    ),
    Failure(
        re.compile(r"ptrace: Operation not permitted|Could not attach to process"),
        ToolDenied,
        "The system does not let gdb attach to {plan.target.name}.",
        "It must be your own program; where only parents may trace: sudo sysctl kernel.yama.ptrace_scope=0",
    ),
    Failure(
        re.compile(r"No such file or directory: 'gdb'|gdb: No such file"),
        ToolMissing,
        "gdb is not installed.",
        "{install:gdb}",
    ),
    Failure(
        re.compile(r"^heaptrack: there is no process \d+\.$|ptrace: No such process", re.MULTILINE),
        ToolFailed,
        "{plan.target.name} has ended.",
        "Choose a program that runs.",
    ),
    Failure(
        re.compile(r"^heaptrack: heaptrack( could not be|'s library)(.*)$", re.MULTILINE),
        ToolFailed,
        "Heaptrack{1}{2}",
        "The program may be linked statically or in the middle of an allocation: try again, or start it with"
        " heaptrack.",
    ),
)
