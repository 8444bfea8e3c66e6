"""jemalloc's own heap profiler: samples of what is in use, while the program runs at nearly full speed.

The program has jemalloc in it, or gets it preloaded in the place of malloc. It writes a dump every so many bytes of
allocation and when it ends; those of a run are joined into one file (run/jemalloc_dumps.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, ToolFailed, ToolMissing
from tailflame.host.binary import Kind, binary_facts
from tailflame.host.install import install_command
from tailflame.host.jemalloc import jemalloc_of, preload_library
from tailflame.host.system import Host
from tailflame.host.with_jemalloc import NO_LIBRARY, preloaded
from tailflame.tools.base import (
    Capabilities,
    Capability,
    Family,
    OptionField,
    OptionKind,
    Plan,
    Request,
    SlowDown,
    Step,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.findings import Finding, Level

RESULT = "jemalloc.heap"
PREFIX = "jeprof"
LIBRARY = "libjemalloc.so.2"

FROM = OptionField(
    name="jemalloc",
    title="jemalloc",
    tip="Where the program has it from. Rust programs link it by tikv-jemallocator, which reads _RJEM_MALLOC_CONF.",
    kind=OptionKind.CHOICE,
    default="auto",
    choices=(
        ("auto", "The program's own where it links one, otherwise preloaded"),
        ("linked", "The program's own"),
        ("preload", f"{LIBRARY} of this system, in the place of malloc"),
    ),
)
SAMPLE = OptionField(
    name="lg-sample",
    title="One sample every 2^N bytes, N",
    tip="On average: 19 is 512 KiB, 17 is 128 KiB, 12 is 4 KiB. The lower, the finer and the slower.",
    kind=OptionKind.WHOLE,
    default=17,
    low=0,
    high=40,
)
INTERVAL = OptionField(
    name="lg-interval",
    title="A dump every 2^N bytes, N",
    tip="So many bytes of allocation: 28 is 256 MiB, 30 is 1 GiB. 0: no dump before the end.",
    kind=OptionKind.WHOLE,
    default=28,
    low=0,
    high=62,
)
FINAL = OptionField(
    name="final",
    title="A dump at the end",
    tip="When the program returns from main or calls exit; a signal that ends it leaves none.",
    kind=OptionKind.FLAG,
    default=True,
)
ACCUMULATED = OptionField(
    name="accum",
    title="All allocations too",
    tip="Not only what is in use, but all that ever was: shows churn. Takes some memory for each place of allocation.",
    kind=OptionKind.FLAG,
    default=True,
)
LEAK = OptionField(
    name="leak",
    title="Print what leaks",
    tip="jemalloc prints a summary at the end; the dump at the end holds the same, with its stacks.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
GROWTH = OptionField(
    name="gdump",
    title="A dump at each new high",
    tip="Whenever more memory is mapped than ever before. That can be thousands of files in a second.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
_CALL = 'call (int){prefix}mallctl("prof.dump", 0, 0, 0, 0)'
DUMP = Request(
    name="dump",
    title="Dump now",
    tip="Lets the debugger gdb call jemalloc in the program, which stands still for about a second.",
    argv=(
        *("gdb", "-p", "{pid}", "-batch", "-nx"),
        *("-ex", _CALL.replace("{prefix}", ""), "-ex", _CALL.replace("{prefix}", "_rjem_")),
    ),
)
_OWN_LINES = re.compile(r"^(<jemalloc>: .*|ERROR: ld\.so: object .*|tailflame: .*)$")
_INVALID = re.compile(r"<jemalloc>: Invalid conf (?:pair|value)?:? ?([^\n]*)")
_MALFORMED = re.compile(r"<jemalloc>: (?:Conf string ends|Malformed conf string)")
_NOT_WRITTEN = re.compile(r'<jemalloc>: failed to open "([^"\n]*)"')
_NOT_PRELOADED = re.compile(r"ERROR: ld\.so: object '([^'\n]*)' from LD_PRELOAD cannot be preloaded[^:]*")


class JemallocProfiler:
    """Samples of the heap, by the allocator itself."""

    name = "jemalloc"
    title = "jemalloc"
    answers = "Who holds the memory, and who allocates most, at nearly full speed?"
    cost = "Next to nothing at one sample in 128 KiB; another allocator may behave otherwise than the usual one."
    family = Family.MEMORY
    program = "jemalloc"
    launches = True
    attaches = False
    slow_down = SlowDown(typical=1.05, worst=1.5, worst_for="threads that do nothing but allocate")

    def probe(self, host: Host) -> Capabilities:
        """It is available in any case: a program may bring it along."""
        if preload_library() is not None:
            return Capabilities(True)
        missing = Capability(f"{FROM.name}=preload", False, f"{LIBRARY} is not installed")
        return Capabilities(True, options=(missing,))

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (FROM, SAMPLE, INTERVAL, FINAL, ACCUMULATED, LEAK, GROWTH)

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name)

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        configuration = configured(options, out)
        argv, env = target.argv, dict[str, str]()
        match options.text(FROM):
            case "linked":
                env = {"MALLOC_CONF": configuration, "_RJEM_MALLOC_CONF": configuration}
            case "preload":
                # By its name: the loader knows where libraries are.
                env = preloaded(LIBRARY, configuration, target.env.get("LD_PRELOAD", ""))
            case _:
                argv = (sys.executable, "-m", "tailflame.host.with_jemalloc", configuration, "--", *argv)
        joining = (sys.executable, "-m", "tailflame.run.jemalloc_dumps", str(out), str(out / RESULT))
        return Plan(
            tool=self.name,
            argv=argv,
            target=target,
            out=out,
            artifacts=MappingProxyType({RESULT: out / RESULT}),
            primary=RESULT,
            cwd=target.cwd,
            env=MappingProxyType(env),
            duration_s=options.duration_s,
            mirrors_target=True,
            own_lines=_OWN_LINES,
            target_is=TargetIs.ITSELF,
            after=(Step(title="joining the dumps", argv=joining),),
            leaves=(f"{PREFIX}.*.heap",),
            grows=(f"{PREFIX}.*.heap",),
            requests=(DUMP,),
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return tuple(self._checks(target, options))

    def _checks(self, target: Target, options: ToolOptions) -> Iterator[Finding]:
        yield from _of_allocator(target, options.text(FROM))
        if not options.flag(FINAL) and not options.whole(INTERVAL) and not options.flag(GROWTH):
            yield Finding(
                Level.BLOCKER,
                "No dump would be written.",
                "There is none at the end, and none before.",
                "Ask for a dump at the end, or for one every so many bytes.",
            )
        elif options.flag(FINAL) and (options.duration_s is not None or not options.whole(INTERVAL)):
            yield Finding(
                Level.NOTE,
                "The dump at the end is written when the program ends by itself.",
                "A program that lets SIGTERM end it, when it is stopped, leaves only the dumps before.",
                "Let it return from main on SIGTERM, or ask for a dump every so many bytes.",
            )
        if options.flag(GROWTH):
            yield Finding(
                Level.WARNING,
                "A dump at each new high can be thousands of files.",
                "A program whose memory grows wrote 3,600 of them in a second, and was slowed down by it.",
                "Ask for a dump every so many bytes instead.",
            )
        if options.whole(SAMPLE) < 12:
            yield Finding(
                Level.WARNING,
                "So many samples slow the program down.",
                "At one in 4 KiB (12), threads that only allocate run 25 times slower.",
                "17 is enough for most programs.",
            )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        if NO_LIBRARY in output:
            return ToolMissing(
                f"{plan.target.name} links no jemalloc, and {LIBRARY} is not installed.",
                advice=install_command("jemalloc"),
                details=output,
            )
        if (refused := _NOT_PRELOADED.search(output)) is not None:
            return ToolFailed(
                f"{refused[1]} could not be preloaded.",
                advice=f"Is it installed, and for programs of this kind? {install_command('jemalloc')}",
                details=output,
            )
        if (invalid := _INVALID.search(output)) is not None:
            if invalid[1].startswith("prof"):
                return ToolFailed(
                    f"The jemalloc in {plan.target.name} has no profiler ({invalid[1]}).",
                    advice="Build it with one: tikv-jemallocator has the feature “profiling”, jemalloc --enable-prof.",
                    details=output,
                )
            return ToolFailed(
                f"jemalloc does not know the setting {invalid[1]}.",
                advice="Is MALLOC_CONF set in the environment, or in the further arguments?",
                details=output,
            )
        if _MALFORMED.search(output):
            return ToolFailed(
                "jemalloc could not read its settings.",
                advice="Choose a profiles folder without a comma in its path.",
                details=output,
            )
        if (written := _NOT_WRITTEN.search(output)) is not None:
            return ToolFailed(
                f"jemalloc could not write {written[1]}.",
                advice="Choose a profiles folder that the program may write to, on a disk with space left.",
                details=output,
            )
        return ToolFailed(
            f"{plan.target.name} wrote no dump of its heap.",
            advice="A program that a signal ends, or that calls _exit, writes none at its end: ask for a dump every so"
            " many bytes. One that has no jemalloc writes none at all.",
            details=output,
        )


def configured(options: ToolOptions, out: Path) -> str:
    """MALLOC_CONF: "prof:true,lg_prof_sample:17,…". A comma in the path would end it: there is no way to write one."""
    words = ["prof:true", f"lg_prof_sample:{options.whole(SAMPLE)}"]
    if options.whole(INTERVAL):
        words.append(f"lg_prof_interval:{options.whole(INTERVAL)}")
    for name, field in (
        ("prof_final", FINAL),
        ("prof_accum", ACCUMULATED),
        ("prof_leak", LEAK),
        ("prof_gdump", GROWTH),
    ):
        if options.flag(field):
            words.append(f"{name}:true")
    return ",".join([*words, *options.extra, f"prof_prefix:{out / PREFIX}"])


def _of_allocator(target: Target, wanted: str) -> Iterator[Finding]:
    """Whether the program has the jemalloc that is asked for; reads it."""
    try:
        facts = binary_facts(target.binary)
    except TailflameError:
        return  # told for every tool
    name, found = target.name, jemalloc_of(target.binary)
    if found is not None and wanted != "preload":
        where = "in itself" if found.static else "as a library"
        yield Finding(Level.OK, f"{name} has jemalloc {where}.", f"It reads {found.variable}.")
        return
    if found is not None and found.static:
        yield Finding(
            Level.BLOCKER,
            f"{name} links jemalloc statically.",
            "It never calls the malloc of a preloaded one: that would see almost nothing of its heap.",
            f"Choose the program's own jemalloc (--set {FROM.name}=linked).",
        )
        return
    if wanted == "linked":
        yield Finding(
            Level.BLOCKER,
            f"{name} links no jemalloc.",
            "There is nobody to write dumps.",
            f"Let it be preloaded (--set {FROM.name}=preload), or build the program with it.",
        )
        return
    if preload_library() is None:
        command = install_command("jemalloc")
        argv = tuple(command.split()) if command.startswith("sudo ") else ()
        yield Finding(
            Level.BLOCKER, f"{LIBRARY} is not installed.", f"{name} has no jemalloc of its own.", command, argv
        )
    if facts.kind is Kind.ELF and not facts.interpreter:
        yield Finding(
            Level.BLOCKER,
            f"{name} is linked statically, the C library included.",
            "Nothing can be preloaded into it.",
            "Link jemalloc into it, or the C library dynamically.",
        )
