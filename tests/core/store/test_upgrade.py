"""Versions: one upgrader a step, and a newer file asks for an update."""

from __future__ import annotations

import pytest

from tailflame.errors import StoreError, StoreVersionError
from tailflame.store.files import Fields
from tailflame.store.upgrade import KINDS, Document, Kind


def add_note(document: Document) -> Document:
    return {**document, "note": ""}


def rename_note(document: Document) -> Document:
    return {"remark": document["note"] or "none"}


THREE = Kind("example", (add_note, rename_note))


@pytest.mark.parametrize(
    ("document", "remark"),
    [
        ({"version": 1}, "none"),
        ({"version": 2, "note": "slow"}, "slow"),
        ({"version": 3, "remark": "kept"}, "kept"),
    ],
)
def test_each_older_version_takes_the_steps_it_lacks(document: Document, remark: str) -> None:
    fields = THREE.upgraded(Fields(document, "example.json"))
    assert (fields.integer("version"), fields.text("remark")) == (3, remark)


def test_a_newer_version_is_refused_with_both_numbers() -> None:
    with pytest.raises(StoreVersionError, match=r"example\.json .* \(format 4, this one knows 3\)"):
        THREE.upgraded(Fields({"version": 4}, "example.json"))


@pytest.mark.parametrize("document", [{}, {"version": "1"}, {"version": 0}, {"version": -3}, {"version": True}])
def test_a_file_without_a_version_is_damaged(document: Document) -> None:
    with pytest.raises(StoreError, match="version"):
        THREE.upgraded(Fields(document, "example.json"))


def test_every_stored_kind_is_listed_under_its_own_name() -> None:
    assert [kind.name for kind in KINDS] == [
        "session", "recording", "sources", "settings", "slices", "iteration", "baselines", "bundle",
    ]  # fmt: skip
    assert all(kind.version == len(kind.steps) + 1 for kind in KINDS)
