"""Random streams against published vectors, a scalar implementation that shares no code, and exact binomial limits.

Every statistical check has fixed keys and is judged by exact binomial tails; BUDGET bounds the probability that one
check fails for truly uniform numbers, and all of this file's checks together stay under 1e-7.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from verify.simulation.streams import Key, Purpose, minibatch_rows, philox, stream_key, uniforms

pytestmark = pytest.mark.usefixtures("one_thread")

Words4 = tuple[int, int, int, int]
BUDGET = 1e-9
MASK = 0xFFFFFFFF
KEY: Key = (0x243F6A88, 0x85A308D3)
words = st.integers(0, MASK)


# --- reference ------------------------------------------------------------------------------------------------------


def scalar_philox(counter: Words4, key: Key) -> Words4:
    """Philox4x32-10 as the paper writes it, on Python integers."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for number in range(10):
        if number:
            k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
        high0, low0 = divmod(0xD2511F53 * x0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * x2, 2**32)
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
    return x0, x1, x2, x3


def scalar_words(key: Key, replica: int, purpose: int, count: int) -> list[int]:
    found: list[int] = []
    draw = 0
    while len(found) < count:
        found += scalar_philox((draw, replica % 2**32, replica >> 32, purpose), key)
        draw += 1
    return found[:count]


def scalar_uniforms(key: Key, replica: int, purpose: int, count: int) -> list[Fraction]:
    """The midpoint of the cell of length 2^-52 that 52 bits of two words name."""
    pairs = scalar_words(key, replica, purpose, 2 * count)
    cells = [(high << 20) | (low >> 12) for high, low in zip(pairs[0::2], pairs[1::2], strict=True)]
    return [Fraction(2 * cell + 1, 2**53) for cell in cells]


def one_block(counter: Words4, key: Key) -> Words4:
    arrays = [np.array([word], dtype=np.uint64) for word in counter]
    c0, c1, c2, c3 = philox((arrays[0], arrays[1], arrays[2], arrays[3]), key)
    return int(c0[0]), int(c1[0]), int(c2[0]), int(c3[0])


KNOWN_ANSWERS = [
    # Random123, kat_vectors, the lines "philox4x32 10"
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MASK, MASK, MASK, MASK), (MASK, MASK), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
@pytest.mark.parametrize("generator", [one_block, scalar_philox])
def test_published_vectors(
    generator: Callable[[Words4, Key], Words4], counter: Words4, key: Key, answer: Words4
) -> None:
    assert generator(counter, key) == answer


@given(st.tuples(words, words, words, words), st.tuples(words, words))
def test_arrays_agree_with_the_scalar_generator(counter: Words4, key: Key) -> None:
    assert one_block(counter, key) == scalar_philox(counter, key)


def test_whole_arrays_agree_with_the_scalar_generator() -> None:
    counters = np.random.default_rng(7).integers(0, 2**32, size=(500, 4), dtype=np.uint64)
    columns = [counters[:, i] for i in range(4)]
    found = np.stack(philox((columns[0], columns[1], columns[2], columns[3]), KEY), axis=1)
    for row, counter in zip(found.tolist(), counters.tolist(), strict=True):
        assert tuple(row) == scalar_philox((counter[0], counter[1], counter[2], counter[3]), KEY)


REPLICAS = [0, 1, 2, 255, MASK, 2**32, 2**32 + 1, 5 * 2**32 + 3, 2**62 + 2**31 + 1, 2**63 - 1]


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_uniforms_are_what_the_scalar_generator_gives(purpose: Purpose, count: int) -> None:
    """Replica numbers on both sides of 2^32, and counts that end in the middle of a counter's four words."""
    found = uniforms(KEY, np.array(REPLICAS), purpose, count)
    assert found.shape == (len(REPLICAS), count)
    for row, replica in zip(found.tolist(), REPLICAS, strict=True):
        assert [Fraction(u) for u in row] == scalar_uniforms(KEY, replica, int(purpose), count)


@pytest.mark.parametrize(
    ("steps", "batch", "n_rows"), [(1, 1, 1), (3, 5, 7), (4, 2, 1000), (2, 3, 2**31), (2, 3, MASK)]
)
def test_minibatches_are_what_the_scalar_generator_gives(steps: int, batch: int, n_rows: int) -> None:
    found = minibatch_rows(KEY, np.array(REPLICAS), steps, batch, n_rows)
    assert found.shape == (steps, len(REPLICAS), batch)
    for position, replica in enumerate(REPLICAS):
        expected = [
            word * n_rows // 2**32 for word in scalar_words(KEY, replica, int(Purpose.MINIBATCH), steps * batch)
        ]
        assert found[:, position, :].reshape(-1).tolist() == expected


# --- grouping -------------------------------------------------------------------------------------------------------

replica_lists = st.lists(st.integers(0, 2**40), min_size=1, max_size=12, unique=True)


@given(replica_lists, st.integers(1, 9), st.data())
def test_streams_do_not_depend_on_the_company(replicas: list[int], count: int, data: st.DataObject) -> None:
    """Any subset in any order, and one at a time: the same numbers."""
    together = dict(zip(replicas, uniforms(KEY, np.array(replicas), Purpose.INITIALIZATION, count), strict=True))
    batches = minibatch_rows(KEY, np.array(replicas), 2, count, 11)
    of_replica = {replica: batches[:, position] for position, replica in enumerate(replicas)}
    chosen = data.draw(st.permutations(replicas))[: data.draw(st.integers(1, len(replicas)))]
    again = uniforms(KEY, np.array(chosen), Purpose.INITIALIZATION, count)
    batches_again = minibatch_rows(KEY, np.array(chosen), 2, count, 11)
    for position, replica in enumerate(chosen):
        assert again[position].tobytes() == together[replica].tobytes()
        assert (batches_again[:, position] == of_replica[replica]).all()
        alone = uniforms(KEY, np.array([replica]), Purpose.INITIALIZATION, count)
        assert alone[0].tobytes() == together[replica].tobytes()


@pytest.mark.parametrize("size", [1, 7, 16, 64])
def test_blocks_put_together_are_the_whole(size: int) -> None:
    for first in (0, 2**32 - 30):  # the second range runs across 2^32
        whole = uniforms(KEY, np.arange(first, first + 64), Purpose.INITIALIZATION, 6)
        parts = [
            uniforms(KEY, np.arange(at, min(at + size, first + 64)), Purpose.INITIALIZATION, 6)
            for at in range(first, first + 64, size)
        ]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_longer_streams_begin_like_shorter_ones() -> None:
    replicas = np.arange(5)
    long = uniforms(KEY, replicas, Purpose.INITIALIZATION, 33)
    steps = minibatch_rows(KEY, replicas, 9, 3, 100)
    for count in (1, 2, 7, 32):
        assert (uniforms(KEY, replicas, Purpose.INITIALIZATION, count) == long[:, :count]).all()
    assert (minibatch_rows(KEY, replicas, 4, 3, 100) == steps[:4]).all()


# --- nothing coincides that should not -------------------------------------------------------------------------------


def test_replicas_purposes_and_keys_give_different_numbers() -> None:
    """64-bit pieces of 4000 streams: one coincidence has probability below 1e-11."""
    seen: set[bytes] = set()
    replicas = np.concatenate([np.arange(500), 2**32 + np.arange(500)])
    for key in (KEY, (KEY[1], KEY[0])):
        for purpose in Purpose:
            seen |= {row.tobytes() for row in uniforms(key, replicas, purpose, 1)}
    assert len(seen) == 4000


def test_a_replica_above_two_to_the_32_is_not_its_low_word() -> None:
    low, high = (uniforms(KEY, np.array([r]), Purpose.INITIALIZATION, 8) for r in (5, 2**32 + 5))
    assert (low != high).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab",), ("a", "b")),
        (("a", ""), ("a",)),
        (("", "a"), ("a", "")),
        (("a", "b"), ("b", "a")),
        ((1, 23), (12, 3)),
        (("\x01\0\0\0\0\0\0\0a", "b"), ("", "a", "b")),  # a part that looks like a length
        ((), ("",)),
        (("ü",), ("u\u0308",)),
    ],
)
def test_keys_do_not_merge_parts(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert stream_key(*one) != stream_key(*other)
    assert stream_key(*one) == stream_key(*one)
    assert all(0 <= word <= MASK for word in stream_key(*one))


parts = st.lists(st.one_of(st.text(max_size=4), st.integers(-99, 99)), max_size=4)


@given(parts, parts)
def test_keys_are_equal_only_for_equal_parts(one: list[object], other: list[object]) -> None:
    written, otherwise = [str(part) for part in one], [str(part) for part in other]
    assert (stream_key(*one) == stream_key(*other)) == (written == otherwise)


# --- uniform numbers ------------------------------------------------------------------------------------------------


def check_uniforms_on_the_grid(u: npt.NDArray[np.float64]) -> None:
    """In (0, 1), odd multiples of 2^-53, and 1 - u of the same kind without rounding."""
    assert ((u > 0) & (u < 1)).all()
    for values in (u, 1.0 - u):
        scaled = values * 2.0**53  # a power of two: exact
        assert (scaled == np.floor(scaled)).all()
        assert (scaled.astype(np.int64) % 2 == 1).all()
    assert (u + (1.0 - u) == 1.0).all()
    assert (u != 0.5).all()


def test_uniforms_lie_on_the_promised_grid() -> None:
    check_uniforms_on_the_grid(uniforms(KEY, np.arange(2000), Purpose.INITIALIZATION, 50))


def test_the_extreme_words_give_the_extreme_uniforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bits 0 and all bits 1 are the two ends, which are symmetric and not 0 or 1."""
    for word, expected in ((0, Fraction(1, 2**53)), (MASK, 1 - Fraction(1, 2**53))):

        def constant(counter: tuple[npt.NDArray[np.uint64], ...], key: Key, word: int = word) -> object:
            return tuple(np.full(counter[0].shape, word, dtype=np.uint64) for _ in range(4))

        monkeypatch.setattr("verify.simulation.streams.philox", constant)
        found = uniforms(KEY, np.arange(2), Purpose.INITIALIZATION, 3)
        assert {Fraction(u) for u in found.reshape(-1).tolist()} == {expected}
        check_uniforms_on_the_grid(found)
        assert set(minibatch_rows(KEY, np.arange(2), 2, 2, 10).reshape(-1).tolist()) == {9 if word else 0}


@pytest.mark.parametrize("broken", [lambda u: u + 2.0**-53, lambda u: u - 2.0**-53, lambda u: u.astype(np.float32)])
def test_the_grid_check_catches_other_grids(
    broken: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> None:
    with pytest.raises(AssertionError):
        check_uniforms_on_the_grid(broken(uniforms(KEY, np.arange(200), Purpose.INITIALIZATION, 50)).astype(np.float64))


def check_equal_cells(cells: npt.NDArray[np.int64], n_cells: int) -> None:
    """Each cell's count is binomial with probability 1/n_cells; all two-sided tails at once, by the union bound."""
    counts = np.bincount(cells.reshape(-1), minlength=n_cells)
    assert len(counts) == n_cells
    n = cells.size
    tails = np.minimum(binom.cdf(counts, n, 1 / n_cells), binom.sf(counts - 1, n, 1 / n_cells))
    assert tails.min() >= BUDGET / (2 * n_cells), f"counts {counts.tolist()} of {n}"


def cells_of(u: npt.NDArray[np.float64], n_cells: int) -> npt.NDArray[np.int64]:
    return np.floor(u * n_cells).astype(np.int64)


SAMPLE_KEYS = [stream_key("test", number) for number in range(2)]


@pytest.mark.parametrize("key", SAMPLE_KEYS)
@pytest.mark.parametrize("purpose", Purpose)
def test_uniforms_fill_cells_equally(key: Key, purpose: Purpose) -> None:
    u = uniforms(key, np.arange(4000), purpose, 40)
    check_equal_cells(cells_of(u, 2), 2)
    check_equal_cells(cells_of(u, 50), 50)
    check_equal_cells(cells_of((u * 2.0**20) % 1.0, 64), 64)  # bits from the middle
    check_equal_cells(cells_of((u * 2.0**45) % 1.0, 64), 64)  # the last bits but one


@pytest.mark.parametrize("key", SAMPLE_KEYS)
def test_neighbours_are_independent(key: Key) -> None:
    """Pairs of successive draws, of successive replicas, of both purposes, of replicas 2^32 apart."""
    u = uniforms(key, np.arange(4000), Purpose.INITIALIZATION, 40)
    pairs = [
        (u[:, 0::2], u[:, 1::2]),
        (u[0::2], u[1::2]),
        (u, uniforms(key, np.arange(4000), Purpose.MINIBATCH, 40)),
        (u, uniforms(key, 2**32 + np.arange(4000), Purpose.INITIALIZATION, 40)),
        (u, uniforms((key[0], key[1] ^ 1), np.arange(4000), Purpose.INITIALIZATION, 40)),
    ]
    for first, second in pairs:
        check_equal_cells(8 * cells_of(first, 8) + cells_of(second, 8), 64)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("batch", [1, 5])
def test_minibatch_rows_are_uniform(n_rows: int, batch: int) -> None:
    rows = minibatch_rows(SAMPLE_KEYS[0], np.arange(1000), 20, batch, n_rows)
    assert rows.min() >= 0
    assert rows.max() < n_rows
    check_equal_cells(rows, n_rows)
    check_equal_cells(rows[0] * n_rows + rows[1], n_rows**2)  # successive steps


def test_minibatches_of_two_replicas_differ() -> None:
    rows = minibatch_rows(KEY, np.arange(50), 30, 4, 10)
    assert len({rows[:, r].tobytes() for r in range(50)}) == 50


@pytest.mark.parametrize(
    "broken", [np.square, lambda u: np.where(u < 0.01, 1.0 - u, u), lambda u: np.minimum(u, 1.0 - u)]
)
def test_the_cell_check_catches_unequal_numbers(
    broken: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> None:
    u = uniforms(KEY, np.arange(4000), Purpose.INITIALIZATION, 40)
    with pytest.raises(AssertionError):
        check_equal_cells(cells_of(broken(u), 50), 50)
    with pytest.raises(AssertionError):
        check_equal_cells(8 * cells_of(u, 8) + cells_of(broken(u), 8), 64)
