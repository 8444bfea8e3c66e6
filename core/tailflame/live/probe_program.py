"""The bpftrace program of a function probe, composed from a checked path, symbols and numbers, and from nothing else.

Only the standard library is used here, and nothing of Tailflame: a helper that runs as root can take this file along
and trust it rather than its caller. `compose` raises ValueError for whatever it does not know to be harmless.

What the program does. Each return adds one to the HdrHistogram bucket (lowest 1, 2 digits, as in
`model.histogram.Histogram.from_indices`) of its latency: maps @h0, @h1, ... by function. They are cumulative and never
cleared: between printing and clearing, calls would be lost; the reader subtracts. A call is told by the address of its
return slot on the stack, so that recursion, other threads and missed returns do not confuse it. @l0 counts the returns
whose start was not seen; @e0 (of recursive functions) counts the starts, to see what the kernel leaves out.

Where slow calls are asked for, each return of a call of at least that many ns also prints one line, [function, thread,
start, end], at most `slow_per_s` of them; @d0 counts those that were left out for that. No other call ever prints: a
line costs several times what counting costs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

VERSION = 2
"""Of the program's output."""
KEYS = 16384
"""Entries of a map: latencies below 2^42 ns span 4,608, and calls that are open at one time need theirs."""
FUNCTIONS_AT_MOST = 16
INTERVAL_MS = (50, 10_000)
SLOW_NS = (0, 1 << 40)
"""From which duration on a call is slow; 0: none is."""
SLOW_PER_S = (1, 100_000)
SLOW_PER_S_USUAL = 2000
"""Lines a second of one function: at the 10 us that one costs, 2 % of a processor."""
ENVIRONMENT = {
    "BPFTRACE_MAP_KEYS_MAX": str(KEYS),
    # Its name from 0.21 on.
    "BPFTRACE_MAX_MAP_KEYS": str(KEYS),
}
END_MARK = 0
"""Printed behind the maps of an interval."""

# How far the stack pointer moves between the first instruction of a function and that behind its return.
_STACK = {"x86_64": 8, "aarch64": 0}
# No quote, no backslash, no colon (bpftrace would split there), no control character, and no wildcard. Everything else
# that a file system allows.
_PATH = re.compile(r"/[^\x00-\x1f\x7f\"\\:*?\[\]{}$]{1,3900}")
# Mangled names: C, C++, Rust legacy ("$LT$", ".."), Rust v0, and suffixes such as ".llvm.123", ".isra.0" or "@plt" not.
_SYMBOL = re.compile(r"[A-Za-z_$.][A-Za-z0-9_$.]{0,3999}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What a function probe is, in words and numbers that can be checked."""

    binary: str
    """Absolute; where the kernel finds the file that the program was started from."""
    symbols: tuple[str, ...]
    """Mangled; their maps are numbered in this order."""
    recursive: tuple[bool, ...]
    """By symbol: count the starts as well."""
    pid: int
    interval_ms: int
    machine: str = "x86_64"
    slow_ns: tuple[int, ...] = ()
    """By symbol: calls of this length and more are told one by one; 0 for none. Empty: of no symbol."""
    slow_per_s: int = SLOW_PER_S_USUAL
    """At most so many of each symbol are told in a second."""

    def program(self) -> str:
        """Raises ValueError."""
        return compose(
            self.binary, self.symbols, self.pid, self.interval_ms, recursive=self.recursive, machine=self.machine,
            slow_ns=self.slow_ns, slow_per_s=self.slow_per_s,
        )  # fmt: skip


def compose(
    binary: str,
    symbols: tuple[str, ...],
    pid: int,
    interval_ms: int,
    *,
    recursive: tuple[bool, ...] = (),
    machine: str = "x86_64",
    slow_ns: tuple[int, ...] = (),
    slow_per_s: int = SLOW_PER_S_USUAL,
) -> str:
    """The text of the program. ValueError where an argument is not what it must be."""
    check_path(binary)
    if not isinstance(symbols, tuple) or not 1 <= len(symbols) <= FUNCTIONS_AT_MOST:
        raise ValueError(f"a probe takes 1 to {FUNCTIONS_AT_MOST} functions")
    for symbol in symbols:
        if not isinstance(symbol, str) or _SYMBOL.fullmatch(symbol) is None:
            raise ValueError(f"this is no symbol that can be probed: {symbol!r}")
    if len(set(symbols)) != len(symbols):
        raise ValueError("a function is named twice")
    recursive = recursive or (False,) * len(symbols)
    if len(recursive) != len(symbols) or not all(isinstance(flag, bool) for flag in recursive):
        raise ValueError("there must be one recursion flag for each function")
    _check_number(pid, 1, 1 << 22, "the pid")
    _check_number(interval_ms, *INTERVAL_MS, "the interval in ms")
    if machine not in _STACK:
        raise ValueError(f"functions on {machine} cannot be timed")
    slow_ns = slow_ns or (0,) * len(symbols)
    if not isinstance(slow_ns, tuple) or len(slow_ns) != len(symbols):
        raise ValueError("there must be one slow duration for each function")
    for value in slow_ns:
        _check_number(value, *SLOW_NS, "the duration of a slow call in ns")
    _check_number(slow_per_s, *SLOW_PER_S, "the slow calls to tell in a second")
    most = max(slow_per_s * interval_ms // 1000, 1)
    prints = ["print((nsecs));"]
    clears = []
    parts = []
    resets = ""
    for number, (symbol, counted, slow) in enumerate(zip(symbols, recursive, slow_ns, strict=True)):
        told = _slow(number, slow, most) if slow else ""
        parts.append(_function(binary, symbol, number, pid, counted=counted, moved=_STACK[machine], told=told))
        # Starts first: calls go on between the prints, and more starts than returns would look like lost ones.
        maps = [*([f"@e{number}"] if counted else []), f"@h{number}", f"@l{number}"]
        prints += [f"print({name});" for name in maps]
        clears += [f"clear({name});" for name in (f"@s{number}", *maps)]
        if slow:
            prints.append(f"print(@d{number});")
            clears += [f"clear(@d{number});", f"clear(@r{number});"]
            resets += f" @r{number} = 0;"
    said = " ".join((*prints, f"print(({END_MARK}));"))
    return "\n".join(
        (
            # Read when all probes are on: bpftrace attaches first and looks at what was printed then.
            f"BEGIN {{ print(({VERSION})); }}",
            *parts,
            f"interval:ms:{interval_ms} {{ {said}{resets} }}",
            # The probes are off by now. What is left in a map would be printed once more.
            f"END {{ {said} {' '.join(clears)} }}",
            "",
        )
    )


def _slow(number: int, slow_ns: int, most: int) -> str:
    """Tells a slow call. Two processors may both see the last place free: the limit is one of cost, not a promise."""
    return f"""
    if ($v >= {slow_ns}) {{
      if (@r{number} < {most}) {{
        @r{number} = @r{number} + 1;
        print(({number}, tid, $s, $e));
      }} else {{
        @d{number} = count();
      }}
    }}"""


def _function(binary: str, symbol: str, number: int, pid: int, *, counted: bool, moved: int, told: str = "") -> str:
    place = f'"{binary}":"{symbol}"'
    slot = f'@s{number}[reg("sp"){f" - {moved}" if moved else ""}]'
    count = f" @e{number} = count();" if counted else ""
    # The return probe is written first: bpftrace attaches from the last to the first, and a start without a probe on
    # its return does no harm.
    return f"""\
uretprobe:{place} /pid == {pid}/ {{
  $s = {slot};
  if ($s != 0) {{
    $e = nsecs;
    $v = $e - $s;
    delete({slot});
    $t = $v >> 8; $b = (uint64)0;
    if ($t >= 4294967296) {{ $b = $b + 32; $t = $t >> 32; }}
    if ($t >= 65536) {{ $b = $b + 16; $t = $t >> 16; }}
    if ($t >= 256) {{ $b = $b + 8; $t = $t >> 8; }}
    if ($t >= 16) {{ $b = $b + 4; $t = $t >> 4; }}
    if ($t >= 4) {{ $b = $b + 2; $t = $t >> 2; }}
    if ($t >= 2) {{ $b = $b + 1; $t = $t >> 1; }}
    $b = $b + $t;
    @h{number}[($b << 7) + ($v >> $b)] = count();{told}
  }} else {{
    @l{number} = count();
  }}
}}
uprobe:{place} /pid == {pid}/ {{ @s{number}[reg("sp")] = nsecs;{count} }}"""


def check_path(binary: str) -> None:
    """ValueError where bpftrace could misread a path: one must give it another name then, by a symbolic link."""
    if not isinstance(binary, str) or _PATH.fullmatch(binary) is None or "//" in binary or "/../" in f"{binary}/":
        raise ValueError(f"this path cannot be given to bpftrace: {binary!r}")


def bpftrace_argv(bpftrace: str, request: ProbeRequest, *, follow: bool = True) -> tuple[str, ...]:
    """How bpftrace is called. -B none: a pipe is written to in blocks otherwise.

    follow: it ends by itself when the program does (-p; that does not filter in every version, hence the filters). It
    then takes the path as the program sees it, which is another one where the program lives in a container.
    """
    followed = ("-p", str(request.pid)) if follow else ()
    return (bpftrace, "-f", "json", "-B", "none", *followed, "-e", request.program())


def _check_number(value: int, low: int, high: int, what: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{what} must be a number from {low} to {high}")
