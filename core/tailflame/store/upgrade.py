"""Stored files carry a version from their first day; each step up has one upgrader.

    kind       file                     written as   steps
    session    session.json             1            none yet
    recording  recording.npz's header   6            2: results may be counters, or the rest of a live run
                                                     3: a profile may have the addresses of its samples
                                                     4: a live run may have slow calls
                                                     5: results may be slices of time
                                                     6: events may be exact; results may be heap timelines, costs of
                                                        source lines, system calls, or maps
    sources    sources.json             1            none yet
    settings   settings.json            1            none yet
    slices     slices.json              1            none yet
    iteration  iterations/ID.json       1            none yet
    baselines  baselines.json           1            none yet
    bundle     a bundle's manifest.json 1            none yet

To change a format: raise `version`, and append one function that turns a document of the version before
into the next. Never edit a step that has shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tailflame.errors import StoreVersionError
from tailflame.store.files import Fields

Document: TypeAlias = dict[str, Any]
Step: TypeAlias = Callable[[Document], Document]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stored file: `steps[n]` turns version n + 1 into version n + 2."""

    name: str
    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        """What this Tailflame writes: one more than there are steps."""
        return len(self.steps) + 1

    def upgraded(self, fields: Fields) -> Fields:
        """`fields` as this version writes them. StoreVersionError for a newer file."""
        version = fields.integer("version")
        if version > self.version:
            raise StoreVersionError(
                f"{fields.what} was written by a newer Tailflame (format {version}, this one knows {self.version}).",
                advice="Update Tailflame to read it.",
            )
        if version < 1:
            raise fields.wrong("version", "a version from 1 on")
        document = fields.document
        for reached, step in enumerate(self.steps[version - 1 :], start=version + 1):
            document = {**step(document), "version": reached}
        return Fields(document, fields.what)


def _as_it_is(document: Document) -> Document:
    """The next version only holds more than this one could."""
    return document


SESSION = Kind("session")
RECORDING = Kind("recording", (_as_it_is,) * 5)
SOURCES = Kind("sources")
SETTINGS = Kind("settings")
SLICES = Kind("slices")
ITERATION = Kind("iteration")
BASELINES = Kind("baselines")
BUNDLE = Kind("bundle")
KINDS = (SESSION, RECORDING, SOURCES, SETTINGS, SLICES, ITERATION, BASELINES, BUNDLE)
