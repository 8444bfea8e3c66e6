"""A program of its own: `python -I index_debug_info.py SOURCE TARGET BYTES SECONDS` writes the symcache of an ELF file.

Debug information is other people's data and its reader native code: here, nesting without end, damage and size only
end this process, which the caller can also kill at once.
"""

import os
import resource
import sys
from pathlib import Path

NOTHING = 3
"""The exit code where there is no debug information, or it is damaged."""


def main(source: str, target: str, memory: str, seconds: str) -> int:
    for limit, value in ((resource.RLIMIT_AS, int(memory)), (resource.RLIMIT_CPU, int(seconds))):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)  # what the user looks at comes first

    from symbolic.debuginfo import Archive
    from symbolic.exceptions import SymbolicError

    try:
        found = next(iter(Archive.open(source).iter_objects()), None)
        if found is None or "debug" not in found.features:
            return NOTHING
        cache = found.make_symcache()
    except (SymbolicError, OSError):
        return NOTHING
    with Path(target).open("wb") as out:
        cache.dump_into(out)  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
