"""Debug information from debuginfod servers: only those that DEBUGINFOD_URLS names, and only with the user's consent.

A server learns which builds are profiled here. So TAILFLAME_DEBUGINFOD=yes has to be set as well (a setting does).
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tailflame.parse.symbolize.elf_file import build_id_of
from tailflame.parse.symbolize.files import Fetch, fetch_nothing
from tailflame.parse.symbolize.index_store import cache_folder, make_room

CONSENT = "TAILFLAME_DEBUGINFOD"
URLS = "DEBUGINFOD_URLS"
FILE_LIMIT, FOLDER_LIMIT = 1024**3, 4 * 1024**3
"""Bytes of one file, and of all that are kept; those that were not used for longest go first."""
SILENCE_S, FILE_S, ALL_S = 10.0, 120.0, 300.0
"""Seconds that a server may say nothing, that one file may take, and all files of a recording."""
_KINDS = ("debuginfo", "executable")
_BUILD_ID = re.compile(r"[0-9a-f]{8,128}")
_URLS_LIMIT = 16


@dataclass(slots=True)
class Debuginfod:
    """Asks each server in turn; keeps what it gets, and does not ask twice for what none has.

    watch: called now and then while a file comes; what it raises (Cancelled) ends the work.
    """

    urls: tuple[str, ...]
    folder: Path
    file_limit: int = FILE_LIMIT
    silence_s: float = SILENCE_S
    file_s: float = FILE_S
    all_s: float = ALL_S
    watch: Callable[[], None] = lambda: None
    _spent_s: float = 0.0
    _missing: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, build_id: str, kind: str) -> Path | None:
        if kind not in _KINDS or not _BUILD_ID.fullmatch(build_id) or (build_id, kind) in self._missing:
            return None
        kept = self.folder / f"{build_id}.{kind}"
        if build_id_of(kept) == build_id:
            with contextlib.suppress(OSError):
                os.utime(kept)
            return kept
        for url in self.urls:
            if self._spent_s >= self.all_s:
                return None
            began = time.monotonic()
            try:
                found = self._get(f"{url}/buildid/{build_id}/{kind}", build_id, kept)
            finally:
                self._spent_s += time.monotonic() - began
            if found:
                return kept
        self._missing.add((build_id, kind))
        return None

    def _get(self, url: str, build_id: str, target: Path) -> bool:
        """Whether the server had the very file, and it is kept."""
        import urllib.error
        import urllib.request

        deadline = time.monotonic() + min(self.file_s, self.all_s - self._spent_s)
        request = urllib.request.Request(url, headers={"User-Agent": "Tailflame", "Accept-Encoding": "identity"})
        # http and https only: no redirection to a file or to FTP.
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            answer = opener.open(request, timeout=self.silence_s)
        except (OSError, ValueError):
            return False  # URLError and HTTPError are OSErrors
        if answer is None:
            return False  # redirected to what is not asked
        with answer, tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-") as new:
            size = 0
            try:
                while chunk := answer.read1(1 << 16):
                    self.watch()
                    size += len(chunk)
                    if size > self.file_limit or time.monotonic() > deadline:
                        return False
                    new.write(chunk)
                new.flush()
                if answer.headers.get("Content-Length", str(size)).strip() != str(size):
                    return False  # it was cut
                if build_id_of(Path(new.name)) != build_id:
                    return False
                make_room(self.folder, size, FOLDER_LIMIT)
                os.link(new.name, target)
            except FileExistsError:
                return build_id_of(target) == build_id
            except (OSError, ValueError, _http_error()):
                return False
        return True


def _http_error() -> type[Exception]:
    from http.client import HTTPException

    return HTTPException


def debuginfod(environment: Mapping[str, str], watch: Callable[[], None] = lambda: None) -> Fetch:
    """Asks the servers that the environment names, where it also says that they may be asked."""
    if environment.get(CONSENT, "").lower() not in ("1", "yes", "true"):
        return fetch_nothing
    urls = [url.rstrip("/") for url in environment.get(URLS, "").split()]
    good = tuple(url for url in urls[:_URLS_LIMIT] if urlsplit(url).scheme in ("http", "https"))
    return Debuginfod(good, cache_folder() / "debuginfod", watch=watch) if good else fetch_nothing
