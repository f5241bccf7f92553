"""Statistical `p_1`: sampled neurons, each decided exactly, and certified confidence limits (math §6.8, §8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence
from theorems.setting import DataSet, Vector
from verify.dead_neuron import DeadProbability, FirstLayer
from verify.enclosure import Enclosure
from verify.inference import clopper_pearson
from verify.simulation.draw import Layer, _quantile
from verify.simulation.forward import FloatData, find_dead
from verify.simulation.streams import Key, Purpose, stream_key, uniforms

__all__ = ["MAX_NEURONS", "RESOLUTION", "count_dead", "sampled_dead_probability"]

Floats = npt.NDArray[np.float64]

MAX_NEURONS = 10**8
RESOLUTION = Fraction(1, 10**5)
"""By how much draws in float64 may change the probability (math §8); limits are widened by it."""

BLOCK = 32  # neurons drawn from one stream, and decided together
NUMBERS = 2_000_000  # numbers in one array of pre-activations
SCOUTS = 48  # inputs looked at first: nearly all neurons are alive on one of them
PILOT = 64  # blocks that choose them


def sampled_dead_probability(first: FirstLayer, neurons: int, alpha: Fraction, seed: int) -> DeadProbability:
    """Two-sided limits of `p_1` from sampled neurons, wrong with probability at most `alpha`.

    Source:   math §6.8; Clopper-Pearson limits.
    Symbols:  neurons = sample size, fixed in advance; seed names the streams, which nothing else uses.
    Rigour:   statistical: whether a sampled neuron is dead is decided exactly, the limits are rounded outward and
              widened by RESOLUTION, since neurons are drawn in floating point. That draws are independent uniform
              numbers is assumed.
    Fails:    InvalidInput unless 1 <= neurons <= MAX_NEURONS and alpha is a Fraction in (0, 1), or inputs exceed 2^400.
    """
    dead = count_dead(first, neurons, seed)
    limits = clopper_pearson(dead, neurons, alpha)
    widened = Enclosure(max(limits.lo - RESOLUTION, Fraction(0)), min(limits.hi + RESOLUTION, Fraction(1)))
    why = f"{dead} of {neurons} sampled neurons are dead"
    return DeadProbability("sampled", widened, True, Evidence.STATISTICAL, why)


def count_dead(first: FirstLayer, neurons: int, seed: int) -> int:
    """How many of the sampled neurons are dead on the inputs, decided exactly.

    Neurons come in blocks, each from its own stream, so the first ones of a larger sample are those of a smaller one.

    Fails: InvalidInput unless 1 <= neurons <= MAX_NEURONS, or if inputs exceed 2^400.
    """
    if not isinstance(neurons, int) or isinstance(neurons, bool) or not 1 <= neurons <= MAX_NEURONS:
        raise InvalidInput(f"neurons={neurons!r}: expected a whole number from 1 to {MAX_NEURONS}")
    small = first.reduced()  # same p_1
    key = stream_key("sampled p_1", seed, small.weight, small.bias, small.dimension)
    everything, scouts = _points(small.inputs), _points(_scouts(small, key))
    survivors: list[tuple[Floats, Floats]] = []
    for weight, bias in _drawn(small, key, neurons):
        left = _dead(weight, bias, scouts)
        survivors.append((weight[left], bias[left]))
    weights, biases = (np.concatenate(part) for part in zip(*survivors, strict=True))
    step = BLOCK * max(1, NUMBERS // (BLOCK * len(small.inputs)))
    chunks = (slice(k, k + step) for k in range(0, len(weights), step))
    return sum(int(_dead(weights[chunk], biases[chunk], everything).sum()) for chunk in chunks)


def _drawn(first: FirstLayer, key: Key, neurons: int) -> Iterator[tuple[Floats, Floats]]:
    """Weights (n, dimension) and biases (n,) of the sampled neurons, some blocks at a time."""
    blocks, d = -(-neurons // BLOCK), first.dimension
    step = max(1, NUMBERS // (BLOCK * max(d + 1, SCOUTS)))
    for start in range(0, blocks, step):
        numbers = np.arange(start, min(start + step, blocks))
        draws = uniforms(key, numbers, Purpose.INITIALIZATION, BLOCK * (d + 1)).reshape(-1, d + 1)
        draws = draws[: neurons - start * BLOCK]
        yield _quantile(first.weight, draws[:, :d]), _quantile(first.bias, draws[:, d])


def _dead(weight: Floats, bias: Floats, points: FloatData) -> npt.NDArray[np.bool_]:
    """Which neurons are dead on the points, exactly; whole blocks become first layers of networks, rests a last one."""
    found = []
    full = len(weight) // BLOCK * BLOCK
    for part, width in ((slice(0, full), BLOCK), (slice(full, None), len(weight) - full)):
        if width and len(weight[part]):
            layer = Layer(weight[part].reshape(-1, width, weight.shape[1]), bias[part].reshape(-1, width))
            found.append(find_dead((layer, layer), points).first.ravel())
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def _points(inputs: tuple[Vector, ...]) -> FloatData:
    return FloatData.of(DataSet.from_rows("inputs", inputs, [(Fraction(0),)] * len(inputs)))


def _scouts(first: FirstLayer, key: Key) -> tuple[Vector, ...]:
    """Inputs at which many neurons are largest, by a float look at some of the sample; any choice is right."""
    if len(first.inputs) <= SCOUTS:
        return first.inputs
    points = _points(first.inputs).inputs
    weight, bias = next(_drawn(first, key, PILOT * BLOCK))
    largest = np.argmax(weight @ points.T + bias[:, None], axis=1)
    return tuple(first.inputs[j] for j, _ in Counter(largest.tolist()).most_common(SCOUTS))
