"""Functions of places: each distinct place once, module by module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE, FrameKind, FrameTable, SiteTable
from tailflame.model.stacks import Int32, Int64, readonly
from tailflame.parse.perf_frames import KERNEL_HALF, UNKNOWN, VSYSCALL, PerfFrame
from tailflame.parse.perfdata.chains import Chains
from tailflame.parse.perfdata.hashing import factorize, gathered, mixed
from tailflame.parse.perfdata.spaces import Image
from tailflame.parse.symbolize import NOWHERE, Module, Symbolizer

_JIT_SUFFIX = ".so"
_PAGE = np.uint64(0xFFF)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Distinct frames, and those that stand for each place: frames of place p are
    `of_place[first[p] : first[p + 1]]`, outermost first."""

    table: FrameTable
    first: Int64
    of_place: Int64

    def perf_frames(self) -> tuple[PerfFrame, ...]:
        table, strings = self.table, self.table.strings
        columns = (table.name, table.module, table.file, table.line, table.kind)
        return tuple(
            PerfFrame(strings[name], strings[m] if m >= 0 else "", FrameKind(kind), strings[f] if f >= 0 else "", line)
            for name, m, f, line, kind in zip(*(column.tolist() for column in columns), strict=True)
        )


class Places:
    """The places of `chains`, sorted by image, named by a Symbolizer. roots: names of threads, whose frames come
    first: frame n is that of root n."""

    def __init__(
        self,
        chains: Chains,
        images: Sequence[Image],
        roots: Sequence[str],
        symbolizer: Symbolizer,
        progress: Callable[[float], None],
    ) -> None:
        self._images = images
        self._symbolizer = symbolizer
        self._chains = chains
        self._roots = roots
        self._strings: dict[str, int] = {}
        self._seen: list[int] = []
        self._rows = _by_image(chains)
        count = len(chains.image)
        self._name = np.full(count, NONE, np.int64)
        self._linked = np.full(count, NOWHERE, np.uint64)
        self._start = np.zeros(count, np.uint64)
        modules = [self._string(_shown(image)) if _shown(image) else NONE for image in images]
        self._module = np.array([*modules, NONE], np.int64)[chains.image]
        kinds = [_kind(image) for image in images]
        high = (chains.offset >= np.uint64(KERNEL_HALF)) & (chains.offset & ~_PAGE != np.uint64(VSYSCALL))
        plain = np.where(chains.kernel | high, int(FrameKind.KERNEL), int(FrameKind.USER))
        self._kind = np.where(chains.image < 0, plain, np.array([*kinds, 0], np.int64)[chains.image])
        asked = [_module(images[number]) for number in self._rows]
        symbolizer.expect(module for module in asked if module is not None)
        done = 0
        for number, rows in self._rows.items():
            progress(done / max(count, 1))
            self._name_image(number, rows)
            done += len(rows)
        unnamed = self._name < 0
        bases = [self._string(f"[{image.path.rsplit('/', 1)[-1]}]") for image in images]
        self._name[unnamed] = np.array([*bases, self._string(UNKNOWN)], np.int64)[chains.image[unnamed]]

    def physical(self) -> Frames:
        """One frame per place, but for JIT symbols into which inlined methods are packed (`outer->inner`)."""
        count = len(self._name)
        none = np.full(count, NONE, np.int64)
        packed = self._packed()
        if not packed:
            return self._frames(np.arange(count + 1), self._name, self._module, none, none, self._kind)
        size = np.array([len(packed.get(int(name), (0,))) for name in self._name], np.int64)
        owner = np.repeat(np.arange(count), size)
        first = np.concatenate([[0], np.cumsum(size)])
        step = np.arange(len(owner)) - first[owner]
        names = np.array(
            [packed[int(n)][s] if int(n) in packed else n for n, s in zip(self._name[owner], step, strict=True)],
            np.int64,
        )
        kind = np.where(step > 0, int(FrameKind.INLINED), self._kind[owner])
        return self._frames(first, names, self._module[owner], none[owner], none[owner], kind)

    def expanded(self, progress: Callable[[float], None]) -> Frames:
        """With source lines and inlined functions, where debug information tells them."""
        chains = self._chains
        count = len(self._name)
        plain = self.physical()
        size = np.diff(plain.first)
        table = plain.table
        answers: list[tuple[Int64, Int64, Int64, Int64, Int64]] = []  # place, name, file, line, step
        done = 0
        for number, rows in self._rows.items():
            progress(done / max(count, 1))
            done += len(rows)
            module = _module(self._images[number])
            if module is None or module.kind is not FrameKind.USER:
                continue
            found = self._symbolizer.inlined(module, chains.offset[rows], chains.exact[rows])
            first = found.first.astype(np.int64)
            runs = np.diff(first)
            step = np.arange(len(found.name)) - np.repeat(first[:-1], runs)
            strings = self._renumbered()
            # The physical function keeps the name that its symbol gave it.
            place = np.repeat(rows, runs)
            name = np.where(step == 0, self._name[place], strings[found.name])
            answers.append((place, name, strings[found.file], found.line.astype(np.int64), step))
            size[rows[runs > 0]] = runs[runs > 0]
        progress(1.0)
        if not answers:
            return plain
        first = np.concatenate([[0], np.cumsum(size)])
        owner = np.repeat(np.arange(count), size)
        columns = [np.full(len(owner), NONE, np.int64) for _ in range(5)]
        known = np.zeros(count, np.bool_)
        for place, name, file, line, step in answers:
            at = first[place] + step
            kind = np.where(step > 0, int(FrameKind.INLINED), self._kind[place])
            for column, values in zip(columns, (name, self._module[place], file, line, kind), strict=True):
                column[at] = values
            known[place] = True
        others = np.flatnonzero(~known)
        length = np.diff(plain.first)[others]
        at, frames = gathered(first[others], length), plain.of_place[gathered(plain.first[others], length)]
        for column, values in zip(columns, (table.name, table.module, table.file, table.line, table.kind), strict=True):
            column[at] = values[frames]
        return self._frames(first, *columns)

    def sites(self) -> tuple[SiteTable, Int32]:
        """The instructions that were sampled, and of each stack the row of its own."""
        leaf = self._chains.tops()
        known = leaf >= 0
        known[known] &= (self._linked[leaf[known]] != np.uint64(NOWHERE)) & (self._module[leaf[known]] >= 0)
        place = leaf[known]
        key = mixed(self._linked[place]) + self._module[place].astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
        number, first = factorize(key)
        site = np.full(len(leaf), NONE, np.int64)
        site[known] = number
        table = SiteTable(
            module=readonly(self._module[place[first]], np.int32),
            address=readonly(self._linked[place[first]], np.uint64),
        )
        return table, site.astype(np.int32)

    @property
    def states(self) -> Mapping[str, object]:
        return self._symbolizer.states

    def _name_image(self, number: int, rows: Int64) -> None:
        image = self._images[number]
        offsets = self._chains.offset[rows]
        self._linked[rows] = offsets
        if image.symbol:
            self._name[rows] = self._string(image.symbol)
            return
        module = _module(image)
        if module is None:
            return
        found = self._symbolizer.names(module, offsets)
        self._linked[rows] = found.address
        self._start[rows] = found.start
        self._name[rows] = self._renumbered()[found.name]

    def _renumbered(self) -> Int64:
        """Our number of each of the Symbolizer's strings; the last entry is that of -1."""
        strings = self._symbolizer.strings
        self._seen += [self._string(text) for text in strings[len(self._seen) :]]
        return np.array([*self._seen, NONE], np.int64)

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _packed(self) -> dict[int, tuple[int, ...]]:
        """JIT names that perf-map-agent packs: `Lcom/Outer;::run->Lcom/Inner;::step`."""
        jit = self._kind == int(FrameKind.JIT)
        if not jit.any():
            return {}
        by_number = list(self._strings)
        found: dict[int, tuple[int, ...]] = {}
        for number in np.unique(self._name[jit]).tolist():
            parts = [
                part[1:] if part.startswith("L") and "/" in part else part for part in by_number[number].split("->")
            ]
            if len(parts) > 1 or parts[0] != by_number[number]:
                found[number] = tuple(self._string(part) for part in parts)
        return found

    def _frames(self, first: Int64, name: Int64, module: Int64, file: Int64, line: Int64, kind: Int64) -> Frames:
        """Numbers equal frames, behind those of the roots."""
        roots = np.array([self._string(root) for root in self._roots], np.int64)
        none = np.full(len(roots), NONE, np.int64)
        columns = [
            np.concatenate(both)
            for both in (
                (roots, name),
                (none, module),
                (none, file),
                (none, line),
                (np.full(len(roots), int(FrameKind.OTHER)), kind),
            )
        ]
        key = np.zeros(len(columns[0]), np.uint64)
        for column in columns:
            key = mixed(key + (column + 1).astype(np.uint64))
        number, one = factorize(key)
        name, module, file, line, kind = (column[one] for column in columns)
        table = FrameTable(
            strings=tuple(self._strings),
            name=readonly(name, np.int32),
            module=readonly(module, np.int32),
            file=readonly(file, np.int32),
            line=readonly(line, np.int32),
            kind=readonly(kind, np.uint8),
        )
        return Frames(table, first, number[len(roots) :])


def _by_image(chains: Chains) -> dict[int, Int64]:
    """The places of each image, by offset."""
    order = np.lexsort((chains.offset, chains.image))
    image = chains.image[order]
    edges = np.flatnonzero(np.diff(image, prepend=-2, append=-3))
    return {
        int(image[begin]): order[begin:end]
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if image[begin] >= 0
    }


def _module(image: Image) -> Module | None:
    """None where it has no functions: `[heap]`, `[stack]`, `//anon`."""
    if image.path.startswith("[") and image.kind is FrameKind.USER and not image.path.startswith("[vdso"):
        return None
    if image.symbol or not image.path or image.path.startswith("//"):
        return None
    return Module(image.path, image.build_id, image.kind, image.pid, image.inode)


def _shown(image: Image) -> str:
    return image.path


def _kind(image: Image) -> int:
    is_jit = image.path.rsplit("/", 1)[-1].startswith("jitted-") and image.path.endswith(_JIT_SUFFIX)
    return int(FrameKind.JIT if is_jit else image.kind)
