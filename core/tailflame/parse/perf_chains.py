"""Call chains of `perf script`, from text to numbered stacks.

The texts repeat themselves: a whole chain, or at least all of it but the leaf, has nearly always been seen before.
Chains are therefore looked up as text, then their callers' part, then their lines; only what is new is parsed.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field

import numpy as np

from tailflame.model import NONE, FrameKind, StackTable
from tailflame.model.stacks import Int32
from tailflame.parse.perf_frames import KERNEL_HALF, PerfFrame, frames_of
from tailflame.parse.perf_records import header_of
from tailflame.parse.trie import Trie

_BATCH = 16_000_000
"""Frames held as plain numbers before they are merged into the trie."""
_CACHE = 48 * 1024 * 1024
"""Characters of chains remembered."""
_LINES = 64 * 1024 * 1024
"""Characters of lines remembered: what is forgotten is taken apart again."""

_INLINED = "(inlined)"
_KERNEL = "\tffff"
_STRIPPED_FRAME = re.compile(r"[0-9a-f]{6,16} .*\(.*\)$")
_FRAMEISH = re.compile(r"\s+(?:0x)?[0-9a-f]{1,16}(?:\s|$)")


_TRIAL, _WORTH, _PROBES = 1_024, 0.02, 16
"""Texts after which it is looked whether they ever come again, the share of them that should, and of how many that are
not kept one is, to notice when they do."""


@dataclass(slots=True)
class Recurrence:
    """Whether texts come again, so that it pays to keep them: to keep thousands for nothing takes longer than all
    else."""

    pays: bool = True
    _hits: int = 0
    _misses: int = 0

    def hit(self) -> None:
        self._hits += 1

    def missed(self) -> bool:
        """Whether to keep the text that was not known."""
        self._misses += 1
        if not self._misses % _TRIAL:
            self.pays = self._hits >= _WORTH * _TRIAL / (1 if self.pays else _PROBES)
            self._hits = 0
        return self.pays or not self._misses % _PROBES


@dataclass(slots=True)
class Chains:
    """Numbers distinct stacks. A chain's text is its lines, innermost first.

    keep_addresses: whether frames that differ only in their address stay apart, to be looked up in debug
    information later, or are one.
    """

    keep_addresses: bool = False
    frames: dict[PerfFrame, int] = field(default_factory=dict)
    _known: dict[int, dict[str, int]] = field(default_factory=dict)
    """By root frame: the stack of each chain seen of late."""
    _callers: dict[str, list[int]] = field(default_factory=dict)
    """A chain's text without its leaf: its frames, root first."""
    _interrupted: dict[str, list[int]] = field(default_factory=dict)
    """The same below a leaf in the kernel: the first user frame is where it was entered, not a caller."""
    _groups: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """A line, with its source line and the inlined frames above it: its frames, outermost first."""
    _exact: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The same for leaves, and for what the kernel interrupted."""
    _single: dict[str, int] = field(default_factory=dict)
    """Of `_groups`, the lines that are one frame: nearly all."""
    _remembered: int = 0
    _lines: int = 0
    recurring: Recurrence = field(default_factory=Recurrence)
    """Of whole chains; whoever finds one in `known` says so."""
    _recurring_callers: Recurrence = field(default_factory=Recurrence)
    _trie: Trie = field(default_factory=Trie)
    _flat: array[int] = field(default_factory=lambda: array("i"))
    _lengths: array[int] = field(default_factory=lambda: array("i"))
    _leaves: list[Int32] = field(default_factory=list)
    _stacks: int = 0

    def frame(self, frame: PerfFrame, *, exact: bool = True) -> int:
        name, module, kind, file, line, address, offset, _ = frame
        if self.keep_addresses:
            frame = PerfFrame(name, module, kind, file, line, address, offset, exact)
        else:
            frame = PerfFrame(name, module, kind, file, line)
        return self.frames.setdefault(frame, len(self.frames))

    def root(self, comm: str) -> int:
        """The frame of a process or thread name; -1 for none."""
        return self.frame(PerfFrame(comm, kind=FrameKind.OTHER)) if comm else NONE

    def known(self, root: int) -> dict[str, int]:
        """The stacks below `root` by their text, as far as they are remembered."""
        return self._known.setdefault(root, {})

    def stack(self, chain: str, root: int) -> int:
        """The number of a chain's stack below `root`; -1 where a line of it is no frame."""
        known = self.known(root)
        number = known.get(chain)
        if number is not None:
            self.recurring.hit()
            return number
        frames = self.parsed(chain)
        if frames is None:
            return NONE
        number = self.add(frames, root)
        if self.recurring.missed():
            self._remember(len(chain))
            known[chain] = number
        return number

    def add(self, frames: list[int], root: int) -> int:
        """The number of the stack of `frames`, root first, below `root`. Equal stacks may get several numbers."""
        if root >= 0:
            self._flat.append(root)
        self._flat.extend(frames)
        self._lengths.append(len(frames) + (root >= 0))
        if len(self._flat) > _BATCH:
            self._merge()
        self._stacks += 1
        return self._stacks - 1

    def parsed(self, chain: str) -> list[int] | None:
        """The frames of a chain's text, root first; None where a line of it is no frame."""
        if not chain:
            return []
        leaf_end = _group_end(chain)
        leaf, rest = chain[:leaf_end], chain[leaf_end + 1 :]
        in_kernel = leaf.startswith(_KERNEL)
        callers = self._known_callers(rest, in_kernel=in_kernel) if rest else []
        if callers is None:
            return None
        frames = self._exact.get(leaf) or self._group(leaf, exact=True)
        return None if frames is None else [*callers, *frames]

    def finish(self) -> tuple[StackTable, Int32]:
        """The distinct stacks as a trie, and the row of each number that `stack` and `add` gave."""
        self._merge()
        stacks, place = self._trie.ordered()
        place = np.append(place, np.int32(NONE))  # which -1 reads: a stack without frames
        return stacks, place[np.concatenate([np.empty(0, np.int32), *self._leaves])]

    def _known_callers(self, rest: str, *, in_kernel: bool) -> list[int] | None:
        known = self._interrupted if in_kernel else self._callers
        callers = known.get(rest) if known else None
        if callers is not None:
            self._recurring_callers.hit()
            return callers
        callers = self._parse(rest, in_kernel=in_kernel)
        if callers is not None and self._recurring_callers.missed():
            self._remember(len(rest))
            known[rest] = callers
        return callers

    def _parse(self, chain: str, *, in_kernel: bool) -> list[int] | None:
        lines = chain.split("\n")
        if not in_kernel:
            single = list(map(self._single.get, lines))
            if None not in single:
                single.reverse()
                return single  # type: ignore[return-value]
        if "\n " in chain:
            lines = _with_sources(lines)
        if _INLINED in chain:
            lines = _grouped(lines)
        found = list(map(self._groups.get, lines))
        if in_kernel:
            entered = next((i for i, line in enumerate(lines) if not line.startswith(_KERNEL)), NONE)
            if entered >= 0:
                found[entered] = self._exact.get(lines[entered]) or self._group(lines[entered], exact=True)
                if found[entered] is None:
                    return None
        if None in found:
            for index, line in enumerate(lines):
                if found[index] is None:
                    found[index] = self._group(line, exact=False)
                    if found[index] is None:
                        return None
        found.reverse()
        return [frame for frames in found if frames for frame in frames]

    def _group(self, text: str, *, exact: bool) -> tuple[int, ...] | None:
        """The frames of one physical frame's lines, outermost first; None where one is no frame.

        perf marks the last frame of a run of inlined ones "(inlined)" as well, without a frame of its own for the
        function they are inlined into, where debug information and symbol table name that differently
        (`__libc_start_main_impl`): what has another address than its caller is not inlined into it.
        """
        if exact and not self.keep_addresses:  # it is all the same then
            exact = False
            if text in self._groups:
                return self._groups[text]
        numbers: list[int] = []
        module, address = "", NONE
        for line in reversed(_with_sources(text.split("\n"))) if "\n" in text else (text,):
            if not line.startswith("\t") and _is_header(line):
                return None
            frames = frames_of(line)
            if frames is None:
                return None
            for frame in frames:
                if frame.kind is not FrameKind.INLINED:
                    module, address = frame.module, frame.address
                elif frame.address == address:
                    frame = frame._replace(module=module)
                else:
                    module, address = "", frame.address
                    kind = FrameKind.KERNEL if address >= KERNEL_HALF else FrameKind.USER
                    frame = frame._replace(kind=kind)
                numbers.append(self.frame(frame, exact=exact))
        self._lines += len(text)
        if self._lines > _LINES:
            for memory in (self._groups, self._exact, self._single):
                memory.clear()
            self._lines = len(text)
        found = tuple(numbers)
        (self._exact if exact else self._groups)[text] = found
        if not exact and len(found) == 1 and _INLINED not in text:
            self._single[text] = found[0]
        return found

    def _remember(self, characters: int) -> None:
        self._remembered += characters
        if self._remembered > _CACHE:
            for known in self._known.values():
                known.clear()
            self._callers.clear()
            self._interrupted.clear()
            self._remembered = characters

    def _merge(self) -> None:
        self._leaves.append(self._trie.add(np.frombuffer(self._flat, np.int32), self._lengths))
        self._flat = array("i")
        self._lengths = array("i")


def is_below(line: str) -> bool:
    """Whether a line that does not begin with perf's tab belongs to the sample above it: a frame whose tab became
    blanks or was taken away, or a source line. A header without call chain begins with blanks as well."""
    if line.startswith(" "):
        may_be = _FRAMEISH.match(line) is not None or line[2:3] not in ("", " ")
    else:
        may_be = _STRIPPED_FRAME.match(line) is not None
    return may_be and not _is_header(line)


def is_bare_frame(line: str) -> bool:
    """Whether a line is a frame alone, as `-F ip,sym` prints a sample without call chain."""
    return _FRAMEISH.match(line) is not None and not _is_header(line)


def _is_header(line: str) -> bool:
    header = header_of(line, frames_follow=False)
    return header is not None and bool(header.comm or header.event or header.time_ns != NONE)


def _group_end(chain: str) -> int:
    """Where the lines of the innermost physical frame end."""
    start = 0
    while True:
        end = chain.find("\n", start)
        if end < 0:
            return len(chain)
        below = chain[end + 1 : end + 3]
        if below == "  " and chain[end + 3 : end + 4] not in ("", " "):
            end = chain.find("\n", end + 1)  # its source line
            if end < 0:
                return len(chain)
        if not chain.endswith(_INLINED, start, end):
            return end
        start = end + 1


def _with_sources(lines: list[str]) -> list[str]:
    """Lines with the source line (`  main.c:12`) that stands below some of them appended."""
    joined: list[str] = []
    for line in lines:
        if joined and line.startswith("  ") and line[2:3] not in ("", " "):
            joined[-1] = f"{joined[-1]}\n{line}"
        else:
            joined.append(line)
    return joined


def _grouped(lines: list[str]) -> list[str]:
    """Each physical frame in one piece with the inlined ones above it."""
    groups: list[str] = []
    open_group = False
    for line in lines:
        if open_group:
            groups[-1] = f"{groups[-1]}\n{line}"
        else:
            groups.append(line)
        open_group = line.endswith(_INLINED)
    return groups
