"""Percentile distributions (.hgrm): what HdrHistogram prints in Java, C and Python, and wrk2 after its own lines.

           Value     Percentile TotalCount 1/(1-Percentile)

           0.534 0.000000000000          1           1.00
        1883.135 1.000000000000      20000                     (Java, Python; C and wrk2 end with `inf`)
    #[Mean    =       12.210, StdDeviation   =       33.107]

and as CSV, with quotes around the heads or without. A row's count is of all values up to it: the counts between rows
are their differences. Values are printed as the highest of their bucket, so that the layout which they were recorded
in can be found again: it is the one that has a bucket which ends at every printed value, as it was rounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

from tailflame.errors import ParseError
from tailflame.model import Caution, Histogram, HistogramSeries, Meta, Recording
from tailflame.model.buckets import TOP, Layout, layout
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head

_HEAD = re.compile(r'^[ \t]*"?Value"?[\s,]+"?Percentile"?[\s,]+"?TotalCount"?[\s,]+"?1/\(1-Percentile\)"?[ \t]*$', re.M)
_ROW = re.compile(
    r"\s*(\d{1,18}(?:\.\d{1,12})?)[\s,]+([01](?:\.\d+)?)[\s,]+(\d{1,18})(?:[\s,]+(\d+(?:\.\d+)?|inf|Infinity))?\s*"
)
_FOOT = re.compile(r"#\[(Mean|Max)\s*=\s*([\d.]+),")
_TOTAL = re.compile(r"Total ?[cC]ount\s*=\s*([\d.]+)\]")
_START = re.compile(r"#\[StartTime: (\d{1,11}(?:\.\d+)?) \(seconds since epoch\)")
_WRK_NAME = re.compile(r"\s*Latency Distribution \(HdrHistogram - ([^()]*[^()\s])")
_WRK_RUN = re.compile(r"Running \S+ test @ .+")
_WRK_TIME = re.compile(r"\s*\d+ requests in ([\d.]+)(us|ms|s|m|h),")
_WRK_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_UNITS = ((1, "ms"), (10**3, "µs"), (10**6, "ns"))
"""What recorded integers are, where a printed 1 is a millisecond and stands for so many of them."""
_LOWEST = (1, 1000, 1_000_000)
_TOTAL_LIMIT = 2**60
_ROWS_LIMIT = 10_000


class Hgrm:
    name = "hgrm"
    title = "HdrHistogram percentile distributions (.hgrm, wrk2)"

    def sniff(self, head: bytes, name: str) -> float:
        return 0.95 if _HEAD.search(decode_head(head)) else NO

    def load(self, source: Source) -> Recording:
        text = _Text(source)
        text.read()
        fitted = _fitted([table for table in text.tables if table.rows])
        return Recording(
            tool="wrk2" if text.wrk else "",
            format=self.name,
            source=source.name,
            results=(
                HistogramSeries(
                    tags=tuple(_tags(text.tables)),
                    start_s=tuple(text.start_s or 0.0 for _ in text.tables),
                    length_s=tuple(text.duration_s or 0.0 for _ in text.tables),
                    histograms=tuple(fitted.histogram(table) for table in text.tables),
                    unit=fitted.scale[1],
                ),
            ),
            meta=Meta(
                started_at=None if text.start_s is None else datetime.fromtimestamp(text.start_s, UTC),
                duration_s=text.duration_s,
                title=text.title,
            ),
            warnings=tuple(_cautions(text, fitted)),
        )


HGRM = Hgrm()


@dataclass(frozen=True, slots=True)
class _Row:
    value: Fraction
    percentile: Fraction
    count: int
    line: int


@dataclass(slots=True)
class _Table:
    """One distribution of the file. mean and total: the file's own, in its footer; None where it has none."""

    name: str
    line: int
    rows: list[_Row] = field(default_factory=list)
    decimals: int = 0
    whole: bool = False
    """Whether the row of 100 % has been read."""
    mean: str = ""
    total: int | None = None


@dataclass(slots=True)
class _Text:
    source: Source
    tables: list[_Table] = field(default_factory=list)
    wrk: bool = False
    title: str = ""
    start_s: float | None = None
    duration_s: float | None = None
    _name: str = ""
    _table: _Table | None = None
    """The one whose rows are being read."""

    def read(self) -> None:
        for number, line in enumerate(self.source.lines(), 1):
            if line.isspace() or not line:
                continue
            if _HEAD.match(line):
                self._end()
                self._table = _Table(self._name, number)
                self.tables.append(self._table)
            elif line.lstrip().startswith("#"):
                self._comment(line.lstrip())
            elif self._table is not None and not self._row(self._table, number, line):
                self._end()
            if self._table is None:
                self._prose(line)
        self._end()
        if not self.tables:
            raise ParseError(f"{self.source.name} holds no percentile distribution.", source=self.source.name)

    def _row(self, table: _Table, number: int, line: str) -> bool:
        """Takes a line of the table; False where it is none."""
        match = _ROW.fullmatch(line)
        if match is None or table.whole:
            return False
        value, percentile, count, inverse = match.groups()
        row = _Row(Fraction(value), Fraction(percentile), int(count), number)
        last = table.rows[-1] if table.rows else _Row(Fraction(0), Fraction(0), 0, 0)
        if row.value < last.value or row.percentile < last.percentile or row.count < last.count:
            raise self._wrong(number, "its figures fall from one row to the next")
        if row.percentile > 1 or row.count > _TOTAL_LIMIT or not row.count:
            raise self._wrong(number, "it is no row of a percentile distribution")
        if len(table.rows) >= _ROWS_LIMIT:
            raise self._wrong(number, f"it has more than {_ROWS_LIMIT:,} rows")
        table.rows.append(row)
        table.decimals = max(table.decimals, len(value.partition(".")[2]))
        # Six decimals round 0.9999997 to 1, too: such a row has a finite fourth column.
        table.whole = percentile[0] == "1" and (inverse is None or inverse[0] in "iI")
        return True

    def _comment(self, line: str) -> None:
        if match := _START.match(line):
            self.start_s = float(match[1])
        table = self.tables[-1] if self.tables else None
        if table is None:
            return
        if (match := _FOOT.match(line)) and match[1] == "Mean":
            table.mean = match[2]
        if match := _TOTAL.search(line):
            table.total = int(match[1].partition(".")[0] or 0)

    def _prose(self, line: str) -> None:
        """What wrk2 prints around its distributions."""
        if match := _WRK_NAME.match(line):
            self._name, self.wrk = match[1], True
        elif match := _WRK_RUN.fullmatch(line):
            self.title = match[0]
        elif match := _WRK_TIME.match(line):
            self.duration_s = float(match[1]) * _WRK_SECONDS[match[2]]

    def _end(self) -> None:
        """Of a table; ParseError where its last row is missing."""
        table, self._table = self._table, None
        if table is None or table.whole or (not table.rows and table.total == 0):
            return
        end = table.rows[-1] if table.rows else None
        reached = f"it ends at {float(end.percentile):.6%}" if end else "it has no rows"
        raise ParseError(
            f"{self.source.name}, line {end.line if end else table.line}: the distribution is cut off: {reached}.",
            source=self.source.name,
            line=end.line if end else table.line,
            advice="Copy the file again, or open the .hlog that it was made from.",
        )

    def _wrong(self, line: int, what: str) -> ParseError:
        return ParseError(f"{self.source.name}, line {line}: {what}.", source=self.source.name, line=line)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The layout that printed values were recorded in, and how many of its integers a printed 1 is."""

    shape: Layout
    lowest: int
    digits: int
    scale: tuple[int, str]
    decimals: int
    exact: bool

    def histogram(self, table: _Table) -> Histogram:
        if not table.rows:
            return Histogram.empty(self.lowest, self.digits)
        places = {row.count: self._place(row.value) for row in table.rows}
        counts = sorted(places)
        own = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
        return Histogram.from_indices([places[count] for count in counts], own, self.lowest, self.digits)

    def _place(self, value: Fraction) -> int:
        index = self._ends_at(value, Fraction(1, 2 * 10**self.decimals))
        return self.shape.index(_integer(value * self.scale[0])) if index is None else index

    def _ends_at(self, value: Fraction, half: Fraction) -> int | None:
        return _ends_at(self.shape, value * self.scale[0], half * self.scale[0])


def _fitted(tables: list[_Table]) -> _Fitted:
    decimals = max((table.decimals for table in tables), default=3)
    half = Fraction(1, 2 * 10**decimals)
    values = {row.value for table in tables for row in table.rows}
    # Every library prints as many decimals as its histogram has significant digits.
    for digits in dict.fromkeys((min(decimals, 5), 3, 2, 4, 5, 1)):
        for lowest in _LOWEST:
            shape = layout(lowest, digits)
            for scale in _UNITS:
                if all(_ends_at(shape, value * scale[0], half * scale[0]) is not None for value in values):
                    return _Fitted(shape, lowest, digits, scale, decimals, True)
    scale = next((pair for pair in _UNITS if pair[0] >= 10**decimals), _UNITS[-1])
    return _Fitted(layout(1, 5), 1, 5, scale, decimals, False)


def _ends_at(shape: Layout, value: Fraction, half: Fraction) -> int | None:
    """The bucket whose highest value is `value`, or else one at most `half` from it; None for none."""
    for wanted in (value, value + half):
        index = shape.index(_integer(wanted))
        if shape.high(index) > wanted:
            index -= 1
        if index >= 0 and abs(shape.high(index) - value) <= half:
            return index
    return None


def _integer(value: Fraction) -> int:
    return min(max(math.floor(value), 0), TOP)


def _tags(tables: list[_Table]) -> Iterator[str]:
    """No tag for one distribution; wrk2's names or numbers for several."""
    names = [table.name for table in tables]
    if len(tables) == 1:
        yield ""
    elif all(names) and len(set(names)) == len(names):
        yield from names
    else:
        yield from (str(number) for number in range(1, len(tables) + 1))


def _cautions(text: _Text, fitted: _Fitted) -> Iterator[Caution]:
    means = ", ".join(table.mean for table in text.tables if table.mean)
    yield Caution(
        "A distribution tells nothing between two of its rows: the values there are taken for the higher row's, so that"
        f" the mean is too high{f' (the file has {means})' if means else ''}.",
        "Open the histogram log (.hlog) that it was made from.",
    )
    if not text.wrk:
        yield Caution(
            "The file does not tell the unit of its values: they are taken for milliseconds, as HistogramLogProcessor"
            " prints them."
        )
    if not fitted.exact:
        yield Caution(f"Its values fit no histogram's buckets: they are right to {fitted.digits} significant digits.")
    for table in text.tables:
        if table.total is not None and table.rows and table.total != table.rows[-1].count:
            yield Caution(
                f"The rows count {table.rows[-1].count:,} values, the line under them {table.total:,}.",
                "The file may have been edited.",
            )
