"""One counter's line of `perf stat`: as JSON (-j), with a separator (-x) and for people; and what the lines tell.

Formats: tools/perf/util/stat-display.c of Linux. perf prints an interval (-I) as the seconds since it began, at the
interval's end, and the counts of that interval alone. A count that was not running all the time is scaled up already.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tailflame.model.counter_ratios import PART, derived
from tailflame.model.live import Reading, Status
from tailflame.parse.json_file import mended

LINE_LIMIT = 64 * 1024
"""Longest line that is looked at, characters."""
_DEAD = {
    "<not supported>": Status.NOT_SUPPORTED,
    "<not counted>": Status.NOT_COUNTED,
    # where a blank separates fields
    "<not_supported>": Status.NOT_SUPPORTED,
    "<not_counted>": Status.NOT_COUNTED,
}
_UNITS = {"msec": "ms", "Bytes": "B"}
_PARTS = ("thread", "cpu", "core", "cluster", "cache", "die", "socket", "node")
"""Keys of JSON for what a count is of, where it is not of the whole."""
_MODIFIERS = re.compile(r"(?P<event>.+?):(?P<modifiers>[ukhIGHpPSDWeb]{1,6})")
_ON_PMU = re.compile(r"(?P<pmu>cpu(?:_\w+)?|armv\d\w*|apple_\w+)/(?P<event>[\w.-]+)/(?P<modifiers>[a-zA-Z]*)")
"""On the counters of processors, of which some machines have several kinds; "msr/tsc/" is of something else."""
_DECIMAL_COMMA = re.compile(r":\s*\"?\d+,\d+\"?\s*[,}]")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
# Blanks are single ones by then.
_TEXT = re.compile(
    r"(?:(?P<time>\d+\.\d{9}) )?(?:(?P<part>\S.*?) (?:\d+ )?)??"
    r"(?P<value>[\d.,]+|<not supported>|<not counted>) (?P<rest>[^#(]*)(?P<tail>.*)"
)
_RAN = re.compile(r"\((\d{1,3}\.\d{2})%\)$")
_VARIANCE = re.compile(r"\( \+- ?(\d+\.\d+)% \)")
_RATE = re.compile(r"# (\d+\.\d+) ([KMG]?/sec)")
_OLD_UNIT = re.compile(r"(\S+)\s+\((\w+)\)")
_SEPARATOR = re.compile(r"(?<=[^\d.])\d+(?P<sep>[^\d.\w]{1,8}?)\d{1,3}\.\d{2}(?P=sep)")


class DecimalComma(ValueError):
    """The numbers are written with a comma: in a language's way, and commas separate fields too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One counter over one interval, or over the whole run."""

    event: str
    """As perf prints it: "cycles", "cycles:u", "cpu_core/cycles/"."""
    status: Status
    value: float | None
    unit: str = ""
    running: float = 1.0
    """The share of its time in which it was counted, 0 to 1."""
    time_s: float | None = None
    """The interval's end, seconds since perf began; None for the whole run."""
    part: str = ""
    """What it is of: "CPU0", "S0-D0-C1", "worker-1 (4711)", "CPU0, shop/book" in a cgroup; "" for the whole."""
    variance: float | None = None
    """perf's "+-" over several runs (-r): the standard error of their mean, in percent of `value`."""
    summary: bool = False
    """The sum over all intervals (--summary)."""
    per_s: float | None = None
    """The rate that perf prints beside it, by the second of task-clock; None where it prints none."""


# JSON


def _json(line: str | bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
        return json.loads(mended(text))  # the name of a thread may be cut within a character


def json_row(line: str | bytes) -> Row | None:
    """None for a line without a counter (a further metric of the event before).

    ValueError where it is no line of `perf stat -j`; DecimalComma where its numbers are.
    """
    try:
        document = _json(line)
    except (ValueError, RecursionError):
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        if _DECIMAL_COMMA.search(text):
            raise DecimalComma from None
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    event, counter = document.get("event"), document.get("counter-value")
    if event is None and counter is None and (not document or "metric-value" in document or "metric-unit" in document):
        return None
    if not isinstance(event, str) or not event or counter is None:
        raise ValueError("it names no event and its count")
    status, value = _counted(str(counter))
    return Row(
        event=event,
        status=status,
        value=value,
        unit=_unit(document.get("unit")),
        running=_running(_number(document.get("pcnt-running")), status),
        time_s=_time(document.get("interval")),
        part=_json_part(document),
        variance=_number(document.get("variance")) if "variance" in document else None,
        per_s=_per_second(_number(document.get("metric-value")), str(document.get("metric-unit"))),
    )


def _json_part(document: dict[str, Any]) -> str:
    cgroup = document.get("cgroup")
    return _joined(_json_place(document), cgroup if isinstance(cgroup, str) else "")


def _json_place(document: dict[str, Any]) -> str:
    for key in _PARTS:
        if isinstance(value := document.get(key), str | int) and value != "":
            if key == "cpu":
                return f"CPU{value}"
            return _thread(str(value)) if key == "thread" else str(value)
    return ""


# with a separator


def separator_of(line: str) -> str | None:
    """What separates the fields of a line of `perf stat -x`; None where it is none.

    Told by its one sure place: "…task-clock;1630185;100.00;…" has a run time and its share behind the event.
    """
    match = _SEPARATOR.search(line[:LINE_LIMIT])
    return match["sep"] if match is not None else None


def separated_row(line: str, separator: str) -> Row | None:
    """None for a line without a counter. ValueError where it is no line of `perf stat -x`.

    `[time|summary][, part[, number of CPUs]], value, unit, event[, cgroup][, variance%], run time, share[, metric, its
    unit]`. An event may hold the separator: "cpu/event=0x3c,umask=0x1/" is not quoted.
    """
    if separator == " ":
        line = line.replace("<not ", "<not_")
    fields = line.strip().split(separator)
    time_s: float | None = None
    summary = False
    at = 0
    first = fields[0].strip()
    if re.fullmatch(r"\d+\.\d{9}", first):
        time_s, at = float(first), 1
    elif first == "summary":
        summary, at = True, 1
    part = ""
    if at < len(fields) and not _is_value(fields[at]):
        part = fields[at].strip()
        if not part:
            return None  # a further metric: ",,,,,,,,0.45,stalled cycles per insn"
        at += 1
        if _is_value(_field(fields, at)) and _is_value(_field(fields, at + 1)):
            at += 1  # of how many CPUs it is the sum
    end = next((i for i in range(at + 3, len(fields) - 1) if fields[i].isdigit() and _is_share(fields[i + 1])), None)
    if end is None or not _is_value(_field(fields, at)):
        raise ValueError("it has no count, event and run time")
    variance = None
    named = end
    if named - 1 > at + 2 and re.fullmatch(r"\d+\.\d+%", fields[named - 1].strip()):
        named -= 1
        variance = float(fields[named].strip()[:-1])
    event, cgroup = _event_and_cgroup(fields[at + 2 : named], separator)
    if not event:
        raise ValueError("it names no event")
    status, value = _counted(fields[at])
    return Row(
        event=event,
        status=status,
        value=value,
        per_s=_per_second(_number(_field(fields, end + 2)), _field(fields, end + 3)),
        unit=_unit(fields[at + 1].strip()),
        running=_running(float(fields[end + 1]), status),
        time_s=time_s,
        part=_joined(_thread(part), cgroup),
        variance=variance,
        summary=summary,
    )


def _event_and_cgroup(fields: list[str], separator: str) -> tuple[str, str]:
    """An event that holds the separator does so between slashes: what follows the second is a cgroup."""
    of_event = 1
    while of_event < len(fields) and separator.join(fields[:of_event]).count("/") == 1:
        of_event += 1
    return separator.join(fields[:of_event]).strip(), separator.join(fields[of_event:]).strip()


def _field(fields: list[str], at: int) -> str:
    return fields[at].strip() if at < len(fields) else ""


def _is_value(field: str) -> bool:
    return field.strip() in _DEAD or re.fullmatch(r"\d+(?:\.\d+)?", field.strip()) is not None


def _is_share(field: str) -> bool:
    return re.fullmatch(r"\d{1,3}\.\d{2}", field) is not None


# for people


def text_row(line: str) -> Row | None:
    """None for a line without a counter. DecimalComma where its numbers are."""
    match = _TEXT.fullmatch(" ".join(line[:LINE_LIMIT].split()))
    if match is None or line.lstrip().startswith("#"):
        return None
    words = match["rest"].split()
    cgroup = ""
    if old := _OLD_UNIT.match(f"{match['rest']}{match['tail']}"):  # "0.923456 task-clock (msec)", before Linux 4.18
        words = [old[2], old[1]]
    elif len(words) in (2, 3):
        words, cgroup = _without_cgroup(line, match["value"], words)
    if not 1 <= len(words) <= 2:
        return None
    text = match["value"]
    if text not in _DEAD:
        grouped_by_points = len(words) == 1 and re.fullmatch(r"\d{1,3}\.\d{3}", text)
        if grouped_by_points or _NUMBER.fullmatch(text) is None:
            raise DecimalComma
        text = text.replace(",", "")
    status, value = _counted(text)
    ran, variance = _RAN.search(match["tail"]), _VARIANCE.search(match["tail"])
    rate = _RATE.search(match["tail"])
    return Row(
        event=words[-1],
        status=status,
        value=value,
        unit=_unit(words[0]) if len(words) == 2 else "",
        running=_running(float(ran[1]) if ran else 100.0, status),
        time_s=float(match["time"]) if match["time"] else None,
        part=_joined(_thread((match["part"] or "").strip()), cgroup),
        variance=float(variance[1]) if variance else None,
        per_s=_per_second(float(rate[1]), rate[2]) if rate else None,
    )


def _without_cgroup(line: str, value: str, words: list[str]) -> tuple[list[str], str]:
    """[unit,] event, and the cgroup behind it.

    "             51.86 msec task-clock                       shop/book #": a unit stands one blank behind the value,
    and perf fills up an event's name to a column of 25 characters or more.
    """
    *_, event, last = words
    between = re.search(rf"{re.escape(event)}( +){re.escape(last)}(?: |$)", line)
    filled = between is not None and (len(between[1]) > 1 or len(event) >= 24)
    has_unit = f"{value} {words[0]} " in line
    if filled and has_unit == (len(words) == 3):
        return words[:-1], last
    return words, ""


def running_below(line: str) -> float | None:
    """The share on a line of a further metric, which is that of the counter above; None on any other line.

    "                                                  #    0.30  stalled cycles per insn     (57.14%)"
    """
    words = " ".join(line[:LINE_LIMIT].split())
    match = _RAN.search(words)
    if match is None or not (words.startswith("# ") or " # " in words):
        return None
    return _running(float(match[1]), Status.COUNTED)


# what they have in common


def _counted(text: str) -> tuple[Status, float | None]:
    text = text.strip()
    if text in _DEAD:
        return _DEAD[text], None
    try:
        value = float(text)
    except ValueError:
        if re.fullmatch(r"\d+,\d+", text):
            raise DecimalComma from None
        raise ValueError(f"its count “{text[:40]}” is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"its count “{text[:40]}” is no number")
    return Status.COUNTED, value


def _number(value: object) -> float:
    """A number or a text of one, newer perf writes either; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _per_second(value: float, unit: str) -> float | None:
    """ "6.692313", "K/sec"."""
    scale = {"/sec": 1.0, "K/sec": 1e3, "M/sec": 1e6, "G/sec": 1e9}.get(unit)
    return value * scale if scale is not None and math.isfinite(value) else None


def _time(value: object) -> float | None:
    seconds = _number(value)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _running(percent: float, status: Status) -> float:
    """What never ran has not run, though perf up to 6.1 prints 100.00 there."""
    if status is not Status.COUNTED:
        return 0.0
    return min(max(percent / 100, 0.0), 1.0) if math.isfinite(percent) else 1.0


def _unit(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return _UNITS.get(text, text if text != "(null)" else "")


def _joined(place: str, cgroup: str) -> str:
    return PART.join(filter(None, (place, cgroup)))


def _thread(part: str) -> str:
    """ "worker-1-4711" is the thread 4711 called worker-1."""
    if re.fullmatch(r"S\d+(?:-D\d+)?(?:-[A-Z]+\d+)*|CPU\d+|N\d+", part):
        return part
    name, dash, tid = part.rpartition("-")
    return f"{name} ({tid})" if dash and name and tid.isdigit() else part


# what the lines tell


@dataclass(slots=True)
class SeriesNames:
    """Events as series. `asked` are the events that perf was told to count, where that is known.

    A modifier that all events share is left out and kept in `common`: perf adds ":u" by itself where the kernel lets
    this user count user space alone. A unit of the processor ("cpu_core/cycles/") becomes a part of the whole where
    there is more than one.
    """

    asked: frozenset[str] = frozenset()
    common: str = ""
    pmus: frozenset[str] = frozenset()

    @classmethod
    def of_events(cls, events: Iterable[str]) -> SeriesNames:
        """For a file: all its events are known."""
        split = [_split(event) for event in events]
        modifiers = {modifier for _, _, modifier in split}
        return cls(
            common=modifiers.pop() if len(modifiers) == 1 else "", pmus=frozenset(pmu for _, pmu, _ in split if pmu)
        )

    def learn(self, events: Iterable[str]) -> None:
        """For a stream: what its first interval tells."""
        split = [_split(event) for event in events if event not in self.asked]
        self.pmus |= {pmu for _, pmu, _ in split if pmu}
        added = {modifier for _, _, modifier in split if modifier}
        if len(added) == 1:
            self.common = added.pop()

    def name(self, row: Row) -> str:
        event, pmu, modifiers = _split(row.event)
        if row.event in self.asked and modifiers:
            pass  # a wish of the user's, kept as one
        elif modifiers == self.common:
            modifiers = ""
        parts = [event]
        if pmu and len(self.pmus) > 1:
            parts.append(pmu)
        if modifiers:
            parts.append({"u": "user space", "k": "kernel"}.get(modifiers, f":{modifiers}"))
        if row.part:
            parts.append(row.part)
        return PART.join(parts)


def _split(event: str) -> tuple[str, str, str]:
    """(event, unit of the processor, modifiers). Raw events and tracepoints stay as they are."""
    if match := _ON_PMU.fullmatch(event):
        return match["event"], match["pmu"], match["modifiers"]
    # "sched:sched_switch" is a tracepoint, "sched:sched_switch:u" one with a modifier.
    if match := _MODIFIERS.fullmatch(event):
        return match["event"], "", match["modifiers"]
    return event, "", ""


def readings_of(rows: Iterable[Row], names: SeriesNames, *, start_s: float, length_s: float) -> list[Reading]:
    """The readings of one interval, and what they tell together.

    context-switches and migrations happen in the kernel: counted in user space alone they read 0, whatever happened.
    """
    readings = []
    for row in rows:
        status, value = row.status, row.value
        event, _, modifiers = _split(row.event)
        if event in IN_KERNEL and "u" in modifiers and "k" not in modifiers and not value:
            status, value = Status.NOT_COUNTED, None
        readings.append(
            Reading(
                series=names.name(row),
                start_s=start_s,
                length_s=length_s,
                value=value,
                unit=row.unit,
                status=status,
                running=row.running,
            )
        )
    return [*readings, *derived(readings)]


DURATION = "duration_time"
"""How long a run took, in ns of the wall's clock."""
IN_KERNEL = frozenset({"context-switches", "cs", "cpu-migrations", "migrations"})
"""What `:u` cannot see."""
