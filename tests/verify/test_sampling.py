"""Sampled `p_1`: counts against fractions, limits against exact values, and what must not change a count.

The limits of one test are wrong with probability at most its alpha, 1e-8 unless said otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import pytest

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence
from theorems.laws import parse_initialization
from verify import sampling
from verify.data import DataSpec, load_data
from verify.dead_neuron import FirstLayer, certified
from verify.inference import clopper_pearson
from verify.sampling import MAX_NEURONS, RESOLUTION, count_dead, sampled_dead_probability
from verify.simulation.streams import stream_key

ALPHA = Fraction(1, 10**8)


def layer(inputs: Sequence[Sequence[object]], law: str, bias: str | None = None) -> FirstLayer:
    initialization = parse_initialization(law, bias)
    points = tuple(tuple(Fraction(str(v)) for v in x) for x in inputs)
    d = len(points[0])
    return FirstLayer(points, initialization.weight_law(d, 3), initialization.bias_law(d, 3))


def real(name: str, law: str) -> FirstLayer:
    data, initialization = load_data(DataSpec(name, scale="minmax")), parse_initialization(law)
    d = data.input_dim
    return FirstLayer(data.inputs, initialization.weight_law(d, 16), initialization.bias_law(d, 16))


def dead_in_fractions(first: FirstLayer, neurons: int, seed: int) -> int:
    """The same neurons, each decided in fractions."""
    small = first.reduced()
    key = stream_key("sampled p_1", seed, small.weight, small.bias, small.dimension)
    count = 0
    for weight, bias in sampling._drawn(small, key, neurons):
        for row, b in zip(weight.tolist(), bias.tolist(), strict=True):
            w = [Fraction(v) for v in row]
            count += all(sum((a * v for a, v in zip(w, x, strict=True)), Fraction(b)) <= 0 for x in small.inputs)
    return count


@pytest.mark.parametrize(
    "first",
    [
        layer([(0, 1), (1, 0), (1, 1)], "pytorch"),
        layer([(0, 1, 0), (1, 0, 0), (1, 1, 0)], "keras"),
        layer([("1/3", "-2/7"), ("1e-30", "1"), ("-1", "1/9")], "standard_normal"),
        layer([("1e-200", "-1e-200")], "flax", "normal(1)"),  # the float filter gives up: decided in fractions
        layer([(1,), (-1,)], "keras"),
        layer([(0,)], "pytorch"),
    ],
    ids=str,
)
def test_counts_are_exact(first: FirstLayer) -> None:
    assert count_dead(first, 333, 7) == dead_in_fractions(first, 333, 7)


def test_neither_chunks_nor_scouts_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    first = real("iris", "pytorch")
    counted = count_dead(first, 801, 3)
    for name, value in (("NUMBERS", 1), ("NUMBERS", 100_000), ("SCOUTS", 1), ("SCOUTS", 10_000), ("PILOT", 1)):
        monkeypatch.setattr(sampling, name, value)
        assert count_dead(first, 801, 3) == counted
    assert counted == dead_in_fractions(first, 801, 3)


def test_a_larger_sample_goes_on_where_the_smaller_one_ended() -> None:
    first = layer([(0, 1), (1, 0)], "pytorch")
    counts = [count_dead(first, n, 1) for n in range(1, 120)]
    assert all(later - earlier in (0, 1) for earlier, later in itertools.pairwise(counts))
    assert 0 < counts[-1] < 119
    assert {count_dead(first, 500, seed) for seed in range(6)} != {count_dead(first, 500, 0)}


@pytest.mark.parametrize(
    "first",
    [
        layer([(0, 0), (0, 1), (1, 0), (1, 1)], "pytorch"),  # 13/48
        layer([(0,), (1,)], "standard_normal"),
        layer([(1, 2, 0), (2, 1, 0), (3, 3, 1)], "keras"),
        layer([(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)], "flax"),  # 1/8
        layer([(1, 0), (-1, 1), (0, -1)], "flax"),  # 0
        layer([(0, 0)], "keras"),  # 1
    ],
    ids=str,
)
def test_limits_contain_the_exact_value(first: FirstLayer) -> None:
    exact, sampled = certified(first), sampled_dead_probability(first, 40_000, ALPHA, 11)
    assert exact.two_sided
    assert sampled.enclosure.meets(exact.enclosure)
    assert sampled.enclosure.width < Fraction(1, 25)
    assert sampled.two_sided
    assert sampled.evidence is Evidence.STATISTICAL
    assert "of 40000 sampled neurons" in sampled.why


@pytest.mark.parametrize(
    "name", ["iris", *(pytest.param(name, marks=pytest.mark.slow) for name in ("wine", "diabetes", "breast_cancer"))]
)
@pytest.mark.parametrize(
    "law", ["pytorch", "keras", "flax", "he_normal", pytest.param("standard_normal", marks=pytest.mark.slow)]
)
def test_certified_bounds_stay_below_the_sampled_limits(name: str, law: str) -> None:
    first = real(name, law)
    assert certified(first).enclosure.lo <= sampled_dead_probability(first, 20_000, ALPHA, 2).enclosure.hi


def test_limits_are_those_of_the_count_widened() -> None:
    first, alpha = layer([(0, 1), (1, 0)], "pytorch"), Fraction(1, 100)
    dead = count_dead(first, 1000, 5)
    plain = clopper_pearson(dead, 1000, alpha)
    widened = sampled_dead_probability(first, 1000, alpha, 5).enclosure
    assert (widened.lo, widened.hi) == (plain.lo - RESOLUTION, plain.hi + RESOLUTION)
    none = sampled_dead_probability(layer([(1,), (-1,)], "keras"), 1000, alpha, 5).enclosure
    assert (none.lo, none.hi) == (0, clopper_pearson(0, 1000, alpha).hi + RESOLUTION)


def test_false_alarms_are_rarer_than_alpha() -> None:
    """At alpha = 1/5 about one seed in five may miss 3/8, each independently: 60 of 150 has probability below 1e-8."""
    first = layer([(0,), (1,)], "pytorch")
    misses = sum(
        not sampled_dead_probability(first, 200, Fraction(1, 5), seed).enclosure.contains(Fraction(3, 8))
        for seed in range(150)
    )
    assert 0 < misses < 60


@pytest.mark.parametrize("neurons", [0, -1, MAX_NEURONS + 1, 1.5, True])
def test_sample_sizes_are_checked(neurons: int) -> None:
    with pytest.raises(InvalidInput, match="neurons="):
        sampled_dead_probability(layer([(0,), (1,)], "pytorch"), neurons, ALPHA, 0)


def test_levels_and_inputs_are_checked() -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        sampled_dead_probability(layer([(0,), (1,)], "pytorch"), 10, Fraction(1), 0)
    with pytest.raises(InvalidInput, match=r"2\^400"):
        count_dead(layer([("1e200",), (1,)], "pytorch"), 10, 0)


def test_a_planted_error_is_caught() -> None:
    """Neurons that are dead on the scouts only are not dead."""
    first = real("iris", "pytorch")
    few = FirstLayer(first.inputs[::30], first.weight, first.bias)
    assert count_dead(few, 500, 3) > dead_in_fractions(first, 500, 3)
    assert count_dead(few, 500, 3) == dead_in_fractions(few, 500, 3)
