"""Counter-based random streams: every replica has its own, and nothing depends on how replicas are grouped.

The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011).
It is written out here because the same draws must be made for whole blocks of replicas at once, by array operations
on any device, which the libraries' generator objects (one counter, one stream) cannot do.

Counter words: (draw, replica low, replica high, purpose); key: 64 bits of a hash of what the stream is for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Minibatches", "Purpose", "minibatch_rows", "philox", "stream_key", "uniforms"]

Words = npt.NDArray[np.uint64]  # 32-bit words in 64-bit containers, so that products do not overflow
Floats = npt.NDArray[np.float64]
Key = tuple[int, int]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_CHUNK = 1 << 14  # counters at a time, so that ten rounds stay in the cache


class Purpose(IntEnum):
    """What a stream of a replica is used for."""

    INITIALIZATION = 0
    MINIBATCH = 1


def stream_key(*parts: object) -> Key:
    """Two 32-bit words of a SHA-256 over the written parts, each preceded by its length so that none can merge."""
    digest = hashlib.sha256()
    for part in parts:
        text = str(part).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    raw = digest.digest()
    return int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")


def philox(counter: tuple[Words, Words, Words, Words], key: Key) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 on arrays of counters of one shape."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def _words(key: Key, replicas: npt.NDArray[np.int64], purpose: Purpose, count: int) -> Words:
    """The first `count` 32-bit words of each replica's stream; shape (replicas, count)."""
    draws = -(-count // 4)
    words = np.empty((len(replicas), draws, 4), dtype=np.uint64)
    rows, columns = max(_CHUNK // max(draws, 1), 1), _CHUNK
    for top in range(0, len(replicas), rows):
        replica = replicas[top : top + rows].astype(np.uint64)[:, None]
        for left in range(0, draws, columns):
            draw = np.arange(left, min(left + columns, draws), dtype=np.uint64)[None, :]
            shape = (len(replica), draw.shape[1])
            parts = (draw, replica & _LOW, replica >> _SHIFT, np.uint64(int(purpose)))
            c0, c1, c2, c3 = (np.broadcast_to(part, shape) for part in parts)
            for word, made in enumerate(philox((c0, c1, c2, c3), key)):
                words[top : top + rows, left : left + columns, word] = made
    return words.reshape(len(replicas), 4 * draws)[:, :count]


def uniforms(key: Key, replicas: npt.NDArray[np.int64], purpose: Purpose, count: int) -> Floats:
    """Uniform numbers in (0, 1), shape (replicas, count): odd multiples of 2^-53, symmetric about 1/2, never 1/2.

    So that half of all draws of a symmetric law are negative, none is 0, and `1 - u` is exact.
    """
    words = _words(key, replicas, purpose, 2 * count)
    high, low = words[:, 0::2], words[:, 1::2]
    mantissa = (high << np.uint64(20)) | (low >> np.uint64(12))  # 52 bits
    return (mantissa.astype(np.float64) + 0.5) * 2.0**-52


def minibatch_rows(
    key: Key, replicas: npt.NDArray[np.int64], steps: int, batch: int, n_rows: int
) -> npt.NDArray[np.int64]:
    """Row numbers drawn with replacement, shape (steps, replicas, batch); any choice is allowed (math §1)."""
    words = _words(key, replicas, Purpose.MINIBATCH, steps * batch).reshape(len(replicas), steps, batch)
    return ((words * np.uint64(n_rows)) >> _SHIFT).astype(np.int64).transpose(1, 0, 2)


@dataclass(frozen=True, eq=False)
class Minibatches:
    """The row numbers of `minibatch_rows`, step by step: `batches(1)`, `batches(2)`, ... each (replicas, batch).

    Engines that draw for themselves read the fields; nothing is drawn before the first call.
    """

    key: Key
    replicas: npt.NDArray[np.int64]
    steps: int
    batch: int
    n_rows: int

    @cached_property
    def _rows(self) -> npt.NDArray[np.int64]:
        return minibatch_rows(self.key, self.replicas, self.steps, self.batch, self.n_rows)

    def __call__(self, step: int) -> npt.NDArray[np.int64]:
        """The rows of a step."""
        rows: npt.NDArray[np.int64] = self._rows[step - 1]
        return rows
