"""Dead, alive, undecided: against brute force in fractions that shares no code with the scan.

The reference computes every pre-activation of a network by definition. Checks are functions of what the scan answers;
they also run on scans that are broken on purpose, which they have to catch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from theorems.setting import DataSet
from verify.scan import bounds, decide, signs
from verify.scan.inputs import ScanInputs, of_arrays
from verify.scan.program import Program
from verify.scan.result import Extent, LayerScan, Scan
from verify.scan.scanning import scan
from verify.scan.trace import trace

pytestmark = pytest.mark.usefixtures("one_thread")

Vector = tuple[Fraction, ...]
Rows = list[list[float]]
Layers = list[tuple[list[list[float]], list[float]]]


# --- the reference ----------------------------------------------------------------------------------------------------


def preactivations(layers: Layers, x: Sequence[Fraction]) -> list[Vector]:
    """Exact pre-activations of the hidden layers at one input."""
    found, h = [], tuple(x)
    for weight, bias in layers[:-1]:
        z = tuple(
            sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(b))
            for row, b in zip(weight, bias, strict=True)
        )
        found.append(z)
        h = tuple(max(v, Fraction(0)) for v in z)
    return found


def dead_by_definition(layers: Layers, rows: Rows) -> list[list[bool]]:
    at_rows = [preactivations(layers, [Fraction(v) for v in row]) for row in rows]
    return [[all(z[k][i] <= 0 for z in at_rows) for i in range(len(layers[k][0]))] for k in range(len(layers) - 1)]


def network(layers: Layers, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    parts: list[nn.Module] = []
    for number, (weight, bias) in enumerate(layers):
        linear = nn.Linear(len(weight[0]), len(weight), dtype=dtype)
        linear.weight.data = torch.tensor(weight, dtype=torch.float64).to(dtype)
        linear.bias.data = torch.tensor(bias, dtype=torch.float64).to(dtype)
        parts += [linear] if number == len(layers) - 1 else [linear, nn.ReLU()]
    return nn.Sequential(*parts)


def rounded(layers: Layers, dtype: torch.dtype) -> Layers:
    """The parameters as the format holds them."""

    def each(values: list[float]) -> list[float]:
        return torch.tensor(values, dtype=torch.float64).to(dtype).double().tolist()

    return [([each(row) for row in weight], each(bias)) for weight, bias in layers]


def scanned(layers: Layers, rows: Rows, dtype: torch.dtype = torch.float64, budget: int = decide.BUDGET) -> Scan:
    return scan(network(layers, dtype), np.array(rows, dtype=np.float64), budget=budget, initialization=None)


def states(layer: LayerScan) -> list[str]:
    found = ["alive"] * layer.units
    for unit in layer.dead:
        found[unit.position[0]] = "dead"
    for position in layer.undecided:
        found[position[0]] = "undecided"
    return found


def check(layers: Layers, rows: Rows, found: Scan, *, all_decided: bool = True) -> None:
    """Every verdict is true; nothing is left open where the budget is ample."""
    for layer, truth in zip(found.layers, dead_by_definition(layers, rows), strict=True):
        for state, dead in zip(states(layer), truth, strict=True):
            assert state == "undecided" or (state == "dead") == dead
        assert not (all_decided and layer.undecided)
        assert layer.is_dead <= all(truth)


def check_extents(layers: Layers, rows: Rows, found: Scan) -> None:
    """What is said of other inputs than the data, at the corners and inside of the set that is named."""
    if len(rows[0]) > 3:
        return
    ends = [(min(column), max(column)) for column in zip(*rows, strict=True)]
    corners = list(itertools.product(*ends))
    middle = [tuple((a + b) / 2 for a, b in ends)]
    positive = [tuple(v) for v in itertools.product((0.0, 1e6), repeat=len(ends))]
    everything = [tuple(v) for v in itertools.product((-1e6, 0.0, 1.0), repeat=len(ends))]
    inputs = {
        Extent.DATA: [],
        Extent.BOX: corners + middle,
        Extent.NONNEGATIVE: positive,
        Extent.EVERYWHERE: everything,
    }
    truth = {
        extent: [preactivations(layers, [Fraction(v) for v in x]) for x in given] for extent, given in inputs.items()
    }
    for k, layer in enumerate(found.layers):
        for unit in layer.dead:
            assert all(z[k][unit.position[0]] <= 0 for z in truth[unit.extent])


def check_structural(layers: Layers, rows: Rows, found: Scan) -> None:
    """Lemma 3 by definition, with `D_1` = dead first-layer neurons."""
    dead = {i for i, is_dead in enumerate(dead_by_definition(layers, rows)[0]) if is_dead}
    for k, layer in enumerate(found.layers):
        if k:
            weight, bias = layers[k]
            dead = {
                i for i, b in enumerate(bias) if b <= 0 and all(w <= 0 or j in dead for j, w in enumerate(weight[i]))
            }
        assert {unit.position[0] for unit in layer.dead if unit.structural} == dead


# --- random networks --------------------------------------------------------------------------------------------------

SMALL = [v / 4 for v in range(-6, 7)]
ODD = [0.1, -0.1, 1 / 3, -1 / 3, 0.7, -0.7, 0.0, 1e-20, -1e-20, 2.0**-149, -(2.0**-149), 1e6, -1e6, 3.0, -3.0]
TINY = [0.0, 2.0**-1074, -(2.0**-1074), 2.0**-600, -(2.0**-600), 1e300, -1e300, 1.0, -1.0]


@st.composite
def problems(draw: st.DrawFn, values: Sequence[float]) -> tuple[Layers, Rows]:
    number = st.sampled_from(values)
    widths = [draw(st.integers(1, 3)), *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)), 1]
    layers = [
        (
            [[draw(number) for _ in range(before)] for _ in range(width)],
            [draw(number) for _ in range(width)],
        )
        for before, width in itertools.pairwise(widths)
    ]
    rows = draw(st.lists(st.lists(number, min_size=widths[0], max_size=widths[0]), min_size=1, max_size=5))
    return layers, rows


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problems(SMALL))
def test_quarters_are_decided_like_the_definition(problem: tuple[Layers, Rows]) -> None:
    layers, rows = problem
    found = scanned(layers, rows)
    check(layers, rows, found)
    check_extents(layers, rows, found)
    check_structural(layers, rows, found)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problems(ODD))
def test_roundings_and_ties_are_decided_like_the_definition(problem: tuple[Layers, Rows]) -> None:
    layers, rows = problem
    found = scanned(layers, rows)
    check(layers, rows, found)
    check_extents(layers, rows, found)
    check_structural(layers, rows, found)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(problems(TINY))
def test_underflow_and_overflow_claim_nothing_false(problem: tuple[Layers, Rows]) -> None:
    layers, rows = problem
    check(layers, rows, scanned(layers, rows))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(problems(ODD))
def test_without_a_budget_nothing_is_guessed(problem: tuple[Layers, Rows]) -> None:
    layers, rows = problem
    check(layers, rows, scanned(layers, rows, budget=0), all_decided=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@settings(max_examples=8, deadline=None, derandomize=True)
@given(problem=problems([v for v in ODD if abs(v) < 1e4]))
def test_every_format_of_parameters_is_taken_exactly(dtype: torch.dtype, problem: tuple[Layers, Rows]) -> None:
    layers, rows = problem
    check(rounded(layers, dtype), rows, scan(network(layers, dtype), np.array(rows), initialization=None))


# --- adversarial cases ------------------------------------------------------------------------------------------------


def one(weight: list[float], bias: float) -> Layers:
    return [([weight], [bias]), ([[1.0]], [0.0])]


THIRD, TENTH = 1 / 3, 0.1
CASES: dict[str, tuple[Layers, Rows, str]] = {
    "a pre-activation of exactly 0 is dead": (one([1.0, -1.0], 0.0), [[0.3, 0.3]], "dead"),
    "0.1 + 0.2 - 0.3 in doubles is positive": (one([1.0, 1.0, -1.0], 0.0), [[0.1, 0.2, 0.3]], "alive"),
    "cancellation leaves the least double": (one([1.0, 1.0, 1.0], 0.0), [[1e300, -1e300, 2.0**-1074]], "alive"),
    "cancellation leaves minus the least double": (one([1.0, 1.0, 1.0], 0.0), [[1e300, -1e300, -(2.0**-1074)]], "dead"),
    "a product far below the least double": (one([2.0**-600, 0.0], 0.0), [[2.0**-600, 1.0]], "alive"),
    "the least float32": (one([2.0**-149], 0.0), [[1.0]], "alive"),
    "minus the least float32": (one([-(2.0**-149)], 0.0), [[1.0]], "dead"),
    "a product that overflows": (one([1e300, -1e300], 0.0), [[1e300, 1e300]], "dead"),
    "a product that overflows and wins by little": (one([1e300, -1e300], 1e-300), [[1e300, 1e300]], "alive"),
    "all weights 0": (one([0.0, 0.0], 0.0), [[5.0, 7.0]], "dead"),
    "all weights 0 and a tiny bias": (one([0.0, 0.0], 2.0**-1074), [[5.0, 7.0]], "alive"),
    "squares of norms underflow": (one([1e-200, 1e-200], -1e-300), [[1e-200, 1e-200]], "dead"),
    "many terms that cancel": (one([TENTH, THIRD] * 500 + [-TENTH, -THIRD] * 500, 0.0), [[1.0] * 2000], "dead"),
    "many terms that cancel but for one bit": (
        one([TENTH, THIRD] * 500 + [-TENTH, -THIRD] * 499 + [-TENTH, -THIRD * (1 - 2.0**-52)], 0.0),
        [[1.0] * 2000],
        "alive",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_adversarial_rounding(name: str) -> None:
    layers, rows, expected = CASES[name]
    found = scanned(layers, rows)
    assert states(found.layers[0]) == [expected]
    check(layers, rows, found)


def test_a_tie_in_the_second_layer_is_decided_exactly() -> None:
    """`relu(0.1 x) + relu(0.2 x) - relu(0.3 x)` at x = 3: positive or not is a question of roundings."""
    for x, last in ((3.0, 0.3), (3.0, 0.1 + 0.2), (7.0, 0.30000000000000004)):
        layers: Layers = [
            ([[0.1], [0.2], [last]], [0.0] * 3),
            ([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]], [0.0, 0.0]),
            ([[1.0, 1.0]], [0.0]),
        ]
        found = scanned(layers, [[x]])
        check(layers, [[x]], found)
        assert found.exactly
        left_open = scanned(layers, [[x]], budget=0).layers[1]
        assert set(states(left_open)) == {"undecided"}
        assert left_open.may_be_dead
        assert not left_open.is_dead


def test_whole_numbers_are_computed_without_any_rounding() -> None:
    rng = np.random.default_rng(3)
    layers: Layers = [
        (rng.integers(-3, 4, (6, 4)).tolist(), rng.integers(-3, 4, 6).tolist()),
        (rng.integers(-3, 4, (5, 6)).tolist(), rng.integers(-3, 1, 5).tolist()),
        ([[1.0] * 5], [0.0]),
    ]
    rows = rng.integers(0, 17, (40, 4)).astype(float).tolist()
    found = scanned(layers, rows, budget=0)
    check(layers, rows, found)
    assert any(layer.dead for layer in found.layers)


def test_inputs_that_are_no_floats_are_the_fractions_that_they_are() -> None:
    """At x = 1/3 the neuron `3 x - 1` is dead; the nearest double of 1/3 would leave that open."""
    third, half = Fraction(1, 3), Fraction(1, 5)
    data = DataSet.from_rows("thirds", [[third], [half]], [[Fraction(0)], [Fraction(1)]])
    layers: Layers = [([[3.0], [-3.0]], [-1.0, 1.0]), ([[1.0, 1.0]], [0.0])]
    found = scan(network(layers), data, initialization=None)
    assert states(found.layers[0]) == ["dead", "alive"]


# --- what structurally dead means -----------------------------------------------------------------------------------


def test_each_extent_is_seen() -> None:
    layers: Layers = [
        ([[0.0, 0.0], [-1.0, -0.5], [1.0, -1.0], [1.0, 1.0], [2.0, -1.0]], [-1.0, 0.0, -2.0, 0.0, -1.5]),
        ([[-1.0] * 5, [1.0, 1.0, 1.0, -1.0, 0.0], [1.0] * 5], [0.0, -1.0, 0.0]),
        ([[1.0] * 3], [0.0]),
    ]
    rows = [[0.0, 0.0], [1.0, 1.0], [0.5, 1.0], [1.0, 0.5]]
    found = scanned(layers, rows)
    check(layers, rows, found)
    check_extents(layers, rows, found)
    first, second = found.layers
    assert [(u.position[0], u.extent) for u in first.dead] == [
        (0, Extent.EVERYWHERE),
        (1, Extent.NONNEGATIVE),
        (2, Extent.BOX),
        (4, Extent.DATA),
    ]
    assert [(u.position[0], u.extent, u.structural) for u in second.dead] == [
        (0, Extent.EVERYWHERE, True),
        (1, Extent.BOX, True),
    ]


def test_dead_on_the_data_alone_is_not_said_to_be_more() -> None:
    layers: Layers = [([[1.0, 1.0]], [-1.0]), ([[1.0]], [0.0])]
    unit = scanned(layers, [[0.0, 1.0], [1.0, 0.0]]).layers[0].dead[0]
    assert unit.extent is Extent.DATA


# --- the checks can fail --------------------------------------------------------------------------------------------


def _without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decide._float_pass

    def without(program: Program, inputs: ScanInputs, open_ones: dict[int, decide._Open]) -> int:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(bounds, "_SAFETY", 0.0)
            return real(program, inputs, open_ones)

    monkeypatch.setattr(decide, "_float_pass", without)


def _without_signs_of_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    real = signs._sign_product

    def product(weight: npt.NDArray[np.float64], bias: object, *rest: npt.NDArray[np.bool_]) -> signs.Signs:
        return real(weight, None, *rest)

    monkeypatch.setattr(signs, "_sign_product", product)


def _everything_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    def exact(facts: bounds._Facts, grid: object) -> npt.NDArray[np.bool_]:
        return np.ones(len(facts.norms), dtype=bool)

    monkeypatch.setattr(bounds._Facts, "without_rounding", exact)


def _rows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decide._Open.see

    def see(state: decide._Open, columns: object, positive: npt.NDArray[np.bool_], *rest: object) -> None:
        real(state, columns, positive[:1], rest[0][:1], rest[1])  # type: ignore[arg-type, index]

    monkeypatch.setattr(decide._Open, "see", see)


@pytest.mark.parametrize(
    "break_it", [_without_bounds, _without_signs_of_biases, _everything_is_exact, _rows_are_forgotten]
)
def test_a_broken_scan_is_caught(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    rng = np.random.default_rng(0)
    examples = [(layers, rows) for layers, rows, _ in CASES.values()]
    examples.append((one([-1.0], 0.5), [[1.0]]))  # dead on the data, not on every non-negative input
    for _ in range(10):
        examples.append(
            (
                [
                    (rng.choice(SMALL, (4, 2)).tolist(), rng.choice(SMALL, 4).tolist()),
                    (rng.choice(SMALL, (3, 4)).tolist(), rng.choice(SMALL, 3).tolist()),
                    ([[1.0] * 3], [0.0]),
                ],
                rng.choice(SMALL, (5, 2)).tolist(),
            )
        )

    def check_all() -> None:
        for layers, rows in examples:
            found = scanned(layers, rows)
            check(layers, rows, found)
            check_extents(layers, rows, found)

    with pytest.raises(AssertionError):
        check_all()


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 1))
    rows = np.random.default_rng(1).random((500, 3))
    whole = scan(module, rows, initialization=None)
    monkeypatch.setattr(decide, "_NUMBERS", 20 * 7)
    monkeypatch.setattr(decide, "_FIRST_ROWS", 3)
    pieces = scan(module, rows, initialization=None)
    assert whole.layers == pieces.layers
    assert any(layer.dead for layer in whole.layers)


def test_floats_stay_within_their_radius() -> None:
    """Centres and radii of every node of a network, against fractions; radii are small, too."""
    rng = np.random.default_rng(5)
    layers: Layers = [
        (rng.normal(size=(7, 3)).tolist(), rng.normal(size=7).tolist()),
        (rng.normal(size=(6, 7)).tolist(), rng.normal(size=6).tolist()),
        (rng.normal(size=(1, 6)).tolist(), [0.0]),
    ]
    rows = rng.normal(size=(9, 3))
    program = trace(network(layers), rows, (3,), "net").program
    inputs = of_arrays(rows, None, None)
    sources = [program.nodes[i].sources[0] for i in program.relus]
    balls = bounds.Propagation(program).balls(inputs.balls(0, 9), dict.fromkeys(sources))
    for k, source in enumerate(sources):
        ball = balls[source]
        assert ball.radius is not None
        assert 0 < ball.radius.max() < 1e-12
        for r, row in enumerate(rows.tolist()):
            for i, z in enumerate(preactivations(layers, [Fraction(v) for v in row])[k]):
                assert abs(z - Fraction(ball.centre[r, i])) <= Fraction(ball.radius[r, i])
