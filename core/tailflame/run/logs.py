"""What a target writes beside the profile: logs of its own, which join the recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tailflame.errors import ParseError
from tailflame.model import Caution, Recording
from tailflame.parse import load


def with_logs(recording: Recording, artifacts: Mapping[str, Path], roles: tuple[str, ...]) -> Recording:
    """`recording` with the results of the artifacts named by `roles`; a caution for each that is missing or damaged."""
    results, cautions = list(recording.results), []
    for role in roles:
        path = artifacts.get(role)
        if path is None:
            cautions.append(Caution(f"The program left no {role} log."))
            continue
        try:
            results += load(path).results
        except ParseError as error:
            cautions.append(Caution(error.sentence, error.advice))
    return replace(recording, results=tuple(results)).with_warnings(*cautions)
