"""One line of strace's log, read exactly: quotes, brackets, and every second form of a line.

    31129 1795654204.941132 openat(AT_FDCWD</tmp>, "/etc/ld.so.cache", O_RDONLY) = 3</etc/ld.so.cache> <0.000023>
    31130 1795654205.272315 write(3</tmp/x/journal.jsonl>, "{\\"timestamp"..., 281 <unfinished ...>
    31130 1795654205.272401 <... write resumed>) = 281 <0.000086>
    31129<obook> 00:50:47.613290 (+     0.000020) [   9] [00007f96169539b3] mmap(NULL, 8192, …) = 0x7f96 <0.000014>
    [pid 31130] +++ exited with 0 +++

A string may hold what looks like a result (`write(1, ") = 3 <0.1>", 11) = 11`), so the arguments are walked with their
quotes. https://github.com/strace/strace/blob/v6.1/src/strace.c (printleader), src/syscall.c (syscall_exiting_trace)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import IntEnum

from tailflame.parse.strace_calls import BY_PATH, FORKS, NO_FD, NO_PLACE

HIGHEST_PID = 1 << 22
"""PID_MAX_LIMIT of 64-bit Linux."""


class Kind(IntEnum):
    """What a line is. A call is one line, or an OPENED one and, later, a CLOSED one of the same thread."""

    OTHER = 0
    CALL = 1
    OPENED = 2
    CLOSED = 3
    EVENT = 4
    FRAME = 5
    """A line of a stack (-k), innermost first: " > /lib/libc.so.6(__write+0x10) [0xf8350]"."""


LEADER = re.compile(
    r"(?:\[pid\s+(?P<inner>\d{1,7})(?:<(?P<inner_comm>[^>]*)>)?\] |(?P<pid>\d{1,7})(?:<(?P<comm>[^>]*)>)? +(?=\S))?"
    r"(?:(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d(?:\.\d{1,9})?) |(?P<unix>\d{9,12}(?:\.\d{1,9})?) )?"
    r"(?: *(?P<since>\d{1,8}(?:\.\d{1,9})?) (?=\S)|\(\+ *(?P<after>\d{1,8}(?:\.\d{1,9})?)\) )?"
    r"(?P<number>\[ *(?:\d{1,5}|\?+)\] )?(?P<address>\[[0-9a-f?]{8,16}\] )?",
    re.ASCII,
)
_CALL = re.compile(r"([a-z_][a-z0-9_]{0,63}(?:#\d{1,6})?)\(", re.ASCII)
_RESUMED = re.compile(r"<\.\.\. ([a-z_][a-z0-9_]{0,63}(?:#\d{1,6})?) resumed>(.*)", re.ASCII | re.DOTALL)
_SIGNAL = re.compile(r"(---|\+\+\+) (.*) \1")
_SUPERSEDED = re.compile(r"superseded by execve in pid (\d{1,7})", re.ASCII)
_MODE = re.compile(r"\[ Process PID=(\d{1,7}) runs in (\S+ bit|x32) mode\. \]", re.ASCII)
_FRAME = re.compile(
    r" > (?:(?P<module>.*?)(?:\((?P<symbol>.*)\+0x[0-9a-f]+\)|\(\))? \[0x[0-9a-f]+\]|(?P<words>.*))", re.ASCII
)
# What matters in arguments: strings, what descriptors stand for, and round brackets.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|<(?:->|[^<>"]|<[^<>"]*>)*(?:"(?:[^"\\]|\\.)*"(?:->|[^<>"])*)*>|/\*.*?\*/|[()]')
_RESULT = re.compile(
    r"\s*= (?P<value>\?|-?\d+|0x[0-9a-f]+|0b?[0-7]+)(?:<(?P<place>(?:->|[^<>])*)(?:<[^<>]*>)?>)?"
    r"(?: (?P<error>E[A-Z0-9_]{1,30})(?= |$))?",
    re.ASCII,
)
TIME = re.compile(r" <(\d{1,9}(?:\.\d{1,9})?)>\s*$", re.ASCII)
_LAST_RESULT = re.compile(r"\)\s+= (?:\?|-?\d|0x)", re.ASCII)
# "3</path>", "1</dev/pts/0<char 136:0>>", "5<TCP:[127.0.0.1:1->127.0.0.1:2]>"
_FIRST_FD = re.compile(r"(-?\d{1,9})(?:<((?:->|[^<>])*)(?:<[^<>]*>)?>)?(?=[,)\s]|$)", re.ASCII)
_FIRST_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FUTEX = re.compile(r"(0x[0-9a-f]{1,16}),", re.ASCII)


MOST_TEXT = 2000
"""Characters of a call's text that are kept."""


@dataclass(slots=True)
class Line:
    """tid: -1 where the line has none. start_s: NaN without a time; `stamp_ns`: the same since 1970, of -ttt, -1 for
    others; `since_s`: of -r, since the line before.

    text: of an EVENT its words, of a call its arguments. fd, place: of the call, -1 and "" for none; where it is
    BY_PATH and has no descriptor, the place is its path. error: "EAGAIN", "" for none. duration_s: NaN where it was not
    timed. returned: False for a call that never came back. value: what it gave, None for "?".
    mode: "32 bit" where the line says that the process runs so now, "" where it says nothing of it.
    """

    kind: Kind = Kind.OTHER
    tid: int = -1
    comm: str = ""
    start_s: float = math.nan
    stamp_ns: int = -1
    since_s: float = math.nan
    name: str = ""
    text: str = ""
    fd: int = -1
    place: str = ""
    error: str = ""
    duration_s: float = math.nan
    returned: bool = False
    value: int | None = None
    superseded: int = -1
    mode: str = ""
    module: str = ""


def read_line(text: str) -> Line:
    """Any line; OTHER where it is none of strace's."""
    if text.startswith(" > "):
        return _frame(text)
    line = Line()
    leader = LEADER.match(text)
    assert leader is not None  # every part may be missing
    at = leader.end()
    _lead(line, leader)
    rest = text[at:]
    if (call := _CALL.match(rest)) is not None:
        _call(line, call[1], rest[call.end() :])
    elif (resumed := _RESUMED.match(rest)) is not None:
        line.kind, line.name = Kind.CLOSED, resumed[1]
        # "<... read resumed> <unfinished ...>) = ?": it was killed while it waited.
        _finish(line, resumed[2].removeprefix(" <unfinished ...>"), depth=1)
        if line.kind is Kind.OTHER:
            line.kind = Kind.CLOSED
            line.returned = False
    elif (signal := _SIGNAL.fullmatch(rest.rstrip())) is not None:
        line.kind, line.text = Kind.EVENT, signal[2][:MOST_TEXT]
        if (gone := _SUPERSEDED.fullmatch(signal[2])) is not None:
            line.superseded = int(gone[1])
    elif (mode := _MODE.fullmatch(rest.rstrip())) is not None:
        line.tid, line.mode = int(mode[1]), mode[2]
    return line


def _lead(line: Line, leader: re.Match[str]) -> None:
    tid = leader["inner"] or leader["pid"]
    if tid is not None and int(tid) <= HIGHEST_PID:
        line.tid = int(tid)
        line.comm = leader["inner_comm"] or leader["comm"] or ""
    if leader["h"] is not None:
        line.start_s = 3600.0 * int(leader["h"]) + 60.0 * int(leader["m"]) + float(leader["s"])
    elif leader["unix"] is not None:
        line.start_s = float(leader["unix"])
        whole, _, fraction = leader["unix"].partition(".")
        line.stamp_ns = int(whole) * 10**9 + int(fraction.ljust(9, "0"))
    if (since := leader["since"] or leader["after"]) is not None:
        line.since_s = float(since)


def _call(line: Line, name: str, rest: str) -> None:
    line.kind, line.name = Kind.CALL, name
    stripped = rest.rstrip()
    # "<unfinished ...>", "<detached ...>", "<pid changed to 4711 ...>": the end is on another line, or on none. As is
    # "restart_syscall(<... resuming interrupted read ...>) = 0", where that stands in the middle.
    if stripped.endswith("...>") and (begin := stripped.rfind("<")) >= 0 and stripped[begin + 1 : begin + 2] != ".":
        line.kind = Kind.OPENED
        line.text = stripped[:begin].removesuffix(" ")[:MOST_TEXT]
    else:
        _finish(line, rest, depth=1)
        if line.kind is Kind.OTHER:
            return
    _about(line)


def _finish(line: Line, rest: str, *, depth: int) -> None:
    """Reads from within the arguments to the end; a line that does not end so becomes OTHER."""
    timed = TIME.search(rest)
    if timed is not None:
        rest = rest[: timed.start()]
    result = None
    for token in _TOKEN.finditer(rest):
        if token[0] == "(":
            depth += 1
        elif token[0] == ")":
            depth -= 1
            if not depth:
                result = _RESULT.match(rest, token.end())
                end = token.start()
                break
    if result is None:
        # A decoder that leaves a bracket open: then what stands last is the result.
        ends = [found.start() for found in _LAST_RESULT.finditer(rest)]
        if not ends:
            line.kind = Kind.OTHER
            return
        end = ends[-1]
        result = _RESULT.match(rest, end + 1)
        if result is None:
            line.kind = Kind.OTHER
            return
    line.text = rest[:end][:MOST_TEXT]
    value = result["value"]
    line.error = result["error"] or ""
    # "= ? ERESTARTSYS (To be restarted if SA_RESTART is set)" has come back; "= ?" and "= ? <unavailable>" have not.
    line.returned = value != "?" or bool(line.error)
    if value != "?":
        line.value = int(value, 16) if value.startswith("0x") else int(value) if value.lstrip("-").isdigit() else None
    if timed is not None and line.returned:
        line.duration_s = float(timed[1])
    if result["place"] is not None and line.value is not None and line.name not in FORKS and line.name not in NO_PLACE:
        line.fd, line.place = _small(line.value), result["place"]


def _about(line: Line) -> None:
    """Which descriptor, file or lock a call is about, by its arguments; what they do not say, its result may have."""
    name, text = line.name, line.text
    if name not in NO_FD:
        first = _FIRST_FD.match(text)
        if first is not None and (fd := _small(int(first[1]))) >= 0:
            line.fd, line.place = fd, first[2] or ""
            return
    if name == "futex":
        word = _FUTEX.match(text)
        line.place = f"futex {word[1]}" if word is not None else ""
    elif name in BY_PATH and not line.place:
        path = _FIRST_PATH.search(text)
        line.place = path[1] if path is not None else ""


def _small(number: int) -> int:
    return number if 0 <= number < 2**31 else -1


def _frame(text: str) -> Line:
    frame = _FRAME.fullmatch(text.rstrip())
    if frame is None:
        return Line(kind=Kind.FRAME, text=text[3:].strip()[:MOST_TEXT])
    if frame["words"] is not None:
        return Line(kind=Kind.FRAME, text=frame["words"][:MOST_TEXT])
    module = frame["module"][:MOST_TEXT]
    return Line(kind=Kind.FRAME, text=(frame["symbol"] or f"[{module.rpartition('/')[2]}]")[:MOST_TEXT], module=module)
