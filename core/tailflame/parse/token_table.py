"""Names in a buffer of bytes, numbered by array arithmetic: a fifth of what a string and a look-up for each would take.

Names are told apart by 64-bit hashes with secrets that are drawn for each process, so that nobody can make up names
that fall together; by chance, it happens to two of a million names in one file of forty million.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Bool, Int32, Int64
from tailflame.parse.frames import Numbers

PAD = b"\n" * 8
"""Stands before the first name of a buffer and behind the last one: names are read in words."""

_FIRST_WORDS, _MOST_WORDS = 6, 64
"""Words of a name that are read by arrays; names that are longer go one by one."""
_MANY_LONG = 0.05
_MULTIPLIER = np.uint64(secrets.randbits(63) << 1 | 1)
_OTHER_MULTIPLIER = np.uint64(secrets.randbits(63) << 1 | 1)
_SEED = np.uint64(secrets.randbits(64))
_HALF, _LESS = np.uint64(32), np.uint64(29)
_FIRST_BITS = 14
_FULL = 0.25


@dataclass(slots=True)
class TokenTable:
    """Numbers names as `names` does, in the order they come; both may be asked."""

    names: Numbers = field(default_factory=Numbers)
    words: int = _FIRST_WORDS
    """Of a name that its hash is made of; it grows when there are many longer ones."""
    _bits: int = _FIRST_BITS
    _hashes: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(1 << _FIRST_BITS, np.uint64))
    _numbers: Int32 = field(default_factory=lambda: np.full(1 << _FIRST_BITS, -1, np.int32))
    _used: int = 0

    def number(
        self, buffer: bytes, start: Int64, end: Int64, hashes: npt.NDArray[Any] | None = None, words: int = 0
    ) -> Int32:
        """The number of each name `buffer[start:end]`; a PAD stands around them all. hashes: if they are made already,
        of so many words."""
        length = end - start
        is_long = length > 8 * self.words
        if is_long.mean() > _MANY_LONG and self.words < _MOST_WORDS:
            usual = int(np.quantile(length, 1 - _MANY_LONG / 4))
            self.words = min(max(usual // 8 + 1, 2 * self.words), _MOST_WORDS)
            self._numbers.fill(-1)  # what is known has other hashes now: it is learnt again
            self._used = 0
            is_long = length > 8 * self.words
        if hashes is None or words != self.words:
            hashes = hashed(buffer, start, end, self.words)
        number = self._find(hashes)
        new = np.flatnonzero((number < 0) & ~is_long)
        if len(new):
            self._learn(buffer, start, end, hashes, new)
            number[new] = self._find(hashes[new])
        for at in np.flatnonzero(is_long).tolist():
            number[at] = self.names[_text(buffer, int(start[at]), int(end[at]))]
        return number

    def _find(self, hashes: npt.NDArray[Any]) -> Int32:
        """The number of each hash, -1 where it is not known."""
        slot = self._slots(hashes)
        number = self._numbers[slot]
        others = np.flatnonzero((self._hashes[slot] != hashes) & (number >= 0))
        while len(others):  # somebody else's place: look at the next one
            place = (slot[others] + 1) & ((1 << self._bits) - 1)
            slot[others] = place
            found = self._numbers[place]
            number[others] = found
            others = others[(self._hashes[place] != hashes[others]) & (found >= 0)]
        return number

    def _learn(self, buffer: bytes, start: Int64, end: Int64, hashes: npt.NDArray[Any], new: Int64) -> None:
        distinct, first = np.unique(hashes[new], return_index=True)
        order = np.argsort(first)  # of appearance
        at = new[first[order]].tolist()
        numbers = [self.names[_text(buffer, int(start[i]), int(end[i]))] for i in at]
        self._put(distinct[order], np.array(numbers, np.int32))

    def _put(self, hashes: npt.NDArray[Any], numbers: Int32) -> None:
        self._used += len(hashes)
        if self._used > _FULL * (1 << self._bits):
            taken: Bool = self._numbers >= 0
            hashes = np.concatenate([self._hashes[taken], hashes])
            numbers = np.concatenate([self._numbers[taken], numbers])
            self._bits = int(self._used / _FULL).bit_length() + 1
            self._hashes = np.zeros(1 << self._bits, np.uint64)
            self._numbers = np.full(1 << self._bits, -1, np.int32)
        slot = self._slots(hashes)
        while len(slot):
            free = self._numbers[slot] < 0
            self._hashes[slot[free]] = hashes[free]  # of several that want one place, the last one has it
            self._numbers[slot[free]] = numbers[free]
            left = self._hashes[slot] != hashes
            slot, hashes, numbers = (slot[left] + 1) & ((1 << self._bits) - 1), hashes[left], numbers[left]

    def _slots(self, hashes: npt.NDArray[Any]) -> Int64:
        return np.asarray((hashes >> np.uint64(64 - self._bits)).astype(np.int64))


def _text(buffer: bytes, start: int, end: int) -> str:
    """Undecodable bytes become \\xNN, so that distinct names stay distinct."""
    return buffer[start:end].decode(errors="backslashreplace")


def hashed(buffer: bytes, start: Int64, end: Int64, words: int) -> npt.NDArray[Any]:
    """A hash of the length and the first `words` words of each name. Nothing else is looked at: several threads may.

    The last word read is the one that ends with the name, so that nothing behind it is in the hash; of names shorter
    than a word, what stands before them is shifted out.
    """
    bytewise = np.lib.stride_tricks.as_strided(np.frombuffer(buffer, "<u8", 1), (len(buffer) - 7,), (1,))
    length = end - start
    hashes = length.astype(np.uint64)
    hashes ^= _SEED
    hashes *= _MULTIPLIER  # so that a length cannot make up for a letter
    hashes ^= hashes >> _HALF
    last = end - 8
    before = (np.maximum(8 - length, 0) << 3).astype(np.uint64)
    at = np.empty_like(start)
    spread = np.empty_like(hashes)
    for word in range(words):
        np.add(start, 8 * word, out=at)
        np.minimum(at, last, out=at)
        hashes ^= bytewise[at] >> before
        # Twice, as a multiplication only takes up: what differs in a word's highest bits alone is to be found in all.
        np.right_shift(hashes, _HALF, out=spread)
        hashes ^= spread
        hashes *= _MULTIPLIER
        np.right_shift(hashes, _LESS, out=spread)
        hashes ^= spread
        hashes *= _OTHER_MULTIPLIER  # places are taken by the upper bits
    return hashes
