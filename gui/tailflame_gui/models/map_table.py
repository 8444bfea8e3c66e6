"""Maps of a bpftrace program as tables: a key in each row, its figure over a bar of its share of the largest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt

from tailflame.analyse.map_diff import KeyChange, MapChange
from tailflame.analyse.map_text import (
    bucket_text,
    exact_text,
    key_titles,
    part_text,
    row_figures,
    unit_of_map,
    value_text,
    value_titles,
)
from tailflame.model.maps import STACK, Bucket, MapKind, MapRow, ProbeMap
from tailflame.units import count, percent, signed_percent, with_percent
from tailflame_gui.models.roles import Role
from tailflame_gui.models.session_table import Field, RowTable

Index = QModelIndex | QPersistentModelIndex
RowT = TypeVar("RowT")
_FRAMES_IN_TIP = 24
_FIGURE, _KEY = 120, 180


class BarTable(RowTable[RowT], Generic[RowT]):
    """Rows whose column `bar` stands over a bar: Role.BAR is `amount` of the row as a share of the largest."""

    def __init__(
        self,
        fields: Sequence[Field[RowT]],
        parent: QObject | None = None,
        *,
        bar: int,
        amount: Callable[[RowT], float],
    ) -> None:
        super().__init__(fields, parent)
        self._bar = bar
        self._amount = amount
        self._most = 0.0

    @property
    def bar(self) -> int:
        """The column that stands over bars."""
        return self._bar

    def set_rows(self, rows: tuple[RowT, ...]) -> None:
        most = max((self._amount(row) for row in rows), default=0.0)
        grown = most != self._most and len(rows) == len(self.rows)
        self._most = most
        super().set_rows(rows)
        if grown and rows:
            self.dataChanged.emit(self.index(0, self._bar), self.index(len(rows) - 1, self._bar))

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Role.BAR:
            if not index.isValid() or index.column() != self._bar or self._most <= 0:
                return None
            return max(self._amount(self.row(index)) / self._most, 0.0)
        return super().data(index, role)


def map_table(one: ProbeMap, parent: QObject | None = None) -> BarTable[MapRow]:
    """The keys of a map, made for maps of its shape: `set_rows` takes those of a later print."""
    keys = one.keys or (("",) * max((len(row.key) for row in one.rows), default=0))
    values = value_titles(one)
    bar = len(values) - 1
    fields = [_figure(one, at, title) for at, title in enumerate(values)]
    titles = key_titles(one) or tuple("key" for _ in keys)
    for at, (title, kind) in enumerate(zip(titles, keys, strict=True)):
        fields.append(_key(at, title, kind, last=at == len(keys) - 1))
    if not keys:
        fields.append(Field("", lambda _row: "", lambda _row: "", 0))
    made = BarTable(fields, parent, bar=bar, amount=lambda row: float(row.number))
    made.set_rows(one.rows)
    return made


def _figure(one: ProbeMap, at: int, title: str) -> Field[MapRow]:
    def key(row: MapRow) -> Any:
        if one.kind in (MapKind.HIST, MapKind.LHIST):
            return row.number
        return row.values[at] if at < len(row.values) else float("-inf")

    def tip(row: MapRow) -> str:
        counted = one.kind in (MapKind.HIST, MapKind.LHIST) or (one.kind is MapKind.STATS and at == 0)
        if not counted and at >= len(row.values):
            return row.text
        return exact_text(
            row.number if counted and not row.values else row.values[at], "" if counted else unit_of_map(one)
        )

    def text(row: MapRow) -> str:
        figures = row_figures(row, one)
        return figures[at] if at < len(figures) else ""

    return Field(title[:1].upper() + title[1:], text, key, _FIGURE, tip=tip, right=True, mono=True)


def _key(at: int, title: str, kind: str, *, last: bool) -> Field[MapRow]:
    def part(row: MapRow) -> str:
        return row.key[at] if at < len(row.key) else ""

    def tip(row: MapRow) -> str:
        frames = part(row).split("\n")
        if kind != STACK or len(frames) == 1:
            return part(row)
        more = [f"and {len(frames) - _FRAMES_IN_TIP} more"] if len(frames) > _FRAMES_IN_TIP else []
        return "\n".join([*reversed(frames[-_FRAMES_IN_TIP:]), *more])

    return Field(
        title[:1].upper() + title[1:],
        lambda row: part_text(part(row), kind),
        lambda row: part(row).casefold(),
        0 if last else _KEY,
        tip=tip,
        mono=True,
    )


@dataclass(frozen=True, slots=True)
class BucketRow:
    """One bucket of a histogram, with the unit of the map's values and the count of all of its buckets."""

    bucket: Bucket
    unit: str
    whole: float


def bucket_rows(row: MapRow, one: ProbeMap) -> tuple[BucketRow, ...]:
    unit = unit_of_map(one)
    return tuple(BucketRow(bucket, unit, row.number) for bucket in row.buckets)


def bucket_table(parent: QObject | None = None) -> BarTable[BucketRow]:
    fields = (
        Field[BucketRow](
            "From, up to",
            lambda row: bucket_text(row.bucket, row.unit),
            lambda row: row.bucket.low if row.bucket.low is not None else float("-inf"),
            200,
            right=True,
            mono=True,
        ),
        Field[BucketRow]("Values", lambda row: count(row.bucket.count), lambda row: row.bucket.count, 90, right=True,
                         mono=True, muted=lambda row: not row.bucket.count),
        Field[BucketRow]("Share", lambda row: percent(row.bucket.count / (row.whole or 1)) if row.bucket.count else "",
                         lambda row: row.bucket.count, 0, mono=True),
    )  # fmt: skip
    return BarTable(fields, parent, bar=2, amount=lambda row: float(row.bucket.count))


def change_table(change: MapChange, parent: QObject | None = None) -> BarTable[KeyChange]:
    """Keys of both runs, the largest difference first."""
    one = change.map
    counted = one.kind in (MapKind.HIST, MapKind.LHIST)
    unit = "" if counted else unit_of_map(one)

    def figure(title: str, of: Callable[[KeyChange], float | None]) -> Field[KeyChange]:
        def text(row: KeyChange) -> str:
            value = of(row)
            return "" if value is None else value_text(value, unit)

        def key(row: KeyChange) -> float:
            value = of(row)
            return float("-inf") if value is None else value

        return Field(title, text, key, 110, right=True, mono=True)

    fields = [
        figure("Before", lambda row: row.before),
        figure("After", lambda row: row.after),
        figure("Difference", lambda row: row.difference),
        Field[KeyChange]("Change", change_text, lambda row: row.change if row.change is not None else float("-inf"), 90,
                         right=True, mono=True),
    ]  # fmt: skip
    width = max((len(row.key) for row in change.rows), default=0)
    keys = one.keys or ("",) * width
    titles = key_titles(one) or ("key",) * width
    for at, (title, kind) in enumerate(zip(titles, keys, strict=True)):
        last = at == len(keys) - 1
        fields.append(
            Field(
                title[:1].upper() + title[1:],
                lambda row, at=at, kind=kind: part_text(row.key[at], kind) if at < len(row.key) else "",  # type: ignore[misc]
                lambda row, at=at: row.key[at].casefold() if at < len(row.key) else "",  # type: ignore[misc]
                0 if last else _KEY,
                tip=lambda row, at=at: "\n".join(reversed(row.key[at].split("\n"))) if at < len(row.key) else "",  # type: ignore[misc]
                mono=True,
            )
        )
    if not keys:
        fields.append(Field("", lambda _row: "", lambda _row: "", 0))
    made = BarTable(fields, parent, bar=2, amount=lambda row: abs(row.difference))
    made.set_rows(change.rows)
    return made


def change_text(row: KeyChange) -> str:
    if row.before is None:
        return "new"
    if row.after is None:
        return "gone"
    return "" if row.change is None else with_percent(signed_percent(row.change, digits=1))


def list_fields() -> tuple[Field[ProbeMap], ...]:
    """The maps of a run, as a list to choose from."""
    return (
        Field[ProbeMap]("Map", lambda row: row.label, lambda row: row.label.casefold(), 0, tip=lambda row: row.name),
        Field[ProbeMap]("Total", total_text, lambda row: row.total, 84, right=True, mono=True),
    )


def total_text(one: ProbeMap) -> str:
    """What all its keys come to; nothing where a sum means nothing: of largest values, of averages."""
    if one.kind in (MapKind.HIST, MapKind.LHIST):
        return count(one.total)
    if one.kind is MapKind.VALUES and not one.unit:
        return ""
    return value_text(one.total, unit_of_map(one)) if "max" not in one.name else ""
