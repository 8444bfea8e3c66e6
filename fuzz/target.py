"""One parser under libFuzzer, guided by the coverage of its own Python code.

    target.py FORMAT-OR-TARGET FOLDER [libFuzzer's options]

A file of any bytes is a recording or a sentence (TailflameError): anything else that is raised is a find, and so is
what takes longer, or more memory, than the options allow. No tool is run: PATH is empty.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

os.environ["PATH"] = ""
os.environ["TAILFLAME_CACHE_DIR"] = "/nonexistent"
with atheris.instrument_imports(include=["tailflame.parse", "tailflame.model"]):
    from symbol_targets import TARGETS

    from tailflame.errors import TailflameError
    from tailflame.parse.formats import named
    from tailflame.parse.source import Source
    from tailflame.parse.trie import TooManyStacks

ASK = TARGETS.get(sys.argv[1])
FORMAT = named(sys.argv[1]) if ASK is None else None
FILE = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"tailflame-fuzz-{os.getpid()}"


def one_input(data: bytes) -> None:
    if FORMAT is None:
        ASK(data)
        return
    FILE.write_bytes(data)
    try:
        source = Source(FILE)
        FORMAT.sniff(source.head, source.bare_name)
        FORMAT.load(source)
    except (TailflameError, TooManyStacks):
        pass
    finally:
        FILE.unlink()


atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
atheris.Fuzz()
