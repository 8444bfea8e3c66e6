"""What is typed for a continuous profile is taken or refused with a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tailflame.host.system import probe_host
from tailflame.run.continuous_wish import cut_short, typed_options

GOOD = {"slice_s": "60", "frequency": "99", "cpu_percent": "1", "disk": "1G"}


def test_what_is_offered_is_taken() -> None:
    options = typed_options(probe_host(), **GOOD)
    assert (options.slice_s, options.frequency, options.cpu_share, options.disk_bytes) == (60, 99, 0.01, 1 << 30)
    assert typed_options(probe_host(), **{**GOOD, "cpu_percent": " 2.5 % "}).cpu_share == 0.025


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("slice_s", "0", "A slice must be between 1 and 86,400 seconds"),
        ("slice_s", "1.5", "a whole number"),
        ("slice_s", "9" * 5000, "A slice must be between"),
        ("frequency", "\u0663", "The frequency must be between 1 and 10,000 Hz"),
        ("cpu_percent", "nan", "The CPU budget must be above zero"),
        ("cpu_percent", "little", "The CPU budget must be above zero"),
        ("disk", "many", "“many” is no size"),
    ],
)
def test_what_makes_no_sense_is_said(field: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        typed_options(probe_host(), **{**GOOD, field: text})


def test_a_program_that_cannot_be_seen_is_not_doubted(tmp_path: Path) -> None:
    assert cut_short("gone", tmp_path / "gone") == ""
    assert cut_short("python", Path(sys.executable)) in (
        "",
        "python keeps no frame pointers: its stacks will be cut short.",
    )
