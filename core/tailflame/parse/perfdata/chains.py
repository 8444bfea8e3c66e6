"""Call chains: millions of them made a few thousand distinct ones, and these made numbers of distinct places.

A chain is a run of words, innermost first, in which context markers (PERF_CONTEXT_KERNEL, PERF_CONTEXT_USER) say whose
the addresses behind them are. The sampled instruction differs from sample to sample where the callers are the same: the
two are told apart from the start, so that each row of callers is looked at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Bool, Int64, UInt64
from tailflame.parse.perfdata.hashing import factorize, gathered, mixed, run_hashes
from tailflame.parse.perfdata.samples import Columns
from tailflame.parse.perfdata.spaces import Spaces

_FIRST_MARKER = np.uint64((1 << 64) - 4095)
_KERNEL_MARK, _USER_MARK, _HYPERVISOR_MARK = (np.uint64((1 << 64) - n) for n in (128, 512, 32))
MODE_KERNEL, MODE_USER, MODE_HYPERVISOR = 1, 2, 3
"""PERF_RECORD_MISC_CPUMODE_*: whose an address is."""
CPU_MODE = 7
_KEY = np.uint64(0xC2B2_AE3D_27D4_EB4F)


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Distinct stacks, rows of callers, and places.

    stack: of each sample, a row of the next three; root: the number of its thread's name; callers: a row of callers;
    leaf: the place on top (-1: it is the innermost of `callers`). frames: the places of each row of callers one after
    another, innermost first; length: places per row. image, offset: of each place (image -1: not known; the offset is
    the address then); exact: whether it is the sampled instruction, or the one at which the kernel was entered, and not
    an address that a call returns to; kernel: whether it is the kernel's address.
    broken: samples whose chain was given up, because it held impossible addresses; their top is known.
    """

    stack: Int64
    root: Int64
    callers: Int64
    leaf: Int64
    frames: Int64
    length: Int64
    image: Int64
    offset: UInt64
    exact: Bool
    kernel: Bool
    broken: int

    def tops(self) -> Int64:
        """The place on top of each stack; -1 where it has none."""
        begin = np.cumsum(self.length) - self.length
        innermost = np.full(len(self.length), NONE, np.int64)
        has = self.length > 0
        innermost[has] = self.frames[begin[has]]
        return np.where(self.leaf >= 0, self.leaf, innermost[self.callers])


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The parts of each sample's chain: the sampled address and whose it is, and the run of words behind it.

    regular: whether the chain begins with an address, or with a marker and an address.
    """

    regular: Bool
    address: UInt64
    mode: Int64
    start: Int64
    size: Int64


def distinct(words: UInt64, columns: Columns, comm: Int64, space: Int64, kernel_space: Int64, spaces: Spaces) -> Chains:
    """words: of the file; comm: number of each sample's thread name; space, kernel_space: those of its process and of
    the kernel, at its time."""
    parts = _parts(words, columns)
    key = run_hashes(words, parts.start, parts.start + parts.size)
    where = (space + 1).astype(np.uint64) * _KEY + (kernel_space + 1).astype(np.uint64) * _KEY * _KEY
    key ^= mixed(where + (parts.mode * 2 + parts.regular).astype(np.uint64))
    callers, first = factorize(key)
    address, owner, mode, exact, wrong = _addresses(words, parts, first)
    length = np.bincount(owner, minlength=len(first))

    alone = wrong[callers] | ~parts.regular & (length[callers] == 0)
    leaf_address = np.where(alone, columns.ip, parts.address)
    leaf_mode = np.where(alone, columns.misc & CPU_MODE, parts.mode)
    leaf_space = _in_space(leaf_mode, space, kernel_space)
    leaf, first_leaf = factorize(_place_key(leaf_address, leaf_space, leaf_mode == MODE_KERNEL, True))

    # Every address once; then every place once: several processes, or moments of one, have the same code elsewhere.
    every = np.concatenate([address, leaf_address[first_leaf]])
    whose = np.concatenate([mode, leaf_mode[first_leaf]])
    within = np.concatenate([_in_space(mode, space[first][owner], kernel_space[first][owner]), leaf_space[first_leaf]])
    is_exact = np.concatenate([exact, np.ones(len(first_leaf), np.bool_)])
    in_kernel = whose == MODE_KERNEL
    number, one = factorize(_place_key(every, within, in_kernel, is_exact))
    image, offset = spaces.lookup(within[one], every[one])
    place, one_place = factorize(_place_key(offset, image, in_kernel[one], is_exact[one]))
    kept = one[one_place]

    leaf_place = place[number[len(address) :]][leaf]
    leaf_place[~(alone | parts.regular)] = NONE
    key = mixed(callers.astype(np.uint64) * _KEY + (leaf_place + 1).astype(np.uint64)) + comm.astype(np.uint64) * _KEY
    stack, first_stack = factorize(key)
    return Chains(
        stack=stack,
        root=comm[first_stack],
        callers=callers[first_stack],
        leaf=leaf_place[first_stack],
        frames=place[number[: len(address)]],
        length=length,
        image=image[one_place],
        offset=offset[one_place],
        exact=is_exact[kept],
        kernel=in_kernel[kept],
        broken=int((alone & (columns.chain_size > 0)).sum()),
    )


def _place_key(address: UInt64, where: Int64, in_kernel: Bool, exact: Bool | bool) -> UInt64:
    traits = np.asarray(exact).astype(np.uint64) * np.uint64(2) + in_kernel
    return mixed(address) + ((where + 1).astype(np.uint64) * np.uint64(4) + traits) * _KEY


def _in_space(mode: Int64, space: Int64, kernel_space: Int64) -> Int64:
    found = np.where(mode == MODE_KERNEL, kernel_space, space)
    found[mode > MODE_USER] = NONE
    return found


def _modes(markers: UInt64) -> Int64:
    """Whose the addresses behind a marker are; -1 where perf knows no such marker."""
    return np.select(
        [markers == _KERNEL_MARK, markers == _USER_MARK, markers == _HYPERVISOR_MARK],
        [MODE_KERNEL, MODE_USER, MODE_HYPERVISOR],
        -1,
    )


def _parts(words: UInt64, columns: Columns) -> _Parts:
    at, size = columns.chain_at, columns.chain_size
    if not len(words):
        words = np.zeros(1, np.uint64)
    begin = words[np.where(size > 0, at, 0)]
    marked = (size > 0) & (begin >= _FIRST_MARKER)
    # Until the first marker perf takes addresses for the user's.
    mode = np.where(marked, _modes(begin), MODE_USER)
    address = words[np.where(size > marked, at + marked, 0)]
    regular = (size > marked) & (address < _FIRST_MARKER) & (mode >= 0)
    skipped = np.where(regular, marked + 1, 0)
    # A sample of the kernel with the user's callers only (--user-callchains): they are behind the sampled address.
    outside = regular & marked & (mode == MODE_USER) & (columns.misc & CPU_MODE == MODE_KERNEL)
    if outside.any():
        skipped = np.where(outside, 0, skipped)
        address = np.where(outside, columns.ip, address)
        mode = np.where(outside, MODE_KERNEL, mode)
    return _Parts(regular, address, np.where(regular, mode, MODE_USER), at + skipped, size - skipped)


def _addresses(words: UInt64, parts: _Parts, rows: Int64) -> tuple[UInt64, Int64, Int64, Bool, Bool]:
    """(address, row of callers, whose it is, whether it is exact) of every caller, innermost first; and the rows that
    are of no use."""
    size = parts.size[rows]
    raw = words[gathered(parts.start[rows], size)]
    owner = np.repeat(np.arange(len(size)), size)
    wrong = np.zeros(len(size), np.bool_)
    exact = np.zeros(len(raw), np.bool_)
    if not len(raw):
        return raw, owner, owner, exact, wrong
    marks = np.flatnonzero(raw >= _FIRST_MARKER)
    mark_mode = _modes(raw[marks])
    # add_callchain_ip (tools/perf/util/machine.c): what is no marker that perf knows makes it discard the chain.
    wrong[owner[marks[mark_mode < 0]]] = True
    # The last marker before each address, where it is of the same chain.
    latest = np.zeros(len(raw), np.int64)
    latest[marks] = np.arange(1, len(marks) + 1)
    latest = np.maximum.accumulate(latest)
    own = (latest > 0) & (owner == owner[marks[latest - 1]] if len(marks) else False)
    mode = parts.mode[rows][owner]
    mode[own] = mark_mode[latest[own] - 1]
    # The instruction at which the kernel was entered is not returned to.
    behind = marks[:-1] + 1 if len(marks) and marks[-1] == len(raw) - 1 else marks + 1
    exact[behind[raw[behind - 1] == _USER_MARK]] = True
    begin = (np.cumsum(size) - size)[size > 0]
    unmarked = np.ones(len(raw), np.bool_)
    unmarked[marks] = False
    irregular = ~parts.regular[rows]
    exact[begin] = irregular[size > 0]
    if irregular.any():
        # Its innermost address is the sampled one, behind however many markers.
        candidates = np.flatnonzero(unmarked & irregular[owner])
        exact[candidates[np.unique(owner[candidates], return_index=True)[1]]] = True
    kept = unmarked & ~wrong[owner]
    return raw[kept], owner[kept], mode[kept], exact[kept], wrong
