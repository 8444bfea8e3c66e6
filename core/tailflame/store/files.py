"""Files that survive a crash: written whole or not at all, read with a bound and with care."""

from __future__ import annotations

import fcntl
import json
import math
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from tailflame.errors import StoreError

ARCHIVE_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    NotImplementedError,  # a packing that this Python lacks
    RuntimeError,  # an encrypted member
    UnicodeDecodeError,  # a name that is not the UTF-8 it says it is
)
"""What zipfile raises for a damaged or hostile archive, beside OSError."""

JSON_LIMIT = 16 * 2**20
"""Bytes of a session or settings document; real ones are a few kilobytes."""


def absolute(path: str | Path) -> str:
    """Without "." and "..", links left as the user named them."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow the links


def reason(error: OSError) -> str:
    """Why the system refused, as it words it: "No space left on device"."""
    return error.strerror or type(error).__name__


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Calls `write` with a temporary file beside `path`, which then takes its name.

    After a crash at any moment `path` holds either all of the old content or all of the new. StoreError
    where the system refuses (no space, no permission); the temporary file is gone then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        # Not tempfile: it makes 0600 files, and a profiles folder may be shared as the umask says.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}.",
            advice="Check the folder's permissions and free space.",
        ) from error


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last: without it the new name may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Atomically. Names with undecodable bytes (lone surrogates) survive, because all is escaped to ASCII."""
    text = json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    write_atomically(path, lambda stream: _write_all(stream, text.encode("ascii")))


def _write_all(stream: IO[bytes], data: bytes) -> None:
    stream.write(data)


def read_json(path: Path, *, limit: int = JSON_LIMIT) -> Fields:
    """The JSON object in `path`. StoreError for anything else, naming the file and the place."""
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {reason(error)}.") from error
    if len(data) > limit:
        raise StoreError(f"{path} is larger than {limit // 2**20} MiB, which no such file is.")
    return parse_json(data, str(path))


def parse_json(data: bytes | str, what: str) -> Fields:
    """The JSON object in `data`; `what` names its origin in errors."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        # ValueError covers both broken JSON and bytes that are not UTF-8.
        raise StoreError(
            f"{what} is damaged: it is not valid JSON.", details=f"{type(error).__name__}: {error}"
        ) from error
    return Fields(document, what)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds an advisory lock on `folder`, so that two Tailflames do not undo each other's changes in it.

    The folder itself is locked, which leaves no lock file behind. Where a file system knows no such locks (some network
    ones) it goes on without: each file is still replaced whole.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{folder} cannot be opened: {reason(error)}.", advice="Check its permissions.") from error
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_REQUIRED: Any = object()


class Fields:
    """A JSON object read with care: every access says what it wants; StoreError names file and key.

    A key without `default` is required. Nothing from a file is trusted to have its type.
    """

    __slots__ = ("_object", "what")

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise StoreError(f"{what} is damaged: expected an object, found {_kind(value)}.")
        self._object: dict[str, Any] = value
        self.what = what

    def __contains__(self, key: str) -> bool:
        return self._object.get(key) is not None

    @property
    def document(self) -> dict[str, Any]:
        return self._object

    def wrong(self, key: str, wanted: str) -> StoreError:
        found = _kind(self._object.get(key))
        return StoreError(f"{self.what} is damaged: “{key}” should be {wanted}, found {found}.")

    def _take(self, key: str, default: Any) -> Any:
        value = self._object.get(key)
        if value is None:
            if default is _REQUIRED:
                raise StoreError(f"{self.what} is damaged: “{key}” is missing.")
            return default
        return value

    def text(self, key: str, default: str = _REQUIRED) -> str:
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "text")
        return value

    def integer(self, key: str, default: int = _REQUIRED) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
            raise self.wrong(key, "a whole number")
        return value

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str) -> float | None:
        """None where the key is missing or null."""
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(key, "a number")
        try:
            answer = float(value)
        except OverflowError as error:
            raise self.wrong(key, "a number") from error
        if not math.isfinite(answer):
            raise self.wrong(key, "a finite number")
        return answer

    def whole(self, key: str) -> int | None:
        """A whole number, or None where missing."""
        return self.integer(key) if key in self else None

    def within(self, key: str, least: int, most: int, default: int = _REQUIRED) -> int:
        """A whole number from `least` to `most`."""
        value = self.integer(key, default)
        if not least <= value <= most:
            raise StoreError(
                f"{self.what} is damaged: “{key}” should be a whole number from {least} to {most:,}, and is {value}."
            )
        return value

    def amounts(self, key: str, most: float) -> tuple[float, ...]:
        """Finite numbers of no more than `most`, whatever their sign; empty where missing."""
        values = self._take(key, [])
        if not isinstance(values, list) or not all(
            isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most for value in values
        ):
            raise StoreError(
                f"{self.what} is damaged: “{key}” should be a list of finite numbers of no more than {most:.2g}."
            )
        return tuple(float(value) for value in values)

    def texts(self, key: str) -> tuple[str, ...]:
        """Empty where missing."""
        values = self._take(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of texts")
        return tuple(values)

    def mapping(self, key: str) -> dict[str, str]:
        """Text by text; empty where missing."""
        values = self._take(key, {})
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise self.wrong(key, "texts by name")
        return dict(values)

    def part(self, key: str) -> Fields:
        """An inner object; an empty one where missing."""
        return Fields(self._take(key, {}), f"{self.what} (“{key}”)")

    def parts(self, key: str) -> tuple[Fields, ...]:
        values = self._take(key, [])
        if not isinstance(values, list):
            raise self.wrong(key, "a list")
        return tuple(Fields(value, f"{self.what} (“{key}”)") for value in values)

    def moment(self, key: str) -> datetime | None:
        """A time in ISO 8601; None where missing or empty."""
        text = self.text(key, "")
        if not text:
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise self.wrong(key, "a time (ISO 8601)") from error

    def zoned(self, key: str) -> datetime | None:
        """A time with its zone: those without one cannot be put in order with others."""
        moment = self.moment(key)
        if moment is not None and moment.tzinfo is None:
            raise self.wrong(key, "a time with its zone")
        return moment


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"
