"""Where a command's words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tailflame.errors import TailflameError
from tailflame.model import Caution

Report: TypeAlias = Callable[[float], None]
"""Takes the share done, 0 to 1."""

_UNLIMITED = 100_000
"""Columns where stdout is no terminal: a pipe gets every name whole."""

# Colour-blind-safe, as in the window: blue for less, orange for more.
STYLES = {"more": "dark_orange", "less": "dodger_blue1", "noise": "bright_black", "warn": "yellow", "bad": "red"}


class _Console(Console):
    """rich's own answer to a broken pipe is to exit with 1 at once; ours is to let `main` say 141."""

    def on_broken_pipe(self) -> None:
        raise


def set_stdout(*, encoding: str | None, errors: str) -> None:
    """How text becomes bytes on stdout; `encoding` None leaves the locale's."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=encoding or sys.stdout.encoding, errors=errors)


class Terminal:
    """stdout and stderr of one command. With `json`, stdout holds one JSON document and nothing else."""

    def __init__(self, *, json: bool = False, details: bool = False) -> None:
        self.as_json = json
        self.details = details
        # In a locale without ö a \\xf6 is better than a fault; JSON is UTF-8 everywhere.
        set_stdout(encoding="utf-8" if json else None, errors="backslashreplace")
        width = None if sys.stdout.isatty() else _UNLIMITED
        self.out = _Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
        self.err = _Console(file=sys.stderr, stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def line(self, text: str | Text = "", *, style: str | None = None, command: bool = False) -> None:
        """A line of the result. A `command` is to be copied: line ends within its words stay."""
        if not self.as_json:
            self.out.print(_shown(text, line_ends=command), style=style, soft_wrap=True)

    def lines(self, text: str) -> None:
        """A whole text of the result, line by line."""
        for line in text.split("\n"):  # not splitlines: what else it takes for a line's end is a name's to hold
            self.line(line)

    def table(self, table: Table) -> None:
        """Columns in which every cell is empty are left out."""
        if self.as_json:
            return
        for column in list(table.columns):
            if table.row_count and not any(str(cell) for cell in column.cells) and column.header:
                table.columns.remove(column)
        if self.out.is_terminal:
            self.out.print(table)
            return
        with self.out.capture() as drawn:
            self.out.print(table)
        # rich pads every row to the full width, which a pipe has no use for.
        self.out.out("\n".join(line.rstrip() for line in drawn.get().splitlines()), highlight=False)

    def document(self, document: dict[str, Any]) -> None:
        """The result as JSON, where that was asked for."""
        if self.as_json:
            print(json.dumps(finite(document), indent=1, ensure_ascii=False), flush=True)

    def note(self, text: str, *, style: str | None = None) -> None:
        """Something that is not the result: to stderr."""
        self.err.print(_shown(text, line_ends=True), style=style)

    def caution(self, caution: Caution) -> None:
        """What spoils a result stands with the result."""
        self.line(
            Text.assemble(("! ", STYLES["warn"]), caution.text, (f"  {caution.fix}" if caution.fix else "", "dim"))
        )

    def error(self, error: TailflameError) -> None:
        """One sentence, the fix, and the tool's own words where --details asks for them."""
        self.err.print(Text.assemble(("tailflame: ", "bold"), printable(error.sentence)))
        if error.advice:
            self.err.print(Text.assemble(("  fix: ", "bold"), printable(error.advice, line_ends=True)))
        if self.details and error.details:
            for line in error.details.splitlines():
                self.err.print(f"  | {printable(line)}")

    @contextmanager
    def progress(self, title: str) -> Iterator[Report]:
        """A bar on stderr while the block runs, where stderr is a terminal; otherwise silence."""
        if not self.err.is_terminal:
            yield lambda share: None
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
        )
        with bar:
            task = bar.add_task(title, total=1.0)
            yield lambda share: bar.update(task, completed=min(max(share, 0.0), 1.0))

    @contextmanager
    def status_line(self) -> Iterator[StatusLine]:
        """One line at the bottom that is written over, where stderr is a terminal."""
        status = StatusLine(shown=self.err.is_terminal)
        try:
            yield status
        finally:
            status.clear()


class StatusLine:
    """Written over in place. Whoever prints meanwhile clears it first."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._drawn = False

    def show(self, text: str) -> None:
        if self._shown:
            columns = max(Console(stderr=True).width - 1, 20)
            sys.stderr.write(f"\r\x1b[K{text[:columns]}")
            sys.stderr.flush()
            self._drawn = True

    def clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False


def plain_table(*columns: str | tuple[str, str]) -> Table:
    """A quiet table: columns are a header, or (header, "right")."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        header, side = column if isinstance(column, tuple) else (column, "left")
        table.add_column(
            header,
            justify="right" if side == "right" else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def add_row(table: Table, cells: Sequence[str | Text], *, style: str | None = None) -> None:
    """A row of plain text: nothing in a function's name is taken for markup."""
    table.add_row(*(Text(printable(c)) if isinstance(c, str) else c for c in cells), style=style)


def printable(text: str, *, line_ends: bool = False) -> str:
    """Undecodable bytes and control characters made visible: a name must not steer the terminal, nor break its line
    unless `line_ends` are wanted."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    kept = "\n\t" if line_ends else "\t"
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in safe)


def _shown(text: str | Text, *, line_ends: bool) -> str | Text:
    if isinstance(text, str):
        return printable(text, line_ends=line_ends)
    safe = printable(text.plain, line_ends=line_ends)
    if safe != text.plain:
        text.plain = safe
    return text


def finite(value: Any) -> Any:
    """JSON knows no infinity: such a number becomes null. Undecodable names are made printable."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value
