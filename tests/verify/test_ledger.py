"""The ledger of finished blocks: nothing lost, nothing twice, and one sentence for whatever is wrong with the file."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from verify import ledger as module
from verify.ledger import Ledger, best_cover, gaps


def row(key: str, first: int, count: int = 10) -> tuple[str, int, int, str]:
    return key, first, count, f'{{"trials":{count},"from":{first}}}'


def fill(path: Path, number: int = 300) -> list[tuple[str, int, int, str]]:
    rows = [row("a" * 64, 10 * k) for k in range(number)]
    with Ledger.open(path) as ledger:
        ledger.add(rows)
    return rows


def found(path: Path, key: str = "a" * 64) -> list[tuple[int, int, str]]:
    with Ledger.open(path) as ledger:
        return ledger.blocks(key)


# --- what is kept ------------------------------------------------------------------------------------------------


def test_blocks_come_back_under_their_key_only(tmp_path: Path) -> None:
    path = tmp_path / "x.ledger"
    with Ledger.open(path) as ledger:
        ledger.add([row("a", 10), row("b", 0), row("a", 0)])
        assert [block[:2] for block in ledger.blocks("a")] == [(0, 10), (10, 10)]
    assert found(path, "b") == [(0, 10, row("b", 0)[3])]
    assert found(path, "c") == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ledger"], "one file"


def test_the_same_block_is_kept_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x") as ledger:
        ledger.add([row("a", 0)])
        ledger.add([row("a", 0)])
        assert len(ledger.blocks("a")) == 1


def test_all_of_an_addition_or_nothing(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x") as ledger:
        with pytest.raises(sqlite3.Error):
            ledger.add([row("a", 0), ("a", 10, 10, None)])  # type: ignore[list-item]
        assert ledger.blocks("a") == []
        ledger.add([row("a", 0)])
        assert len(ledger.blocks("a")) == 1


def test_another_writer_is_noticed_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x") as one, Ledger.open(tmp_path / "x") as two:
        one.others_wrote()
        one.add([row("a", 0)])
        assert not one.others_wrote()
        two.add([row("a", 10)])
        assert one.others_wrote()
        assert not one.others_wrote()
        assert len(one.blocks("a")) == 2


# --- which blocks count ------------------------------------------------------------------------------------------

BLOCKS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=8)


def best_by_force(blocks: list[tuple[int, int]], total: int) -> int:
    """The most replicas that disjoint blocks cover, over all choices."""
    best = 0
    for choice in range(2 ** len(blocks)):
        taken = [block for k, block in enumerate(blocks) if choice >> k & 1]
        replicas = [r for first, count in taken for r in range(first, first + count)]
        if len(set(replicas)) == len(replicas) and all(r < total for r in replicas):
            best = max(best, len(replicas))
    return best


@given(BLOCKS, st.integers(0, 25))
def test_the_cover_counts_nothing_twice_and_as_much_as_possible(blocks: list[tuple[int, int]], total: int) -> None:
    cover = best_cover(blocks, total)
    assert set(cover) <= set(blocks)
    assert all(first + count <= after for (first, count), (after, _) in pairwise(cover))
    assert sum(count for _, count in cover) == best_by_force(blocks, total)
    missing = gaps(cover, total)
    replicas = [r for first, count in cover for r in range(first, first + count)]
    replicas += [r for first, last in missing for r in range(first, last)]
    assert sorted(replicas) == list(range(total))
    assert best_cover(blocks[::-1], total) == cover


def test_a_cover_prefers_what_fits_together() -> None:
    assert best_cover([(0, 8), (6, 6), (8, 4)], 12) == [(0, 8), (8, 4)]
    assert best_cover([(0, 20)], 12) == []
    assert gaps([], 3) == [(0, 3)]


# --- what is wrong with the file ---------------------------------------------------------------------------------


def test_a_row_that_was_tampered_with_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    fill(path, 3)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE blocks SET counted = replace(counted, '10', '99') WHERE first = 10")
    database.close()
    assert [first for first, _, _ in found(path)] == [0, 20]
    with Ledger.open(path) as ledger:  # it is counted again, and written in its place
        ledger.add([row("a" * 64, 10)])
        assert [first for first, _, _ in ledger.blocks("a" * 64)] == [0, 10, 20]


@pytest.mark.parametrize("damage", ["a page", "the end is missing", "a page of the index"])
def test_what_can_be_read_of_a_damaged_file_is_kept(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    rows = {block[1:] for block in fill(path)}
    raw = bytearray(path.read_bytes())
    pages = len(raw) // 4096
    if damage == "the end is missing":
        raw = raw[: len(raw) // 2]
    else:
        page = pages // 2 if damage == "a page" else 2
        raw[4096 * page : 4096 * (page + 1)] = random.Random(1).randbytes(4096)
    path.write_bytes(raw)
    told: list[str] = []
    with Ledger.open(path, told.append) as ledger:
        kept = set(ledger.blocks("a" * 64))
        assert kept <= rows
        ledger.add([row("b", 0)])
    assert len(told) == 1
    assert "\n" not in told[0]
    assert f"{len(kept)} of its blocks could be read" in told[0]
    if damage != "a page of the index":
        assert len(kept) > 50
    assert Path(f"{path}.damaged").read_bytes() == bytes(raw), "nothing is thrown away"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x", "x.damaged"]
    assert set(found(path)) == kept


@pytest.mark.parametrize("content", [b"my notes", b"x" * 5000, b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_file_of_another_kind_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="is not a ledger of nonconv"), Ledger.open(path):
        pass
    with pytest.raises(InvalidInput, match="is not a ledger of nonconv"):
        Ledger.remove(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="is not a ledger of nonconv"), Ledger.open(path):
        pass
    assert path.read_bytes() == before


def test_a_ledger_of_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    fill(path, 1)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(InvalidInput, match="has format 7; expected 1"), Ledger.open(path):
        pass


@pytest.mark.parametrize("place", ["/proc/nonconv.ledger", "/nowhere/at/all/x.ledger"])
def test_a_folder_that_cannot_be_written_gets_one_sentence(place: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be used: ") as caught, Ledger.open(Path(place)):
        pass
    assert "\n" not in str(caught.value)


def test_a_folder_in_its_place_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be used: "), Ledger.open(tmp_path):
        pass
    with pytest.raises(InvalidInput, match="is not a ledger"):
        Ledger.remove(tmp_path)


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with Ledger.open_to_read(path) as ledger:
        assert ledger.blocks("a") == []
    assert not path.exists()
    fill(path, 2)
    before = path.read_bytes()
    with Ledger.open_to_read(path) as ledger:
        assert len(ledger.blocks("a" * 64)) == 2
    with pytest.raises(InvalidInput, match="readonly"), Ledger.open_to_read(path) as ledger:
        ledger.add([row("a", 0)])
    assert path.read_bytes() == before


def test_an_empty_file_and_a_removed_one_are_new_ledgers(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    assert found(path) == []
    fill(path, 2)
    Ledger.remove(path)
    Ledger.remove(path)
    assert found(path) == []


def test_a_locked_ledger_gets_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    fill(path, 1)
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InvalidInput, match="database is locked"), Ledger.open(path):
        pass
    holder.close()
    assert len(found(path)) == 1


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


WRITER = """
    import sys
    from pathlib import Path
    from verify.ledger import Ledger
    with Ledger.open(Path(sys.argv[1])) as ledger:
        for k in range(int(sys.argv[2]), int(sys.argv[3])):
            ledger.add([("k", first, 1, "{}" * 50) for first in range(3 * k, 3 * k + 3)])
            print(k, flush=True)
"""


def test_a_full_disk_gets_one_sentence_and_keeps_what_was_written(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk's."""
    path = tmp_path / "x"
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), "0", "100000"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000)),
    )
    assert child.returncode == 1
    last = child.stderr.strip().splitlines()[-1]
    assert last.startswith("theorems.errors.InvalidInput: ledger")
    assert "the same command continues" in last
    written = len(child.stdout.split())
    assert written > 20
    kept = found(path, "k")
    assert {first for first, _, _ in kept} >= set(range(3 * written))
    assert len(kept) % 3 == 0


def kill_writers(tmp_path: Path, rounds: int, seed: int) -> None:
    path, chance, promised = tmp_path / "x", random.Random(seed), 0
    for _ in range(rounds):
        child = run_python(WRITER, str(path), str(promised), "1000000")
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.random() * 0.05)
        child.send_signal(signal.SIGKILL)
        out, _ = child.communicate()
        lines = out.split("\n")[:-1]
        promised = max([promised, *(int(line) + 1 for line in lines)])
        blocks = found(path, "k")
        assert {first for first, _, _ in blocks} >= set(range(3 * promised))
        assert len(blocks) % 3 == 0, "an addition is written as a whole"
        assert len(set(blocks)) == len(blocks)


def test_a_killed_writer_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    kill_writers(tmp_path, 4, 1)


@pytest.mark.slow
def test_fifty_killed_writers_lose_nothing(tmp_path: Path) -> None:
    kill_writers(tmp_path, 50, 2)


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    children = [run_python(WRITER, str(tmp_path / "x"), str(first), str(first + 15)) for first in (0, 15)]
    for child in children:
        assert child.communicate()[1] == ""
    assert [first for first, _, _ in found(tmp_path / "x", "k")] == list(range(90))
