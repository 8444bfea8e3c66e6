"""The instructions of a function with their costs, and the lines that lead from jumps to their targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QObject

from tailflame.analyse.annotate import InstructionLines
from tailflame.analyse.names import short
from tailflame.host.disassembly import Disassembly
from tailflame.model.stacks import NONE, Float64, Int64
from tailflame.units import count, percent
from tailflame_gui.models.code_lines import CodeColumn, CodeLines, CodeRole, Face, RowKind, share_of, shown_place

SELF, JUMPS, ADDRESS, TEXT, PLACE = range(5)
_COLUMNS = (
    CodeColumn("Self %", "Samples at this instruction. Processors report a late one: what waits is often the "
               "instruction before.", Face.SHARE),
    CodeColumn("", "Jumps within the function.", Face.JUMPS),
    CodeColumn("Address", "As linked, in hexadecimal.", Face.NUMBER),
    CodeColumn("Instruction", "F follows a jump or a call. Enter opens the source in the editor.", Face.CODE),
    CodeColumn("Written at", "The source line that it was compiled from.", Face.PLACE),
)  # fmt: skip
LANES = 5
"""Jumps that are drawn beside each other; what does not fit is drawn only when it is current."""
_JUMPS_DRAWN = 2000
_MNEMONIC = 8
"""Characters that a mnemonic takes at least, with the blank behind it."""


class Part:
    """What of a lane a row shows."""

    THROUGH, START, END = range(3)


class AssemblyLines(CodeLines):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._code: Disassembly | None = None
        self._weight: Float64 = np.zeros(0)
        self._samples: Float64 = np.zeros(0)
        self._whole = self._sampled = 0.0
        self._largest = 1.0
        self._lines: InstructionLines | None = None
        self._on_row: dict[int, list[tuple[int, int, bool]]] = {}

    @property
    def columns(self) -> tuple[CodeColumn, ...]:
        return _COLUMNS

    @property
    def code(self) -> Disassembly | None:
        return self._code

    @property
    def lines(self) -> InstructionLines | None:
        return self._lines

    def clear(self) -> None:
        self.beginResetModel()
        self._code = self._lines = None
        self._weight = self._samples = np.zeros(0)
        self._on_row = {}
        self._renewed()
        self.endResetModel()

    def set_code(self, code: Disassembly, weight: Float64, samples: Float64, *, whole: float) -> None:
        """weight, samples: per instruction; whole: what 100 % means."""
        self.beginResetModel()
        self._code, self._weight, self._samples, self._whole = code, weight, samples, whole
        self._lines = None
        self._on_row = _lanes(code)
        self._largest = float(weight.max(initial=0)) or 1.0
        self._sampled = float(samples.sum())
        self._renewed()
        self.endResetModel()
        self._remark()

    def set_lines(self, lines: InstructionLines | None) -> None:
        """Where each instruction was written, once that is known."""
        self._lines = lines
        self._repaint()

    def rows_of(self, file: str, line: int) -> Int64:
        """Instructions that were compiled from a line, or inlined into it."""
        return self._lines.of(file, line) if self._lines is not None else np.zeros(0, dtype=np.int64)

    def places(self, row: int) -> list[tuple[str, int]]:
        """(file, line) of a row, innermost first."""
        lines = self._lines
        return [(lines.file[at], int(lines.line[at])) for at in lines.chain(row)] if lines is not None else []

    def target(self, row: int) -> int:
        """The row that a jump leads to, -1 where there is none."""
        return int(self._code.target[row]) if self._code is not None else NONE

    # CodeLines

    def size(self) -> int:
        return len(self._code) if self._code is not None else 0

    def heat(self) -> Float64:
        return self._weight

    def text(self, row: int) -> str:
        code = self._held()
        text, callee = code.text[row], code.callee[row]
        mnemonic, _, rest = text.partition(" ")
        if callee:  # whole names, with their generics, are in the tip
            rest = short(callee)
        elif code.target[row] >= 0:
            rest = f"{int(code.address[code.target[row]]):x}"
        return f"{mnemonic:<{_MNEMONIC - 1}} {rest}".rstrip()

    def widest(self) -> int:
        code = self._code
        if code is None:
            return 0
        links = {row for row, callee in enumerate(code.callee) if callee} | set(
            np.flatnonzero(code.target >= 0).tolist()
        )
        plain = (len(text) for row, text in enumerate(code.text) if row not in links)
        return _MNEMONIC + max(max(plain, default=0), max((len(self.text(row)) for row in links), default=0))

    def widest_number(self) -> int:
        return len(f"{int(self._code.address[-1]):x}") if self.size() and self._code is not None else 4

    def cell(self, column: int, row: int) -> str:
        match column:
            case 0:
                return share_of(float(self._weight[row]), self._whole, self._sampled)
            case 1:
                return ""
            case 2:
                return f"{int(self._held().address[row]):x}"
            case 3:
                return self.text(row)
            case _:
                return shown_place(*self.place(row))

    def code_role(self, role: CodeRole, column: int, row: int) -> Any:
        match role:
            case CodeRole.RANK:
                return int(RowKind.INSTRUCTION)
            case CodeRole.DEPTH:
                return 0
            case CodeRole.SHARE:
                return float(self._weight[row]) / self._largest if column == SELF else None
            case CodeRole.HEAT:
                return float(self._weight[row]) / self._largest
            case CodeRole.LANES:
                return tuple(self._on_row.get(row, ()))
            case CodeRole.LINK:
                code = self._held()
                return _MNEMONIC if code.target[row] >= 0 or code.callee[row] else NONE
            case CodeRole.NAME:
                return ""
            case _:
                return None

    def place(self, row: int) -> tuple[str, int]:
        places = self.places(row)
        return places[0] if places else ("", NONE)

    def function(self, row: int) -> str:
        return self._held().callee[row]

    def tip(self, row: int) -> str:
        code = self._held()
        lines = [code.text[row], *([code.callee[row]] if code.callee[row] else []), f"bytes {code.code[row]}"]
        if self._weight[row]:
            share = float(self._weight[row]) / (self._whole or 1.0)
            lines.append(f"{percent(share)}, {count(float(self._samples[row]))} samples")
        if self._lines is not None:
            held = self._lines
            for depth, at in enumerate(held.chain(row)):
                word = "inlined into" if depth else "written in"
                lines.append(f"{word} {held.name[at]}, {held.file[at]}:{held.line[at]}")
        return "\n".join(lines)

    def _held(self) -> Disassembly:
        assert self._code is not None, "Qt asks nothing of a model without rows"
        return self._code


def _lanes(code: Disassembly) -> dict[int, list[tuple[int, int, bool]]]:
    """Per row what to draw: (lane, Part, backward). Short jumps stand nearest to the text."""
    jumps = [(min(row, to), max(row, to), to, row) for row, to in enumerate(code.target.tolist()) if to >= 0]
    jumps.sort(key=lambda jump: (jump[1] - jump[0], jump[0]))
    taken: list[list[tuple[int, int]]] = [[] for _ in range(LANES)]
    on_row: dict[int, list[tuple[int, int, bool]]] = {}
    cells = 0
    for first, last, to, row in jumps[:_JUMPS_DRAWN]:
        lane = next((at for at, spans in enumerate(taken) if all(last < a or first > b for a, b in spans)), NONE)
        if lane < 0 or cells > 200_000:
            continue
        taken[lane].append((first, last))
        cells += last - first
        for at in range(first, last + 1):
            part = Part.START if at == row else Part.END if at == to else Part.THROUGH
            on_row.setdefault(at, []).append((lane, part, to <= row))
    return on_row
