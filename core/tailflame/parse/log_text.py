"""Fields in log lines that are text: `name=value`, with colours or without, a hundred thousand lines a second."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

_COLOURS = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_COLOURS_KNOWN = 64
# The braces of "order{id=0 span_us=7}:" and "a{x=1}:b{y=2}:": what is in them is the span's, not the event's.
_SPAN = re.compile(r"\{[^{}\n]*\}:")
_COMMA = re.compile(r",(?=[\s\w])(?!\d)")
_SAMPLE = 32
"""Lines that tell which fields a block's lines have, as a rule."""


def plain(text: str) -> str:
    """Text in which every field is a word "name=value", or a "name:" before its value."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "}:" in text:
        text = _SPAN.sub(" ", text)
    if " = " in text:
        text = text.replace(" = ", "=")
    if '"' in text:
        text = text.replace('"', "")
    if "," in text:
        text = _COMMA.sub(" ", text)
    for other in "\t\r{}()[];|":
        if other in text:
            text = text.replace(other, " ")
    return text


class TextRows:
    """Takes the fields called `names` out of text; remembers which colours a program uses."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._needles = tuple((f" {name}=", name, len(name) + 2) for name in self.names)
        self._colours: list[str] = []

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """One row for each line that has any of the fields, in no certain order; None for missing."""
        text = self._prepared(text)
        usual = self._usual(text)
        if len(usual) < 2:
            return self._each(_cut(text, [needle for needle, _, _ in self._needles])[0])
        others, text = _cut(text, [needle for needle, name, _ in self._needles if name not in usual])
        # The lines that have just the usual fields, in the usual order, in one go; then what is left.
        pattern, getter = _pattern(usual, self.names)
        matches = pattern.findall(text)
        needles = [f" {name}=" for name in usual]
        if any(text.count(needle) != len(matches) for needle in needles):
            others += _cut(pattern.sub("", text), needles)[0]
        rows = matches if getter is None else [getter((*match, None)) for match in matches]
        return rows + self._each(others)

    def _prepared(self, text: str) -> str:
        """With a blank on either side of every word, so that a field is found by its name alone."""
        if "\x1b" in text:
            # Each colour by itself is some times as fast as the pattern; a program has a dozen.
            for colour in self._colours:
                text = text.replace(colour, "")
            if "\x1b" in text:
                fresh = sorted(set(_COLOURS.findall(text, 0, 64 << 10)))[: _COLOURS_KNOWN - len(self._colours)]
                for colour in fresh:
                    text = text.replace(colour, "")
                self._colours += fresh
        text = f" {plain(text)} \n".replace("\n", " \n ")
        if ": " in text:
            for name in self.names:
                text = text.replace(f" {name}: ", f" {name}=")
        return text

    def _usual(self, text: str) -> tuple[str, ...]:
        """The fields that most lines with any have, in the order of the line."""
        seen: Counter[tuple[str, ...]] = Counter()
        start = 0
        for _ in range(_SAMPLE):
            end = text.find("\n", start)
            if end < 0:
                break
            places = sorted(
                (at, name) for needle, name, _ in self._needles if (at := text.find(needle, start, end)) >= 0
            )
            if places:
                seen[tuple(name for _, name in places)] += 1
            start = end + 1
        return seen.most_common(1)[0][0] if seen else ()

    def _each(self, lines: list[str]) -> list[tuple[Any, ...]]:
        rows = []
        for line in lines:
            row: list[str | None] = []
            for needle, _, size in self._needles:
                at = line.rfind(needle)
                row.append(line[at + size : line.find(" ", at + size)] if at >= 0 else None)
            rows.append(tuple(row))
        return rows


def _cut(text: str, needles: Sequence[str]) -> tuple[list[str], str]:
    """The lines that have any of these, and the text without them."""
    starts = set()
    for needle in needles:
        at = text.find(needle)
        while at >= 0:
            starts.add(text.rfind("\n", 0, at) + 1)
            at = text.find(needle, text.find("\n", at))
    lines, rest, after = [], [], 0
    for start in sorted(starts):
        end = text.find("\n", start)
        lines.append(text[start:end])
        rest.append(text[after:start])
        after = end
    rest.append(text[after:])
    return lines, "".join(rest) if lines else text


@lru_cache(maxsize=64)
def _pattern(
    usual: tuple[str, ...], names: tuple[str, ...]
) -> tuple[re.Pattern[str], Callable[[tuple[Any, ...]], tuple[Any, ...]] | None]:
    """Finds the usual fields of a line; and what makes a row of a match and a None, unless the match is one."""
    first, *others = (rf" {re.escape(name)}=" for name in usual)
    # Atomic, and few words in between: a hostile line that repeats a name is read once, and not once for each.
    pattern = re.compile(rf"{first}(\S*)" + "".join(rf"(?>(?: \S+){{0,16}}?{name})(\S*)" for name in others))
    if usual == names:
        return pattern, None
    places = [usual.index(name) if name in usual else len(usual) for name in names]
    return pattern, itemgetter(*places)
