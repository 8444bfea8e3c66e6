"""Records the sample session that ships in resources/tailflame_resources/sample, with `tailflame demo` itself.

It runs from a copy in a neutral folder, so that no path of the recording machine's checkout ends up in what is shipped.
The raw perf.data stays out of the wheel: the session reads from its own resolved columns.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = Path("/tmp/tailflame-sample")
SAMPLE = ROOT / "resources" / "tailflame_resources" / "sample"


def main() -> int:
    shutil.rmtree(PLACE, ignore_errors=True)
    for part in ("core", "resources"):
        shutil.copytree(ROOT / part, PLACE / part, ignore=shutil.ignore_patterns("target", "__pycache__", "sample"))
    flags = ("-Cforce-frame-pointers=yes", f"--remap-path-prefix={Path.home() / '.cargo'}=/cargo")
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(PLACE / "core"), str(PLACE / "resources"))),
        "TAILFLAME_PROFILES": str(PLACE / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(PLACE / "config"),
        # .cargo/config.toml asks for the frame pointers too; this adds the renaming of cargo's own folder.
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
    }
    command = [
        sys.executable,
        "-c",
        "import sys; from tailflame.cli.main import main; sys.exit(main())",
        "demo",
        "--json",
    ]
    done = subprocess.run(command, env=environ, cwd=PLACE, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print("the demo could not be recorded; its words are above", file=sys.stderr)
        return 1
    document = json.loads(done.stdout)
    if document["kind"] != "recording":
        print(f"the demo could not be recorded: {document['reason']}", file=sys.stderr)
        return 1
    shutil.rmtree(SAMPLE, ignore_errors=True)
    shutil.copytree(document["session"]["path"], SAMPLE, ignore=shutil.ignore_patterns("perf.data*"))
    shutil.rmtree(PLACE)
    for path in sorted(SAMPLE.iterdir()):
        print(f"{path.stat().st_size:>9,}  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
