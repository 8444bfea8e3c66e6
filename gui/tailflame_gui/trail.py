"""The functions that a view has shown one after another, as a browser keeps its pages."""

from __future__ import annotations

_REMEMBERED = 200


class Trail:
    """shown: where it stands; "" before the first."""

    def __init__(self) -> None:
        self.shown = ""
        self._behind: list[str] = []
        self._ahead: list[str] = []

    @property
    def leads_back(self) -> bool:
        return bool(self._behind)

    @property
    def leads_on(self) -> bool:
        return bool(self._ahead)

    def to(self, function: str) -> bool:
        """Whether it is another one than is shown; what lay ahead is forgotten."""
        if not function or function == self.shown:
            return False
        if self.shown:
            self._behind.append(self.shown)
            del self._behind[:-_REMEMBERED]
        self._ahead.clear()
        self.shown = function
        return True

    def back(self) -> bool:
        if not self._behind:
            return False
        self._ahead.append(self.shown)
        self.shown = self._behind.pop()
        return True

    def forward(self) -> bool:
        if not self._ahead:
            return False
        self._behind.append(self.shown)
        self.shown = self._ahead.pop()
        return True
