"""cachegrind: what every source line costs in instructions, cache misses and mispredicted branches, by simulation.

The simulation of caches is asked for in so many words: valgrind 3.21 leaves it out otherwise. So are caches of other
machines: what is recorded on a laptop may be meant for a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError
from tailflame.host.system import Host
from tailflame.tools import valgrind
from tailflame.tools.base import (
    Capabilities,
    Family,
    OptionField,
    OptionKind,
    OptionValue,
    Plan,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.findings import Finding, Level

RESULT = "cachegrind.out"
THIS = "this"


@dataclass(frozen=True, slots=True)
class Cache:
    """size: bytes; ways: the associativity; line: bytes. valgrind takes only powers of two for sets and lines."""

    size: int
    ways: int
    line: int = 64

    @property
    def text(self) -> str:
        """As valgrind takes it: "32768,8,64"."""
        return f"{self.size},{self.ways},{self.line}"

    @property
    def problem(self) -> str:
        """Why valgrind would refuse it, "" where it would not."""
        if self.line < 16 or self.line & (self.line - 1):
            return f"a line of {self.line} bytes is no power of two from 16 on"
        sets, rest = divmod(self.size, max(self.ways, 1) * self.line)
        if self.ways < 1 or rest or sets < 1:
            return f"{self.size} bytes are not so many lines of {self.line} bytes, {self.ways} to a set"
        if sets & (sets - 1):
            return f"{sets} sets are no power of two"
        return ""


_K, _M = 1 << 10, 1 << 20
# First level and the whole last level that one core's work can fill. AMD: Software Optimization Guides for family 19h
# (56665, 57647) and 1Ah (58455): L3 is shared by the 8 cores of a complex. Intel: Optimization Reference Manual
# (248966), chapters on Ice Lake and Golden Cove: 1.5 and 1.875 MiB of L3 for each core, here of 32 cores. Arm: Neoverse
# V1 TRM (101427); AWS states 32 MiB of system level cache for Graviton3.
SERVERS: dict[str, tuple[str, Cache, Cache, Cache]] = {
    "epyc-milan": ("AMD EPYC 7003, 9004 (Zen 3, Zen 4)", Cache(32 * _K, 8), Cache(32 * _K, 8), Cache(32 * _M, 16)),
    "epyc-turin": ("AMD EPYC 9005 (Zen 5)", Cache(32 * _K, 8), Cache(48 * _K, 12), Cache(32 * _M, 16)),
    "xeon-icelake": ("Intel Xeon, 3rd generation, 32 cores", Cache(32 * _K, 8), Cache(48 * _K, 12), Cache(48 * _M, 12)),
    "xeon-sapphire": (
        "Intel Xeon, 4th generation, 32 cores",
        Cache(32 * _K, 8),
        Cache(48 * _K, 12),
        Cache(60 * _M, 15),
    ),
    "graviton3": ("AWS Graviton3 (Neoverse V1)", Cache(64 * _K, 4), Cache(64 * _K, 4), Cache(32 * _M, 16)),
}

CACHES = OptionField(
    name="caches",
    title="Caches of",
    tip="Whose caches are simulated: this processor's, or those of the server it will run on.",
    kind=OptionKind.CHOICE,
    default=THIS,
    choices=((THIS, "this processor"), *((key, words) for key, (words, *_caches) in SERVERS.items())),
)
LAST_LEVEL = OptionField(
    name="last-level",
    title="Last-level cache",
    tip="Instead of the one that the kernel tells, or that was chosen: size, ways, bytes of a line, as in 32M,16,64.",
    kind=OptionKind.TEXT,
    default="",
)
_FOUND = "found-last-level"
"""Among the values of options what the kernel tells of this processor's: no option, but what holds without one."""
_WHOLE_SOCKET = 128 * _M
"""Bytes of a last-level cache that is more than a program has to itself."""
BRANCHES = OptionField(
    name="branches",
    title="Branch prediction",
    tip="Also counts branches, and those that a simple predictor gets wrong. About a tenth slower.",
    kind=OptionKind.FLAG,
    default=True,
)
_CACHE_TEXT = re.compile(r"\s*(\d{1,12})\s*([KMG])?(?:i?B)?\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Cachegrind:
    """Simulates the caches under a program."""

    name = "cachegrind"
    title = "cachegrind"
    answers = "Which lines miss the caches or mispredict branches, and how many instructions does each execute?"
    cost = "It runs on a simulated processor, one thread at a time: several times slower, and no timing means anything."
    family = Family.CACHES
    program = valgrind.PROGRAM
    launches = True
    attaches = False
    slow_down = SlowDown(typical=7.3, worst=85, worst_for="threads that do nothing but allocate")

    def probe(self, host: Host) -> Capabilities:
        return valgrind.probe(host)

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (CACHES, LAST_LEVEL, BRANCHES)

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name, values=found_caches(host))

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        result = out / RESULT
        words = ["--cache-sim=yes"]
        if options.flag(BRANCHES):
            words.append("--branch-sim=yes")
        words += cache_words(options)
        words.append(f"--cachegrind-out-file={valgrind.file_name(result)}")
        return Plan(
            tool=self.name,
            argv=valgrind.argv("cachegrind", *words, *options.extra, target=target),
            target=target,
            out=out,
            artifacts=MappingProxyType({RESULT: result}),
            primary=RESULT,
            cwd=target.cwd,
            duration_s=options.duration_s,
            own_lines=valgrind.OWN_LINES,
            mirrors_target=True,
            target_is=TargetIs.ITSELF,
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return (*valgrind.checks(target, host), *cache_checks(options))

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return valgrind.explain(output, plan)


def found_caches(host: Host) -> dict[str, OptionValue]:
    """What the kernel tells of this processor's last level, as a value of the options; nothing where valgrind cannot
    simulate it. valgrind asks the processor, which is wrong where that is split, or shared by virtual machines.
    """
    cache = read_cache(host.last_level)
    return {_FOUND: host.last_level} if cache is not None and not cache.problem else {}


def cache_words(options: ToolOptions) -> tuple[str, ...]:
    """--I1, --D1 and --LL, as far as they are not left to valgrind."""
    words: list[str] = []
    server = SERVERS.get(options.text(CACHES))
    last = read_cache(options.text(LAST_LEVEL))
    if server is not None:
        _words, first_code, first_data, usual = server
        words += [f"--I1={first_code.text}", f"--D1={first_data.text}"]
        last = last or usual
    last = last or _found(options)
    if last is not None:
        words.append(f"--LL={last.text}")
    return tuple(words)


def _found(options: ToolOptions) -> Cache | None:
    return read_cache(str(options.values.get(_FOUND, "")))


def read_cache(text: str) -> Cache | None:
    """ "32M,16,64"; None where it is none."""
    found = _CACHE_TEXT.fullmatch(text)
    if found is None:
        return None
    return Cache(int(found[1]) * _FACTORS[(found[2] or "").upper()], int(found[3]), int(found[4]))


def cache_checks(options: ToolOptions) -> Iterator[Finding]:
    """What speaks against the caches that are asked for."""
    text = options.text(LAST_LEVEL).strip()
    cache = read_cache(text)
    if text and cache is None:
        yield Finding(
            Level.BLOCKER,
            "The last-level cache cannot be read.",
            "It is a size, ways, and the bytes of a line.",
            "Write it as 32M,16,64, or leave it empty.",
        )
    elif cache is not None and cache.problem:
        yield Finding(
            Level.BLOCKER,
            "valgrind cannot simulate this last-level cache.",
            f"Of {text}: {cache.problem}.",
            "Take the nearest size with a power of two of sets: 32M,16,64.",
        )
    elif not text and options.text(CACHES) == THIS:
        found = _found(options)
        if found is None:
            yield Finding(
                Level.NOTE,
                "The last-level cache is the one that valgrind finds.",
                "Of split and virtual processors it finds a wrong one; the result says which was simulated.",
                "Say the right one: 32M,16,64. `lscpu -C` lists them.",
            )
        elif found.size > _WHOLE_SOCKET:
            yield Finding(
                Level.NOTE,
                f"A last-level cache of {found.size // _M:,} MiB is simulated.",
                "So much is a whole socket's: a program has less of it, and misses it more often.",
                "Say what it has: 32M,16,64.",
            )
