"""Call chains: millions of them made a few thousand distinct ones, and these made numbers of distinct places.

A chain is a run of words, innermost first, in which context markers (PERF_CONTEXT_KERNEL, PERF_CONTEXT_USER) say whose
the addresses behind them are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Bool, Int64, UInt64
from tailflame.parse.perfdata.hashing import factorize, gathered, mixed, run_hashes
from tailflame.parse.perfdata.samples import Columns
from tailflame.parse.perfdata.sideband import KERNEL_PID
from tailflame.parse.perfdata.spaces import Spaces

_FIRST_MARKER = np.uint64((1 << 64) - 4095)
_KERNEL_MARK, _USER_MARK, _HYPERVISOR_MARK = (np.uint64((1 << 64) - n) for n in (128, 512, 32))
MODE_KERNEL, MODE_USER, MODE_HYPERVISOR = 1, 2, 3
"""PERF_RECORD_MISC_CPUMODE_*: whose an address is."""
CPU_MODE = 7
_KEY = np.uint64(0xC2B2_AE3D_27D4_EB4F)


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Distinct chains, and the distinct places in them.

    chain: of each sample; frames: the places of each chain one after another, innermost first; length: places per
    chain; root: per chain, the number of the thread's name. image, offset: of each place (image -1: not known; the
    offset is the address then); exact: whether it is the sampled instruction, or the one at which the kernel was
    entered, and not an address that a call returns to; kernel: whether it is the kernel's address.
    broken: samples whose chain was given up, because it held impossible addresses; their top is known.
    """

    chain: Int64
    frames: Int64
    length: Int64
    root: Int64
    image: Int64
    offset: UInt64
    exact: Bool
    kernel: Bool
    broken: int


def distinct(words: UInt64, columns: Columns, comm: Int64, when: Int64, spaces: Spaces) -> Chains:
    """words: of the file; comm: number of each sample's thread name; when: its time, or place in the file."""
    space = spaces.of(columns.pid, when)
    kernel_space = spaces.of(np.full(len(when), KERNEL_PID, np.int64), when) if len(when) else space
    where = (space + 1).astype(np.uint64) * _KEY + (kernel_space + 1).astype(np.uint64) * _KEY * _KEY
    key = run_hashes(words, columns.chain_at, columns.chain_at + columns.chain_size)
    mode = columns.misc & CPU_MODE
    key ^= mixed(columns.ip + (mode.astype(np.uint64) << np.uint64(60)))
    key ^= mixed(where ^ comm.astype(np.uint64))
    chain, first = factorize(key)

    address, owner, whose, exact, lost = _addresses(words, columns.at(first))
    in_kernel = whose == MODE_KERNEL
    in_space = np.where(in_kernel, kernel_space[first][owner], space[first][owner])
    in_space[whose > MODE_USER] = NONE
    key = mixed(address) + (in_space.astype(np.uint64) * np.uint64(4) + in_kernel + exact * np.uint64(2)) * _KEY
    number, one = factorize(key)
    image, offset = spaces.lookup(in_space[one], address[one])
    # Two processes, or two moments of one, have the same code at different addresses.
    traits = exact[one].astype(np.uint64) * np.uint64(2) + in_kernel[one]
    key = mixed(offset) + ((image + 1).astype(np.uint64) * np.uint64(4) + traits) * _KEY
    place, one_place = factorize(key)
    kept = one[one_place]
    broken = np.zeros(len(first), np.bool_)
    broken[lost] = True
    return Chains(
        chain=chain,
        frames=place[number],
        length=np.bincount(owner, minlength=len(first)),
        root=comm[first],
        image=image[one_place],
        offset=offset[one_place],
        exact=exact[kept],
        kernel=in_kernel[kept],
        broken=int(np.bincount(chain, minlength=len(first))[broken].sum()) if len(lost) else 0,
    )


def _addresses(words: UInt64, samples: Columns) -> tuple[UInt64, Int64, Int64, Bool, Int64]:
    """(address, sample, whose it is, whether it is exact) of every frame of `samples`, innermost first; and the
    samples whose chain was of no use, which have their own address alone."""
    size = samples.chain_size
    raw = words[gathered(samples.chain_at, size)]
    owner = np.repeat(np.arange(len(size)), size)
    marker = raw >= _FIRST_MARKER
    marks = np.flatnonzero(marker)
    # Until the first marker perf takes addresses for the user's.
    mark_mode = np.full(len(raw), 0, np.int64)
    kinds = raw[marks]
    mark_mode[marks] = np.select(
        [kinds == _KERNEL_MARK, kinds == _USER_MARK, kinds == _HYPERVISOR_MARK],
        [MODE_KERNEL, MODE_USER, MODE_HYPERVISOR],
        -1,
    )
    start = np.cumsum(size) - size
    latest = np.full(len(raw), -1, np.int64)
    latest[marks] = marks
    latest = np.maximum.accumulate(latest) if len(raw) else latest
    begun = latest >= start[owner]
    mode = np.where(begun, mark_mode[np.maximum(latest, 0)], MODE_USER) if len(raw) else mark_mode

    # add_callchain_ip (tools/perf/util/machine.c): what is no marker that perf knows makes it discard the chain.
    wrong = np.zeros(len(size), np.bool_)
    wrong[owner[marks[mark_mode[marks] < 0]]] = True
    kept = ~marker & ~wrong[owner]
    # The instruction itself: the innermost, and the first of the user's behind the kernel's.
    after_mark = np.zeros(len(raw), np.bool_)
    if len(raw):
        after_mark[1:] = marker[:-1] & (mode[1:] == MODE_USER)
    after_mark[start[size > 0]] = True
    address, owner, mode, exact = raw[kept], owner[kept], mode[kept], after_mark[kept]
    frames = np.bincount(owner, minlength=len(size))
    begin = np.cumsum(frames) - frames
    exact[begin[frames > 0]] = True

    alone = np.flatnonzero(frames == 0)
    if len(alone):
        # Each of them goes where its chain would stand.
        at = begin[alone]
        own = (samples.misc & CPU_MODE)[alone]
        address = np.insert(address, at, samples.ip[alone])
        owner = np.insert(owner, at, alone)
        mode = np.insert(mode, at, own)
        exact = np.insert(exact, at, True)
    lost = alone[size[alone] > 0]
    return address, owner, mode, exact, lost
