"""What bpftrace prints, read line by line: text, and JSON (-f json). As of 0.17 to 0.23; src/output.cpp of bpftrace.

    Attaching 4 probes...                       {"type": "attached_probes", "data": {"probes": 4}}
    @calls[engine-0]: 7                         {"type": "map", "data": {"@calls": {"engine-0": 7}}}
    @by[a, 1]: count 2, average 3, total 6      {"type": "stats", "data": {"@by": {"a,1": {"count": 2, ...}}}}
    @ns:                                        {"type": "hist", "data": {"@ns": [{"min": 2, "max": 3, "count": 1}]}}
    [2, 4)         1 |@@@@   |
    @[                                          {"type": "map", "data": {"@": {"\\n    main+3\\n,engine-0": 1}}}
        main+3
    , engine-0]: 1
    Lost 3 events                               {"type": "lost_events", "data": {"events": 3}}
    anything else                               {"type": "printf", "data": "anything else\\n"}

A map may be printed many times: the last print counts. Two keys of one print may look alike (stacks that differ in an
address only): they are added up. The parts of a key are joined with a comma that is not told from a comma within.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tailflame.model.maps import Bucket, MapKind
from tailflame.parse.bpftrace_recipe import MARK, MapColumn
from tailflame.parse.json_file import mended

Value: TypeAlias = tuple[int | float, ...] | str | dict[tuple[int | None, int | None], int]
"""One number, or count, average and total; what is no number, as text; buckets."""

ALONE = "\0"
"""The key of a map without keys."""
ROWS_LIMIT = 200_000
TEXT_LIMIT = 1 << 20
"""Characters of printed text that are kept, the last ones."""
MAPPINGS_LIMIT = 20_000
BUCKETS_LIMIT = 100_000
COUNT_LIMIT = 1 << 53
VALUE_LIMIT = 1 << 62
_WORD = 1 << 64
LAST_POWER = 1 << 31
"""Where the last of hist's 32 buckets begins. It holds all that is larger too; as text it is written "[2G, 4G)", and as
JSON {"min": -2147483648, "max": 0}, where a number of 32 bits runs over.
"""
_LINE_SHOWN = 4096

_TYPES = frozenset(
    {"attached_probes", "map", "hist", "stats", "printf", "time", "cat", "join", "value", "lost_events", "syscall",
     "strftime", "helper_error"}
)  # fmt: skip
_JSON = re.compile(r'\{"type": ?"(\w+)", ?"data": ?')
_ATTACHING = re.compile(r"Attach(?:ing|ed) (\d{1,9}) probes?(?:\.\.\.)?$")
_LOST = re.compile(r"Lost (\d{1,18}) events?$")
_HEAD = re.compile(r"(@\w*)(?:\[(.*)\])?: ?$")
_ROW = re.compile(r"(@\w*)(?:\[(.*)\])?: (.+)$")
_STACK_OPEN = re.compile(r"(@\w*)\[(.*)$")
_STACK_CLOSE = re.compile(r"(, .*|)\]: (.+)$")
_STATS = re.compile(r"count (\d{1,20}), average (-?\d{1,20}), total (-?\d{1,20})$")
_NUMBER = re.compile(r"-?\d{1,20}$")
_FRAME = re.compile(r"(?: {4,}|\t)\S")
_BUCKET = re.compile(
    r"(?:\[(?P<one>-?\d{1,20}[KMGTPE]?)\]|\[(?P<low>-?\d{1,20}[KMGTPE]?), (?P<high>-?\d{1,20}[KMGTPE]?|\.\.\.)\)"
    r"|\(\.\.\., (?P<below>-?\d{1,20}[KMGTPE]?)[)\]]) +(?P<count>\d{1,20}) \|[@ ]*\|\s*$"
)
_SUFFIXES = {letter: 10 * power for power, letter in enumerate("KMGTPE", 1)}
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+) *(.*)$")


@dataclass(slots=True)
class PrintedMap:
    """A map: its last print, and for histograms all that is needed of those before.

    rows: by key as it was written, with the parts joined by ",". times: prints. grows: nothing ever became less.
    """

    kind: MapKind
    rows: dict[str, Value] = field(default_factory=dict)
    times: int = 0
    grows: bool = True
    added: dict[str, dict[tuple[int | None, int | None], int]] = field(default_factory=dict)
    """Of histograms: the sum of all prints."""

    def taken(self, rows: dict[str, Value]) -> None:
        if self.times:
            self.grows = self.grows and all(_reaches(rows.get(key), old) for key, old in self.rows.items())
        self.rows = rows
        self.times += 1
        for key, value in rows.items():
            if isinstance(value, dict):
                sums = self.added.setdefault(key, {})
                for at, number in value.items():
                    sums[at] = sums.get(at, 0) + number

    @property
    def histograms(self) -> dict[str, dict[tuple[int | None, int | None], int]]:
        """The whole of each: its last print, or the sum of all where the map was cleared in between."""
        if not self.grows:
            return self.added
        return {key: value for key, value in self.rows.items() if isinstance(value, dict)}


def _reaches(new: Value | None, old: Value) -> bool:
    if isinstance(old, dict):
        return isinstance(new, dict) and all(new.get(at, 0) >= number for at, number in old.items())
    if isinstance(old, tuple) and isinstance(new, tuple) and len(new) == len(old) == 3:
        return new[0] >= old[0]
    return new is not None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A line of /proc/PID/maps that is code of a file."""

    start: int
    end: int
    offset: int
    inode: int
    path: str


class BpftraceOutput:
    """Reads the lines of one run. `feed` never raises: what is not understood is told in `bad`."""

    def __init__(self) -> None:
        self.maps: dict[str, PrintedMap] = {}
        self.columns: dict[str, MapColumn] = {}
        self.mappings: dict[tuple[int, str], Mapping] = {}
        self.probes: int | None = None
        self.lost: int | None = None
        self.recipe = ""
        self.machine = ""
        self.lines = 0
        self.known = 0
        """Lines that nothing but bpftrace writes."""
        self.bad: list[tuple[int, str]] = []
        self.json = False
        self._text: list[str] = []
        self._held = self._rows = 0
        self._open: _TextPrint | None = None
        self._blank = False
        """Whether an empty line stands before."""
        self._final = False
        """Two empty lines stand before bpftrace's last prints: each map is printed once, in the order of names."""
        self._last_name = ""
        self._stack: list[str] | None = None
        self._tag = ""
        self._key: str | None = None
        self._buckets: dict[tuple[int | None, int | None], int] | None = None
        self._value_stack: list[str] | None = None

    @property
    def text(self) -> str:
        """What it printed beside its maps, the last of it."""
        return "".join(self._text)[-TEXT_LIMIT:]

    def feed(self, line: str) -> None:
        self.lines += 1
        try:
            match = _JSON.match(line)
            if match is not None and match[1] in _TYPES:
                self._end_of_text()
                self._take_json(line)
            else:
                self._take_text(line)
        except RecursionError:
            self._complain("it nests too deeply")
        except ValueError as problem:
            self._complain(str(problem))

    def end(self) -> None:
        """No more lines come."""
        try:
            self._end_of_text()
        except ValueError as problem:
            self._complain(str(problem))

    def _complain(self, reason: str) -> None:
        self._stack = self._buckets = self._value_stack = None
        if len(self.bad) < 1000:
            self.bad.append((self.lines, reason))

    # JSON

    def _take_json(self, line: str) -> None:
        try:
            document = json.loads(mended(line), object_pairs_hook=_Pairs, parse_constant=_no_constant)
        except ValueError:
            raise ValueError("it is cut or no JSON") from None
        self.json = True
        self.known += 1
        found = dict(document) if isinstance(document, _Pairs) else {}
        kind, data = found.get("type"), found.get("data")
        if kind in ("map", "stats", "hist"):
            if not isinstance(data, _Pairs):
                raise ValueError("it holds no map")
            for name, value in data:
                self._take_map(kind, name, value)
        elif kind == "attached_probes":
            self.probes = _whole(dict(data).get("probes") if isinstance(data, _Pairs) else None)
        elif kind == "lost_events":
            self._lose(_whole(dict(data).get("events") if isinstance(data, _Pairs) else None))
        elif isinstance(data, str):
            if kind == "cat" and self._take_mappings(data):
                return
            self._print(data if kind in ("printf", "cat", "time") else f"{data}\n")
        elif isinstance(data, list | int | float):
            self._print(f"{_plain(data)}\n")

    def _take_map(self, kind: str, name: str, value: object) -> None:
        if not name.startswith("@"):
            raise ValueError("a map of it has no name")
        pairs = list(value) if isinstance(value, _Pairs) else None
        told = pairs is None or (kind == "stats" and _is_stats(pairs))
        rows: dict[str, Value] = {}
        for key, one in [("", value)] if told else pairs or []:
            if kind == "hist":
                _add(rows, key, _buckets_of(one))
            else:
                _add(rows, key, _value_of(one))
        if not told and not rows:
            return
        self._put(name, kind, rows, keyed=not told)

    def _put(self, name: str, kind: str, rows: dict[str, Value], *, keyed: bool) -> None:
        self.known += 1
        first = next(iter(rows.values()))
        which = MapKind.VALUES
        if kind == "hist":
            which = MapKind.HIST if all(_of_powers(value) for value in rows.values()) else MapKind.LHIST
        elif isinstance(first, tuple) and len(first) == 3:
            which = MapKind.STATS
        known = self.maps.get(name)
        if known is None or (known.kind is not which and not {known.kind, which} <= {MapKind.HIST, MapKind.LHIST}):
            known = PrintedMap(which)
        elif which is MapKind.LHIST:
            known.kind = which
        self._rows += len(rows) - len(known.rows)
        if self._rows > ROWS_LIMIT:
            self._rows -= len(rows) - len(known.rows)
            raise ValueError(f"its maps have more than {ROWS_LIMIT:,} keys; the others are left out")
        self.maps[name] = known
        known.taken(rows if keyed else {ALONE: next(iter(rows.values()))})

    # Text

    def _take_text(self, line: str) -> None:
        if self._stack is not None:
            if _FRAME.match(line):
                self._stack.append(line)
                return
            match = _STACK_CLOSE.match(line)
            stack, self._stack = "\n" + "".join(f"{frame}\n" for frame in self._stack), None
            if match is not None:
                before = f"{self._key}," if self._key else ""
                self._text_row(self._tag, before + stack + match[1].replace(", ", ",", 1), match[2])
                return
        if self._value_stack is not None:
            if _FRAME.match(line):
                self._value_stack.append(line)
                return
            self._end_value_stack()
        if self._buckets is not None:
            bucket = _text_bucket(line)
            if bucket is not None:
                low, high, number = bucket
                self._buckets[low, high] = self._buckets.get((low, high), 0) + number
                _check_buckets(self._buckets)
                return
            self._end_histogram()
        if line.startswith("@") and self._take_map_line(line):
            return
        if not line:
            # Each histogram of a map has an empty line behind it.
            if self._open is None or self._open.kind != "hist":
                self._end_print()
            if self._blank:
                self._final, self._last_name = True, ""
            self._blank = True
            return
        self._end_print()
        self._blank = self._final = False
        match = _ATTACHING.match(line)
        if match is not None and self.probes is None:
            self.probes = int(match[1])
            self.known += 1
            return
        match = _LOST.match(line)
        if match is not None:
            self.known += 1
            self._lose(int(match[1]))
            return
        if _MAPPING.match(line) and self._take_mappings(line):
            return
        self._print(f"{line[:_LINE_SHOWN]}\n")

    def _take_map_line(self, line: str) -> bool:
        match = _HEAD.match(line)
        if match is not None:
            self._tag, self._key, self._buckets = match[1], match[2], {}
            return True
        match = _ROW.match(line)
        if match is not None:
            self._text_row(match[1], match[2], match[3])
            return True
        match = _STACK_OPEN.match(line)
        if match is not None and (not match[2] or match[2].endswith(", ")):
            self._tag, self._key, self._stack = match[1], match[2].removesuffix(", ").replace(", ", ","), []
            return True
        return False

    def _text_row(self, name: str, key: str | None, value: str) -> None:
        stats = _STATS.match(value)
        if stats is not None:
            found: Value = (_within(stats[1]), _within(stats[2]), _within(stats[3]))
        elif _NUMBER.match(value):
            found = (_within(value),)
        else:
            found = value[:_LINE_SHOWN]
        kind = "stats" if stats is not None else "map"
        self._add_row(name, None if key is None else key.replace(", ", ","), found, kind)

    def _add_row(self, name: str, key: str | None, value: Value, kind: str) -> None:
        text = ALONE if key is None else key
        print_ = self._open
        if (
            print_ is None
            or (print_.name, print_.kind) != (name, kind)
            or key is None
            or len(print_.rows) >= ROWS_LIMIT
        ):
            self._end_print()
            self._final = self._final and name > self._last_name
            self._last_name = name
            print_ = self._open = _TextPrint(name, kind, final=self._final)
        print_.rows.append((text, value))
        self._blank = False

    def _end_value_stack(self) -> None:
        """`@one: ` and a stack below it."""
        self._value_stack = None

    def _end_histogram(self) -> None:
        buckets, self._buckets = self._buckets, None
        if buckets:
            key = self._key
            self._add_row(self._tag, None if key is None else key.replace(", ", ","), dict(buckets), "hist")
        elif self._key is None:
            self._value_stack = []  # a map that holds a stack

    def _end_print(self) -> None:
        """The rows of a map are over."""
        print_, self._open = self._open, None
        if print_ is not None:
            for rows in print_.prints():
                self._put(print_.name, print_.kind, rows, keyed=ALONE not in rows)

    def _end_of_text(self) -> None:
        if self._buckets is not None:
            self._end_histogram()
        self._stack = self._value_stack = None
        self._end_print()

    # Both

    def _lose(self, events: int) -> None:
        self.lost = (self.lost or 0) + events

    def _print(self, text: str) -> None:
        if text.startswith(MARK) and self._take_mark(text.rstrip("\n")):
            self.known += 1
            return
        self._text.append(text)
        self._held += len(text)
        if self._held > 2 * TEXT_LIMIT:
            self._text = [self.text]
            self._held = len(self._text[0])

    def _take_mark(self, line: str) -> bool:
        match line.removeprefix(MARK).split("|"):
            case ["recipe", name, machine]:
                self.recipe, self.machine = name, machine
            case ["map", name, title, unit, keys]:
                self.columns[name] = MapColumn(
                    name=name, title=title, unit=unit, keys=tuple(filter(None, keys.split(",")))
                )
            case _:
                return False
        return True

    def _take_mappings(self, text: str) -> bool:
        """/proc/PID/maps: whether it is that."""
        lines = text.split("\n")
        if not _MAPPING.match(lines[0]):
            return False
        for line in lines:
            match = _MAPPING.match(line)
            if match is not None and "x" in match[3] and match[6] and len(self.mappings) < MAPPINGS_LIMIT:
                start, end, offset = (int(match[at], 16) for at in (1, 2, 4))
                if start < end < _WORD and offset < _WORD:
                    path = match[6].removesuffix(" (deleted)")
                    self.mappings[start, path] = Mapping(start, end, offset, int(match[5]), path)
        return True


@dataclass(slots=True)
class _TextPrint:
    """Lines of one map that follow each other: one print, or several.

    A print is sorted by its values, so that a lesser one begins another. A key that comes again does so too, but not
    at bpftrace's end: there two keys look alike (a text that differs behind its end, a stack in an address), and are
    added up.
    """

    name: str
    kind: str
    final: bool
    rows: list[tuple[str, Value]] = field(default_factory=list)

    def prints(self) -> Iterator[dict[str, Value]]:
        found: dict[str, Value] = {}
        last: int | float | None = None
        for key, value in self.rows:
            number = value[0] if isinstance(value, tuple) and len(value) == 1 else None
            lesser = number is not None and last is not None and number < last
            if found and (lesser or (key in found and not self.final and "\n" not in key)):
                yield found
                found = {}
            _add(found, key, value)
            last = number
        if found:
            yield found


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, those that it has twice as well."""


def _no_constant(word: str) -> object:
    raise ValueError(word)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _WORD:
        raise ValueError("it holds an impossible number")
    return value


def _within(text: str) -> int:
    number = int(text)
    if not -_WORD < number < _WORD:
        raise ValueError("a value of it has more than 64 bits")
    return number


def _is_stats(pairs: list[tuple[str, Any]]) -> bool:
    """A map without keys; a map of keys has objects, or the numbers of avg()."""
    return [key for key, _ in pairs] == ["count", "average", "total"] and not any(
        isinstance(value, _Pairs) for _, value in pairs
    )


def _value_of(value: object) -> Value:
    if isinstance(value, bool) or value is None:
        raise ValueError("a value of it is no number")
    if isinstance(value, int):
        if not -_WORD < value < _WORD:
            raise ValueError("a value of it has more than 64 bits")
        return (value,)
    if isinstance(value, float):
        return (value,)
    if isinstance(value, _Pairs):
        parts = dict(value)
        three = tuple(parts.get(name) for name in ("count", "average", "total"))
        numbers = tuple(one for one in three if isinstance(one, int) and not isinstance(one, bool))
        if len(numbers) != 3 or any(not -_WORD < one < _WORD for one in numbers) or numbers[0] < 0:
            raise ValueError("a value of it is no number")
        return numbers
    return _plain(value)[:_LINE_SHOWN]


def _plain(value: object) -> str:
    if isinstance(value, list):
        return f"({', '.join(_plain(one) for one in value)})"
    return value if isinstance(value, str) else str(value)


def _add(rows: dict[str, Value], key: str, value: Value) -> None:
    """Two keys that look alike are added up."""
    old = rows.get(key)
    match old, value:
        case dict(), dict():
            rows[key] = {at: old.get(at, 0) + value.get(at, 0) for at in {**old, **value}}
        case (int() | float() as one,), (int() | float() as other,):
            rows[key] = (one + other,)
        case (_, _, _), (_, _, _):
            rows[key] = sum_of_stats(old, value)
        case _:
            rows[key] = value


def sum_of_stats(one: tuple[int | float, ...], other: tuple[int | float, ...]) -> tuple[int | float, ...]:
    """(count, average, total) of both."""
    number, total = one[0] + other[0], one[2] + other[2]
    return number, total // number if number else 0, total


def _buckets_of(value: object) -> dict[tuple[int | None, int | None], int]:
    if not isinstance(value, list) or isinstance(value, _Pairs):
        raise ValueError("a histogram of it has no buckets")
    if len(value) > BUCKETS_LIMIT:
        raise ValueError(f"its histogram has more than {BUCKETS_LIMIT:,} buckets")
    found: dict[tuple[int | None, int | None], int] = {}
    for bucket in value:
        if not isinstance(bucket, _Pairs):
            raise ValueError("a bucket of its histogram is no object")
        cells = dict(bucket)
        low, high, number = cells.get("min"), cells.get("max"), cells.get("count")
        for bound in (low, high):
            if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool)):
                raise ValueError("a bucket of its histogram has a bound that is no whole number")
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError("a bucket of its histogram has no count")
        if (low, high) == (-LAST_POWER, 0):
            low, high = LAST_POWER, None
        found[low, high] = found.get((low, high), 0) + number
    _check_buckets(found)
    return found


def _check_buckets(buckets: dict[tuple[int | None, int | None], int]) -> None:
    if len(buckets) > BUCKETS_LIMIT:
        raise ValueError(f"its histogram has more than {BUCKETS_LIMIT:,} buckets")
    for (low, high), number in buckets.items():
        if not 0 <= number < COUNT_LIMIT:
            raise ValueError("its histogram has an impossible count")
        if any(bound is not None and abs(bound) > 2 * VALUE_LIMIT for bound in (low, high)):
            raise ValueError("its histogram has a value of more than 64 bits")
        if low is None and high is None:
            raise ValueError("its histogram has a bucket without bounds")
        if low is not None and high is not None and low > high:
            raise ValueError("its histogram has a bucket that ends before it begins")


def _text_bucket(line: str) -> tuple[int | None, int | None, int] | None:
    match = _BUCKET.match(line)
    if match is None:
        return None
    number = int(match["count"])
    if match["one"] is not None:
        return _bound(match["one"]), _bound(match["one"]), number
    if match["below"] is not None:
        return None, _bound(match["below"]) - 1, number
    low = _bound(match["low"])
    if low == LAST_POWER and match["high"] == "4G":
        return low, None, number
    return low, None if match["high"] == "..." else _bound(match["high"]) - 1, number


def _bound(text: str) -> int:
    """ "16K" is 16 * 1024, in `lhist` as well."""
    if text[-1] in _SUFFIXES:
        return int(text[:-1]) << _SUFFIXES[text[-1]]
    return int(text)


def is_power_of_two(bucket: Bucket) -> bool:
    """[0], [1], [2, 3], [4, 7] ..., and their like below 0."""
    low, high = bucket.low, bucket.high
    if high is not None and high < 0:
        return True
    if high is None:
        return low == LAST_POWER
    return low is not None and (
        low == high == 0 or (low > 0 and low & (low - 1) == 0 and high == 2 * low - 1)
    )  # fmt: skip


def _of_powers(value: Value) -> bool:
    return isinstance(value, dict) and all(is_power_of_two(Bucket(low, high, n)) for (low, high), n in value.items())


def starts_like_bpftrace(lines: list[str]) -> float:
    """How surely these lines, the first of a file, are bpftrace's: 0 to 1."""
    score = 0.0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        match = _JSON.match(line)
        if match is not None and match[1] in _TYPES:
            return 0.9
        if _ATTACHING.match(line):
            return 0.9
        if line.startswith("@"):
            if _HEAD.match(line) and _text_bucket(following) is not None:
                return 0.9
            row = _ROW.match(line)
            number = row is not None and (_STATS.match(row[3]) or _NUMBER.match(row[3]))
            if number or (_STACK_OPEN.match(line) and _FRAME.match(following)):
                score = 0.6
    return score
