"""How well a few typed letters fit a text."""

from __future__ import annotations

_START = 8.0
_RUN = 4.0
_ANY = 1.0
_GAP = 0.05


def fuzzy(query: str, text: str) -> float | None:
    """A score, higher is better; None where some word of `query` does not occur, even scattered, in `text`.

    Letters at the start of a word count most, then letters that follow one another.
    """
    total = 0.0
    folded = text.casefold()
    for word in query.casefold().split():
        score = _word(word, folded)
        if score is None:
            return None
        total += score
    return total - _GAP * len(text)


def _word(word: str, text: str) -> float | None:
    at = text.find(word)
    if at >= 0:
        # Unbroken: at the start of a word if it is anywhere.
        starts = [i for i in _occurrences(word, text) if _starts_word(text, i)]
        return len(word) * _RUN + (_START if starts else 0.0) + (_ANY if at == 0 else 0.0)
    score, position, previous = 0.0, 0, -2
    for letter in word:
        found = _next(letter, text, position)
        if found < 0:
            return None
        score += _START / 2 if _starts_word(text, found) else _RUN / 2 if found == previous + 1 else _ANY / 2
        previous, position = found, found + 1
    return score


def _next(letter: str, text: str, start: int) -> int:
    """The next `letter`, rather at the start of a word when one comes within reach."""
    first = text.find(letter, start)
    at = first
    while at >= 0:
        if _starts_word(text, at):
            return at
        at = text.find(letter, at + 1)
    return first


def _occurrences(word: str, text: str) -> list[int]:
    found, at = [], text.find(word)
    while at >= 0:
        found.append(at)
        at = text.find(word, at + 1)
    return found


def _starts_word(text: str, at: int) -> bool:
    return at == 0 or not text[at - 1].isalnum()
