"""Becomes a program that has jemalloc: python -m tailflame.host.with_jemalloc CONFIGURATION -- PROGRAM ARGUMENTS...

Where the program links jemalloc, the configuration goes into the variable that this one reads; otherwise the system's
jemalloc is preloaded. It is the same process: whoever has started it knows the program by its process id.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import MutableMapping
from pathlib import Path

from tailflame.host.install import install_command
from tailflame.host.jemalloc import jemalloc_of, preload_library

NO_LIBRARY = "tailflame: the program links no jemalloc, and libjemalloc.so.2 is not installed"


def set_up(program: Path, configuration: str, environment: MutableMapping[str, str]) -> str:
    """What is wrong, "" where the environment is as the program needs it."""
    found = jemalloc_of(program)
    if found is not None:
        environment[found.variable] = configuration
        return ""
    library = preload_library()
    if library is None:
        return f"{NO_LIBRARY}. {install_command('jemalloc')}"
    environment.update(preloaded(str(library), configuration, environment.get("LD_PRELOAD", "")))
    return ""


def preloaded(library: str, configuration: str, others: str = "") -> dict[str, str]:
    """The variables that put a jemalloc in the place of malloc; others: what is preloaded already."""
    return {"MALLOC_CONF": configuration, "LD_PRELOAD": f"{library}:{others}" if others else library}


def main(argv: list[str]) -> int:
    configuration, _, *command = argv
    place = shutil.which(command[0])
    problem = set_up(Path(place or command[0]), configuration, os.environ)
    if problem:
        sys.stderr.write(f"{problem}\n")
        return 127
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"tailflame: {command[0]} cannot be started: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
