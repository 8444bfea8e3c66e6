"""The language that says which samples of a profile are wanted: `thread:worker* -thread:logger cpu:0-3 time:1.2-3.4s`.

    filter  = term { [ "and" ] term }              every term must hold
    term    = [ "-" | "not" ] what ":" value { "," value }      "-" and "not" leave out; values are alternatives
    what    = thread | process | function | module | event      names
            | tid | pid | cpu                                    numbers and ranges: 3, 0-3, 8-
            | time                                               1.2-3.4s, 500ms-2s, 3s-, -3s

A name is found where the text occurs in it, whatever the case; with * or ? the text is a pattern for the whole name,
and in quotes it is the whole name as it stands. `function` and `module` hold for a sample with such a frame anywhere in
its stack. Times are since the first sample of the profile, in s, ms, us or ns (s where nothing is said), and a range
holds what begins at its start or later and before its end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import translate

import numpy as np

from tailflame.errors import TailflameError
from tailflame.model.stacks import Bool


class What(StrEnum):
    """What a term looks at."""

    THREAD = "thread"
    PROCESS = "process"
    FUNCTION = "function"
    MODULE = "module"
    EVENT = "event"
    TID = "tid"
    PID = "pid"
    CPU = "cpu"
    TIME = "time"


NAMES = (What.THREAD, What.PROCESS, What.FUNCTION, What.MODULE, What.EVENT)
MEANINGS = {
    What.THREAD: "samples of threads with this name",
    What.PROCESS: "samples of processes whose main thread has this name",
    What.FUNCTION: "samples with this function anywhere in their stack",
    What.MODULE: "samples with code of this module anywhere in their stack",
    What.EVENT: "samples of this event",
    What.TID: "samples of threads with this number",
    What.PID: "samples of processes with this number",
    What.CPU: "samples taken on these processors: 0-3",
    What.TIME: "samples of this range since the first one: 1.2-3.4s",
}
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST = 4_000
"""Characters: nobody types more."""
_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ns|us|µs|ms|s)?")


class FilterError(TailflameError):
    """A filter cannot be read. `start` and `end` are where in its text."""

    def __init__(self, sentence: str, start: int, end: int, *, advice: str = "") -> None:
        super().__init__(sentence, advice=advice)
        self.start, self.end = start, end


@dataclass(frozen=True, slots=True)
class Name:
    """A text that names are looked through for; `exact`: it was quoted, and is the whole name."""

    text: str
    exact: bool = False

    def found_in(self, names: Sequence[str]) -> Bool:
        """Which of `names` it finds."""
        if self.exact:
            return np.fromiter((name == self.text for name in names), dtype=bool, count=len(names))
        wanted = self.text.casefold()
        if "*" in wanted or "?" in wanted:
            # "[" is a sign of patterns as well, and of names of the kernel: it stands for itself.
            finds = re.compile(translate(wanted.replace("[", "[[]"))).match
            return np.fromiter((finds(n.casefold()) is not None for n in names), dtype=bool, count=len(names))
        return np.fromiter((wanted in name.casefold() for name in names), dtype=bool, count=len(names))

    def __str__(self) -> str:
        if self.exact or not self.text or re.search(r'[\s,"]', self.text):
            return '"' + self.text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return self.text


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; of times, seconds from `low` on and before `high`."""

    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        return f"{_plain(self.low)}-{_plain(self.high)}"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: any of `values`; `excluded` turns it around."""

    what: What
    values: tuple[Name | Range, ...]
    excluded: bool = False

    def __str__(self) -> str:
        words = (_time_text(value) if self.what is What.TIME else str(value) for value in self.values)
        return f"{'-' if self.excluded else ''}{self.what}:" + ",".join(words)


def _time_text(value: Name | Range) -> str:
    """Both ends, the unit once: 1.2-3.4s, 3s-."""
    assert isinstance(value, Range)
    return f"{_plain(value.low)}-{_plain(value.high)}s" if value.high < math.inf else f"{_plain(value.low)}s-"


def _plain(value: float) -> str:
    if value == math.inf or not value:
        return "" if value else "0"
    return f"{value:.9f}".rstrip("0").rstrip(".")


def text_of(terms: Sequence[Term]) -> str:
    """The terms in the language, such that parse(text_of(terms)) == terms."""
    return " ".join(map(str, terms))


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a filter and where it stands. `key` is what stands before its first colon, None without one."""

    text: str
    start: int
    key: str | None
    value_at: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> Iterator[Token]:
    """The words of `text`: parted by spaces, except in quotes."""
    at, size = 0, len(text)
    while at < size:
        if text[at].isspace():
            at += 1
            continue
        start, quoted, colon = at, False, -1
        while at < size and (quoted or not text[at].isspace()):
            if text[at] == "\\" and quoted:
                at += 1
            elif text[at] == '"':
                quoted = not quoted
            elif text[at] == ":" and not quoted and colon < 0:
                colon = at
            at += 1
        at = min(at, size)
        word = text[start:at]
        key = text[start:colon].lstrip("-") if colon >= 0 else None
        yield Token(word, start, key, colon + 1 if colon >= 0 else start)


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a filter; none for an empty one. Raises FilterError."""
    if len(text) > _LONGEST:
        raise FilterError(f"A filter has at most {_LONGEST:,} characters.", _LONGEST, len(text))
    terms: list[Term] = []
    negated: Token | None = None
    for token in tokens(text):
        word = token.text.casefold()
        if word == "not":
            if negated is not None:
                raise FilterError("“not” stands twice.", token.start, token.end)
            negated = token
        elif word == "and" and negated is None and terms:
            continue
        else:
            terms.append(_term(token, negated is not None))
            negated = None
    if negated is not None:
        raise FilterError(
            "Nothing follows “not”.", negated.start, negated.end, advice="Write what to leave out: not thread:logger."
        )
    return tuple(terms)


def _term(token: Token, negated: bool) -> Term:
    minus = token.text.startswith("-")
    if token.key is None:
        word = token.text.lstrip("-") or token.text
        advice = (
            f"Write function:{word} or thread:{word}." if word != "-" else "Write what to leave out: -thread:logger."
        )
        raise FilterError(f"“{token.text}” does not say what it is.", token.start, token.end, advice=advice)
    if (minus and negated) or token.text.startswith("--"):
        raise FilterError("“not” stands twice.", token.start, token.end)
    try:
        what = What(token.key.casefold())
    except ValueError:
        known = ", ".join(What)
        raise FilterError(
            f"“{token.key}” is nothing that a sample has.", token.start + minus, token.value_at - 1,
            advice=f"It can be one of {known}.",
        ) from None  # fmt: skip
    body = token.text[token.value_at - token.start :]
    values: list[Name | Range] = []
    for piece, quoted, at in _pieces(body, token.value_at):
        if not piece and not quoted:
            raise FilterError(f"A value is missing after “{what}:”.", token.start, token.end, advice=_example(what))
        if what in NAMES:
            values.append(Name(piece, exact=quoted))
        else:
            reading = _time if what is What.TIME else _numbers
            values.append(reading(piece, what, at, at + len(piece)))
    return Term(what, tuple(values), negated or minus)


def _example(what: What) -> str:
    examples = {What.CPU: "cpu:0-3", What.TIME: "time:1.2-3.4s", What.TID: "tid:8812", What.PID: "pid:8812"}
    return f"For example {examples.get(what, f'{what}:worker*')}."


def _pieces(body: str, at: int) -> Iterator[tuple[str, bool, int]]:
    """(value, whether it was quoted, where it stands) between the commas."""
    value, quoted, inside, start, place = "", False, False, at, 0
    while place < len(body):
        char = body[place]
        if inside and char == "\\" and place + 1 < len(body):
            place += 1
            value += body[place]
        elif char == '"':
            inside, quoted = not inside, True
        elif char == "," and not inside:
            yield value, quoted, start
            value, quoted, start = "", False, at + place + 1
        else:
            value += char
        place += 1
    if inside:
        raise FilterError("A quotation mark is not closed.", start, at + len(body))
    yield value, quoted, start


def _numbers(piece: str, what: What, start: int, end: int) -> Range:
    found = re.fullmatch(r"(\d{1,10})(-(\d{1,10})?)?", piece, re.ASCII)
    if found is None:
        raise FilterError(f"“{piece}” is no number or range.", start, end, advice=_example(what))
    low = int(found[1])
    high = float(found[3]) if found[3] else math.inf if found[2] else float(low)
    if high < low:
        raise FilterError(f"The range “{piece}” ends before it begins.", start, end)
    return Range(float(low), high)


def _time(piece: str, _what: What, start: int, end: int) -> Range:
    one, dash, other = piece.partition("-")
    first, last = _TIME.fullmatch(one.strip()), _TIME.fullmatch(other.strip())
    if not dash or (one and first is None) or (other and last is None) or not (one or other):
        raise FilterError(f"“{piece}” is no range of time.", start, end, advice=_example(What.TIME))
    unit = (last[2] if last else None) or (first[2] if first else None) or "s"
    low = float(first[1]) * _UNITS[first[2] or unit] if first else 0.0
    high = float(last[1]) * _UNITS[last[2] or unit] if last else math.inf
    if high <= low:
        raise FilterError(f"The range “{piece}” ends before it begins.", start, end)
    return Range(low, high)


def with_term(terms: Sequence[Term], term: Term) -> tuple[Term, ...]:
    """`terms` and one more. Another value for a condition of the same kind joins it: alternatives of what is wanted,
    one more of what is left out. What it contradicts goes: who asks for a thread no longer leaves it out.
    """
    made: list[Term] = []
    joined = False
    for old in terms:
        if old.what is term.what and old.excluded is not term.excluded:
            left = tuple(value for value in old.values if value not in term.values)
            if left:
                made.append(replace(old, values=left))
        elif old.what is term.what and not joined and old.what not in (What.FUNCTION, What.MODULE, What.TIME):
            joined = True
            more = tuple(value for value in term.values if value not in old.values)
            made.append(replace(old, values=old.values + more))
        else:
            made.append(old)
    return tuple(made) if joined else (*made, term)
