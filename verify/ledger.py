"""The ledger of an audit: what each finished block counted, in one SQLite file beside the results.

A block is replicas `first … first + count - 1` of what a key names; the key is a hash of everything that the counts
depend on (`verify.fingerprint`), so what another configuration or other code counted is never found. Every block is
written in a transaction of its own reach: a process that dies, however it does, loses what it had not written, and
nothing else. Blocks may overlap, where two processes divided the same work differently; `best_cover` chooses disjoint
ones, so that no replica counts twice. Each row carries a hash of itself, and rows that do not match it are not read.

SQLite's locks are those of the file system: all processes on one ledger must run on one machine, or on one whose
network file system has working locks.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from theorems.errors import InvalidInput

__all__ = ["Ledger", "best_cover", "gaps"]

Block = tuple[int, int, str]
"""First replica, number of replicas, and what was counted, as text."""

_MAGIC = b"SQLite format 3\x00"
_APPLICATION = 0x6E6F6E63  # "nonc"
_APPLICATION_AT = 68  # where SQLite's header has it
_FORMAT = 1
_PATIENCE = 60.0  # seconds that another process may hold the file
_TABLE = (
    "CREATE TABLE IF NOT EXISTS blocks (key TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, "
    "counted TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (key, first, count))"
)
_INSERT = "INSERT OR REPLACE INTO blocks (key, first, count, counted, hash) VALUES (?, ?, ?, ?, ?)"
_ALL = "SELECT key, first, count, counted, hash FROM blocks ORDER BY rowid "


class Ledger:
    """An open ledger; `Ledger.open` for a file, `Ledger.in_memory` for one that is forgotten."""

    def __init__(self, database: sqlite3.Connection, name: str) -> None:
        self._database, self._name = database, name
        self._version = self._ask_version()

    @classmethod
    def in_memory(cls) -> Ledger:
        """A ledger without a file."""
        database = sqlite3.connect(":memory:", isolation_level=None)
        database.execute(_TABLE)
        return cls(database, "in memory")

    @classmethod
    @contextmanager
    def open(cls, path: Path, tell: Callable[[str], None] = lambda sentence: None) -> Iterator[Ledger]:
        """Open a ledger's file, which need not exist yet.

        A damaged file is renamed, what can still be read of it is kept, and `tell` is given a sentence about it.
        Fails: InvalidInput if the file cannot be opened or written, is not a ledger, or is locked for a minute; also
        where that shows while the ledger is used.
        """
        with _in_one_sentence(path):
            try:
                database = _connect(path)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error) or not _is_ours(path):
                    raise
                tell(_salvage(path))
                database = _connect(path)
            try:
                yield cls(database, str(path))
            finally:
                database.close()

    @classmethod
    def remove(cls, path: Path) -> None:
        """Delete a ledger's file, if there is one. Fails: InvalidInput if it is something else, or stays."""
        try:
            if path.exists() and path.stat().st_size > 0 and not _is_ours(path):
                raise _foreign(path)
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        except OSError as error:
            raise InvalidInput(f"ledger {str(path)!r} cannot be removed: {error.strerror}") from error

    @classmethod
    @contextmanager
    def open_to_read(cls, path: Path) -> Iterator[Ledger]:
        """Open a ledger of which nothing is changed; one in memory, empty, if there is no file.

        Fails: InvalidInput as `open`, and if the file is damaged.
        """
        if not path.exists():
            yield cls.in_memory()
            return
        with _in_one_sentence(path):
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            try:
                _check_format(database, path)
                yield cls(database, str(path))
            finally:
                database.close()

    def blocks(self, key: str) -> list[Block]:
        """The blocks of a key; rows that do not match their hash are left out."""
        rows = self._database.execute(
            "SELECT key, first, count, counted, hash FROM blocks WHERE key = ? ORDER BY first, count", (key,)
        )
        return [
            (first, count, counted)
            for key, first, count, counted, hash_ in rows
            if _matches(key, first, count, counted, hash_)
        ]

    def add(self, found: Iterable[tuple[str, int, int, str]]) -> None:
        """Write blocks (key, first, count, counted): all of them, or none if that fails."""
        rows = [(*row, _hash(*row)) for row in found]
        with _transaction(self._database):
            self._database.executemany(_INSERT, rows)

    def others_wrote(self) -> bool:
        """Whether another process has written since this was last asked (or since the ledger was opened)."""
        before, self._version = self._version, self._ask_version()
        return before != self._version

    def _ask_version(self) -> int:
        version: int = self._database.execute("PRAGMA data_version").fetchone()[0]
        return version


# --- which blocks count -------------------------------------------------------------------------------------------


def best_cover(blocks: Iterable[tuple[int, int]], total: int) -> list[tuple[int, int]]:
    """Choose disjoint blocks (first, count) of replicas `0 … total - 1` that cover as many replicas as possible.

    The choice depends on the set of blocks alone.
    """
    inside = sorted(
        {(first + count, first) for first, count in blocks if first >= 0 < count and first + count <= total}
    )
    ends = [end for end, _ in inside]
    covered = [0]  # by the first so many of `inside`, at best
    for number, (end, first) in enumerate(inside):
        before = bisect_right(ends, first, hi=number)
        covered.append(max(covered[-1], covered[before] + end - first))
    chosen, number = [], len(inside)
    while number > 0:
        end, first = inside[number - 1]
        if covered[number] == covered[number - 1]:
            number -= 1
            continue
        chosen.append((first, end - first))
        number = bisect_right(ends, first, hi=number - 1)
    return chosen[::-1]


def gaps(cover: Iterable[tuple[int, int]], total: int) -> list[tuple[int, int]]:
    """The replicas `first … last - 1` of `0 … total - 1` that disjoint, ascending blocks leave out."""
    found, reached = [], 0
    for first, count in cover:
        if first > reached:
            found.append((reached, first))
        reached = first + count
    if reached < total:
        found.append((reached, total))
    return found


# --- the file -----------------------------------------------------------------------------------------------------


def _hash(key: str, first: int, count: int, counted: str) -> str:
    return hashlib.sha256(f"{key} {first} {count} {counted}".encode()).hexdigest()[:32]


def _matches(key: Any, first: Any, count: Any, counted: Any, hash_: Any) -> bool:
    return bool(_hash(key, first, count, counted) == hash_)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    try:
        _check_format(database, path)
        database.execute("PRAGMA journal_mode = DELETE")  # one file, and no shared memory
        database.execute("PRAGMA synchronous = FULL")
        with _transaction(database):
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_FORMAT}")
            database.execute(_TABLE)
    except BaseException:
        database.close()
        raise
    return database


def _check_format(database: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not a ledger; damage raises sqlite3.DatabaseError."""
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if tables and application != _APPLICATION:
        raise _foreign(path)
    if tables and version != _FORMAT:
        raise InvalidInput(f"ledger {str(path)!r} has format {version}; expected {_FORMAT}, or the name of a new file")
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError("database disk image is malformed")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has already rolled back after some errors
            database.execute("ROLLBACK")
        raise


def _foreign(path: Path) -> InvalidInput:
    return InvalidInput(f"ledger {str(path)!r} is not a ledger of nonconv; expected one, or the name of a new file")


@contextmanager
def _in_one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if not path.is_file() or path.stat().st_size == 0 or _is_ours(path):
            raise InvalidInput(
                f"ledger {str(path)!r} cannot be used: {error}; what was written before is kept, and the same command "
                "continues there"
            ) from error
        raise _foreign(path) from error


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file's content is at fault, rather than the disk, a lock or a permission."""
    return (
        error.args[:1] == ("file is not a database",)
        or "malformed" in str(error)
        or type(error) is sqlite3.DatabaseError
    )


def _is_ours(path: Path) -> bool:
    """Whether a file has the header of a ledger, whatever follows."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return False
    number = head[_APPLICATION_AT : _APPLICATION_AT + 4]
    return head.startswith(_MAGIC) and int.from_bytes(number, "big") == _APPLICATION


def _salvage(path: Path) -> str:
    """Put a new ledger in the place of a damaged one, with the rows that can be read; the damaged file is kept."""
    rows = _readable_rows(path)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    try:
        database = _connect(fresh)
        with _transaction(database):
            database.executemany(_INSERT, rows)
        database.close()
        damaged = _free_name(path)
        os.rename(path, damaged)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        os.rename(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return (
        f"ledger {str(path)!r} was damaged: {len(rows)} of its blocks could be read and are kept, the others are "
        f"computed again; the damaged file is now {str(damaged)!r}"
    )


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in range(1_000_000))
    return next(name for name in names if not name.exists())


def _readable_rows(path: Path) -> list[tuple[str, int, int, str, str]]:
    """What can be read from either end of the table, up to the first damaged page."""
    found: dict[tuple[str, int, int], tuple[str, int, int, str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="nonconv-") as place:
        copy = Path(place) / "copy"
        copy.write_bytes(_as_long_as_promised(path.read_bytes()))
        for direction in ("ASC", "DESC"):
            with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as database:
                database.text_factory = lambda raw: raw.decode(errors="replace")
                for row in database.execute(_ALL + direction):
                    if _matches(*row):
                        found[row[:3]] = row
    return list(found.values())


def _as_long_as_promised(content: bytes) -> bytes:
    """A database whose end is missing with zeros there, without which SQLite reads nothing of it."""
    size = int.from_bytes(content[16:18], "big")
    pages = int.from_bytes(content[28:32], "big")
    promised = pages * (65536 if size == 1 else size)
    return content.ljust(promised, b"\0") if promised < 2 * len(content) + 2**20 else content
