"""Hostile and damaged files: one sentence, the right exit code, bounded time and memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.certificate.builders import encoded, golden, seal
from verify.certificate import checker
from verify.certificate.checker import MAX_BYTES, check_bytes, check_file, main

GOOD = encoded(golden("t3_runs"))
HEAD = b'{"format": "nonconv-certificate/2", '

NOT = {
    "nothing": b"",
    "not JSON": b"certificate",
    "truncated": GOOD[:-1],
    "half": GOOD[: len(GOOD) // 2],
    "another encoding": GOOD.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "no UTF-8": GOOD.replace(b"a case", b"\xff\xfe case"),
    "two documents": GOOD + GOOD,
    "a list": b"[" + GOOD + b"]",
    "a number": b"17",
    "no format": b"{}",
    "another format": GOOD.replace(b"nonconv-certificate", b"something-else"),
    "too large": GOOD + b" " * MAX_BYTES,
    "deep lists": HEAD + b'"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep and open": b"[" * (MAX_BYTES - 1),
    "deep objects": b'{"a":' * 200_000,
    "quotes without end": b'"\\"' * 500_000,
    "a string without end": HEAD + b'"x": "' + b'\\"' * 900_000,
}

REJECTED = {
    "a float": GOOD.replace(b'"bits": 192', b'"bits": 192.0'),
    "an exponent": GOOD.replace(b'"bits": 192', b'"bits": 1e2'),
    "NaN": GOOD.replace(b'"bits": 192', b'"bits": NaN'),
    "minus infinity": GOOD.replace(b'"bits": 192', b'"bits": -Infinity'),
    "an integer of many digits": GOOD.replace(b'"bits": 192', b'"bits": ' + b"1" * 19),
    "an integer of very many digits": GOOD.replace(b'"bits": 192', b'"bits": ' + b"1" * 1_000_000),
    "a key twice": GOOD.replace(b'"bits": 192', b'"bits": 192, "bits": 192'),
    "a key twice inside": GOOD.replace(b'"lo": "39/64"', b'"lo": "39/64", "lo": "39/64"'),
    "a long string": GOOD.replace(b"a case", b"x" * 1_000_000),
    "another version": GOOD.replace(b"nonconv-certificate/2", b"nonconv-certificate/3"),
}


@pytest.mark.parametrize("what", NOT)
def test_what_is_no_certificate(what: str) -> None:
    outcome = check_bytes(NOT[what])
    assert outcome.code == 2
    assert outcome.verdict.startswith("NOT A CERTIFICATE: ")
    assert len(outcome.verdict) < 400


@pytest.mark.parametrize("what", REJECTED)
def test_what_a_certificate_may_not_hold(what: str) -> None:
    outcome = check_bytes(REJECTED[what])
    assert outcome.code == 1
    assert outcome.verdict.startswith("REJECTED: ")
    assert len(outcome.verdict) < 400


def test_nothing_but_files(tmp_path: Path) -> None:
    loop, fifo, missing = tmp_path / "loop", tmp_path / "fifo", tmp_path / "missing"
    loop.symlink_to(loop)
    os.mkfifo(fifo)
    link = tmp_path / "link"
    link.symlink_to(missing)
    locked = tmp_path / "null\0byte"
    for path in (tmp_path, loop, fifo, missing, link, locked, "/dev/zero"):
        outcome = check_file(str(path))
        assert outcome.code == 2, path
        assert "\n" not in outcome.verdict


def test_a_sparse_file_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**30)
    assert "more than 2097152 bytes" in check_file(str(path)).verdict


def test_the_worst_answer_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"good": GOOD, "part": encoded(golden("t13")), "bad": REJECTED["NaN"], "none": b""}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    at = {name: str(tmp_path / name) for name in texts}
    assert main([at["good"]]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  ACCEPTED"
    assert main([at["good"], at["part"]]) == 4
    assert capsys.readouterr().out.splitlines()[-1] == "  ACCEPTED IN PART"
    assert main([at["bad"], at["part"]]) == 1
    assert main([at["bad"], at["none"], at["good"]]) == 2
    assert main([]) == 2


def test_it_runs_as_a_single_copied_file_without_anything_else(tmp_path: Path) -> None:
    copy = tmp_path / "checker.py"
    copy.write_bytes(Path(checker.__file__).read_bytes())
    (tmp_path / "good").write_bytes(GOOD)
    command = [sys.executable, "-I", "-S", str(copy), str(tmp_path / "good")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("ACCEPTED\n")


def test_the_checker_is_made_of_the_standard_library_without_shortcuts() -> None:
    source = Path(checker.__file__).read_text(encoding="utf-8")
    for banned in ("assert ", "eval(", "exec(", "pickle", "import verify", "from verify", "import theorems", "float("):
        assert banned not in source, banned


def test_terminal_commands_are_not_passed_on() -> None:
    document = golden("t3_runs")
    document["case"]["name"] = "\x1b[2J\u202e done"
    outcome = check_bytes(encoded(seal(document)))
    assert outcome.code == 0
    assert all(c.isascii() and c.isprintable() for line in outcome.lines() for c in line)


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (400 * 2**20, 400 * 2**20))
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))


@pytest.mark.parametrize(
    "what", ["deep and open", "a string without end", "many numbers", "many objects", "many strings"]
)
def test_memory_stays_bounded(what: str, tmp_path: Path) -> None:
    more = {
        "many numbers": HEAD + b'"x": [' + b"7," * 1_000_000 + b"7]}",
        "many objects": HEAD + b'"x": [' + b"{}," * 690_000 + b"{}]}",
        "many strings": HEAD + b'"x": [' + b'"",' * 690_000 + b'""]}',
    }
    path = tmp_path / "hostile"
    path.write_bytes((NOT | more)[what])
    command = [sys.executable, "-I", checker.__file__, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=_limited, timeout=60)
    assert done.returncode in (1, 2)
    assert done.stderr == ""


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1/2", "p_1", "pow"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=json_values, key=st.sampled_from(sorted(golden("t10"))))
def test_any_json_in_any_place_gets_an_answer(value: object, key: str) -> None:
    document = golden("t10")
    outcome = check_bytes(json.dumps({**document, key: value}).encode())
    assert outcome.code in (1, 2) or value == document[key]
    assert "cannot go on" not in outcome.verdict


@settings(max_examples=120, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_bytes_get_an_answer(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(GOOD) - 1))
    piece = data.draw(st.binary(max_size=3))
    damaged = GOOD[:place] + piece + GOOD[place + data.draw(st.integers(0, 3)) :]
    outcome = check_bytes(damaged)
    assert outcome.code in (1, 2) or json.loads(damaged) == json.loads(GOOD)
