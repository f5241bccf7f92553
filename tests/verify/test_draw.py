"""Drawn networks against the exact laws they are drawn from.

Keys are fixed. Each statistical check compares with the exact value at a distance that a proved tail inequality allows
with probability at most BUDGET; all checks of this file together stay under 1e-7. The inequalities: exact binomial
tails; Dvoretzky–Kiefer–Wolfowitz with Massart's constant; Hoeffding for bounded laws; for normal laws Gaussian
concentration (the sum of |x_i| is a sqrt(n)-Lipschitz function) and the exact chi-square law of the sum of squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from theorems.laws import SCHEMES, Initialization, Law, Normal, TruncatedNormal, Uniform, Zero, parse_initialization
from theorems.setting import Architecture
from verify.simulation.draw import Layer, Parameters, _quantile, draw_parameters
from verify.simulation.streams import Purpose, stream_key, uniforms

pytestmark = pytest.mark.usefixtures("one_thread")

Floats = npt.NDArray[np.float64]
BUDGET = 5e-11  # a check; fewer than 2000 checks
ARCHITECTURE = Architecture((3, 8, 5, 2))  # fan-in and fan-out differ in every layer
FANS = list(zip(ARCHITECTURE.widths, ARCHITECTURE.widths[1:], strict=False))
REPLICAS = np.arange(5000)
KEY = stream_key("test draw")
TEXTS = [*SCHEMES, "uniform(1/3)", "uniform(0.1)", "normal(2)", "normal(1/2,3)"]
INDEPENDENT = [text for text in TEXTS if text != "orthogonal"]


def draw(
    text: str, bias: str | None = None, dtype: str = "float64", replicas: npt.NDArray[np.int64] = REPLICAS
) -> Parameters:
    return draw_parameters(parse_initialization(text, bias), ARCHITECTURE, KEY, replicas, dtype)


# --- samples against laws --------------------------------------------------------------------------------------------


def half_normal_integral(x: Floats) -> Floats:
    return np.array([math.erf(v / math.sqrt(2)) for v in x])


def distribution(law: Law, x: Floats) -> Floats:
    """Distribution function of the law, written here once more with `math.erf`."""
    match law:
        case Uniform(half_width):
            return np.clip((x / float(half_width) + 1) / 2, 0, 1)
        case Normal(scale):
            return (1 + half_normal_integral(x / float(scale))) / 2
        case TruncatedNormal(scale):
            mass = math.erf(math.sqrt(2))
            return np.clip((1 + half_normal_integral(x / float(scale)) / mass) / 2, 0, 1)
        case _:
            raise TypeError(law)


def check_sample(values: Floats, law: Law) -> None:
    """Sign, distribution, mean absolute value and variance of independent draws against the law's exact values."""
    x = values.reshape(-1)
    if isinstance(law, Zero):
        assert (x.view(np.int64) == 0).all()  # +0.0 to the bit
        return
    n = len(x)
    assert (x != 0).all()
    negative = int((x <= 0).sum())
    half = float(law.probability_nonpositive)
    assert min(binom.cdf(negative, n, half), binom.sf(negative - 1, n, half)) >= BUDGET / 2

    ordered = np.sort(x)[:: max(1, n // 4000)]  # a subset of the points: only less severe
    rank = np.searchsorted(np.sort(x), ordered, side="right") / n
    assert np.abs(rank - distribution(law, ordered)).max() <= math.sqrt(math.log(2 / BUDGET) / (2 * n)) + 1 / n

    mean_absolute, variance = float(np.abs(x).mean()), float(np.square(x).mean())
    if isinstance(law, Normal):
        scale = float(law.scale)
        reach = scale * math.sqrt(2 * math.log(2 / BUDGET) / n)
        total = n * variance / float(law.variance)
        assert min(chi2.cdf(total, n), chi2.sf(total, n)) >= BUDGET / 2
    else:
        largest = float(law.half_width if isinstance(law, Uniform) else 2 * law.scale)
        reach = largest * math.sqrt(math.log(2 / BUDGET) / (2 * n))
        assert abs(variance - float(law.variance)) <= largest * reach
    assert abs(mean_absolute - float(law.mean_absolute)) <= reach


@pytest.mark.parametrize("text", INDEPENDENT)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_samples_have_the_scheme_s_laws(text: str, dtype: str) -> None:
    scheme = parse_initialization(text)
    for (fan_in, fan_out), layer in zip(FANS, draw(text, dtype=dtype), strict=True):
        assert layer.weight.shape == (len(REPLICAS), fan_out, fan_in)
        assert layer.bias.shape == (len(REPLICAS), fan_out)
        check_sample(layer.weight, scheme.weight_law(fan_in, fan_out))
        check_sample(layer.bias, scheme.bias_law(fan_in, fan_out))


@pytest.mark.parametrize(
    ("bias", "law"),
    [
        ("zero", Zero()),
        ("uniform(0.1)", Uniform(sympy.Rational(1, 10))),
        ("normal(1/3)", Normal(sympy.Rational(1, 3))),
    ],
)
@pytest.mark.parametrize("text", ["pytorch", "he_normal", "orthogonal"])
def test_a_bias_law_replaces_the_scheme_s(text: str, bias: str, law: Law) -> None:
    plain, changed = draw(text), draw(text, bias)
    for before, after in zip(plain, changed, strict=True):
        check_sample(after.bias, law)
        assert before.weight.tobytes() == after.weight.tobytes()


@pytest.mark.parametrize(
    ("drawn", "wrong"),
    [
        ("he_normal", "lecun_normal"),
        ("he_normal", "he_uniform"),
        ("glorot_uniform", "glorot_normal"),
        ("glorot_normal", "lecun_normal"),
        ("lecun_uniform", "pytorch"),
        ("flax", "lecun_normal"),
        ("pytorch", "he_uniform"),
        ("uniform(1/3)", "uniform(0.1)"),
    ],
)
def test_the_sample_check_catches_a_wrong_law(drawn: str, wrong: str) -> None:
    scheme = parse_initialization(wrong)
    for (fan_in, fan_out), layer in zip(FANS, draw(drawn), strict=True):
        with pytest.raises(AssertionError):
            check_sample(layer.weight, scheme.weight_law(fan_in, fan_out))


@pytest.mark.parametrize(
    "broken", [lambda x: x + 0.05 * x.std(), lambda x: 1.05 * x, np.abs, lambda x: np.where(x > 0, x, 0.9 * x)]
)
@pytest.mark.parametrize("text", ["pytorch", "standard_normal", "flax"])
def test_the_sample_check_catches_small_changes(text: str, broken: Callable[[Floats], Floats]) -> None:
    layer = draw(text)[0]
    with pytest.raises(AssertionError):
        check_sample(broken(layer.weight), parse_initialization(text).weight_law(3, 8))


def test_truncation_without_the_correction_of_the_scale_is_caught() -> None:
    values = _quantile(TruncatedNormal(1 / sympy.sqrt(3)), uniforms(KEY, REPLICAS, Purpose.INITIALIZATION, 24))
    check_sample(values, TruncatedNormal(1 / sympy.sqrt(3)))
    with pytest.raises(AssertionError):
        check_sample(values, parse_initialization("flax").weight_law(3, 8))


def test_parameters_of_one_network_are_independent() -> None:
    """Signs of every pair of parameters (weights, biases, layers) agree in half of the networks."""
    layers = draw("pytorch")
    flat = np.concatenate(
        [part.reshape(len(REPLICAS), -1) for layer in layers for part in (layer.weight, layer.bias)], 1
    )
    assert flat.shape[1] == ARCHITECTURE.n_parameters
    signs = np.where(flat > 0, 1, -1)
    agree = ((signs.T @ signs + len(REPLICAS)) // 2)[np.triu_indices(flat.shape[1], 1)]
    tails = np.minimum(binom.cdf(agree, len(REPLICAS), 0.5), binom.sf(agree - 1, len(REPLICAS), 0.5))
    assert tails.min() >= BUDGET / (2 * len(agree))


# --- quantiles ------------------------------------------------------------------------------------------------------

ONE = sympy.Integer(1)
LAWS = [
    Uniform(ONE),
    Uniform(1 / sympy.sqrt(7)),
    Normal(ONE),
    Normal(sympy.sqrt(sympy.Rational(2, 3))),
    TruncatedNormal(ONE),
    TruncatedNormal(1 / sympy.sqrt(3)),
]
grid = st.integers(0, 2**52 - 1).map(lambda cell: (2 * cell + 1) * 2.0**-53)
near_the_middle = st.integers(0, 2**20).map(lambda cell: 0.5 - (2 * cell + 1) * 2.0**-53)
near_zero = st.integers(0, 2**20).map(lambda cell: (2 * cell + 1) * 2.0**-53)


@pytest.mark.parametrize("law", LAWS, ids=str)
@given(st.lists(st.one_of(grid, near_the_middle, near_zero), min_size=1, max_size=30))
def test_quantiles_are_antisymmetric_to_the_bit(law: Law, numbers: list[float]) -> None:
    u = np.array(numbers)
    values, mirrored = _quantile(law, u), _quantile(law, 1.0 - u)
    assert (values.view(np.int64) == (-mirrored).view(np.int64)).all()
    assert ((values < 0) == (u < 0.5)).all()
    assert ((values > 0) == (u > 0.5)).all()


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_quantiles_at_the_ends_and_next_to_the_middle(law: Law) -> None:
    steps = np.arange(1, 2001, 2) * 2.0**-53
    for u in (steps, 0.5 - steps, 0.5 + steps, 1.0 - steps):
        values = _quantile(law, u)
        assert np.isfinite(values).all()
        assert (np.sign(values) == np.sign(u - 0.5)).all()


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_quantiles_invert_the_distribution(law: Law) -> None:
    """To 1e-14: `math.erf` and the sums with 1 are good to a few units of 2^-53, the slopes are at most 2."""
    u = np.concatenate([np.linspace(0.001, 0.999, 997), [2.0**-53, 2.0**-30, 1 - 2.0**-30, 1 - 2.0**-53]])
    assert np.abs(distribution(law, _quantile(law, u)) - u).max() <= 1e-14


def test_zero_quantiles_are_plus_zero() -> None:
    assert (_quantile(Zero(), np.array([2.0**-53, 0.3, 0.7])).view(np.int64) == 0).all()


def test_normal_quantiles_reach_the_tails() -> None:
    """At u = 2^-53, mpmath 1.3.0 with 30 digits: -8.2095361516013856."""
    low, high = _quantile(Normal(ONE), np.array([2.0**-53, 1 - 2.0**-53]))
    assert abs(low + 8.2095361516013856) < 1e-13
    assert high == -low


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bounded_laws_keep_their_bounds(dtype: str) -> None:
    """Within one unit in the last place of the dtype; the ends of the stream's range included."""
    ulp = float(np.finfo(dtype).eps)
    for text in INDEPENDENT:
        scheme = parse_initialization(text)
        for (fan_in, fan_out), layer in zip(FANS, draw(text, dtype=dtype), strict=True):
            for law, values in (
                (scheme.weight_law(fan_in, fan_out), layer.weight),
                (scheme.bias_law(fan_in, fan_out), layer.bias),
            ):
                assert (values.astype(dtype) == values).all()
                if isinstance(law, Uniform):
                    assert np.abs(values).max() <= float(law.half_width) * (1 + ulp)
                if isinstance(law, TruncatedNormal):
                    assert np.abs(values).max() <= 2 * float(law.scale) * (1 + ulp)
    ends = np.array([2.0**-53, 1 - 2.0**-53])
    for law in LAWS:
        if not isinstance(law, Normal):
            bound = float(law.half_width if isinstance(law, Uniform) else 2 * law.scale)
            values = _quantile(law, ends).astype(dtype).astype(np.float64)
            assert np.abs(values).max() <= bound * (1 + ulp)
            assert np.abs(values).min() >= bound * (1 - 2.0**-20)


@pytest.mark.parametrize(
    "text", [text for text in INDEPENDENT if isinstance(parse_initialization(text).bias_law(3, 8), Zero)]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_zero_biases_are_plus_zero(text: str, dtype: str) -> None:
    for layer in draw(text, dtype=dtype):
        assert (layer.bias.view(np.int64) == 0).all()


def test_float32_networks_are_the_rounded_float64_ones() -> None:
    for text in TEXTS:
        for double, single in zip(draw(text), draw(text, dtype="float32"), strict=True):
            for exact, rounded in ((double.weight, single.weight), (double.bias, single.bias)):
                assert rounded.dtype == np.float64
                assert (exact.astype(np.float32).astype(np.float64) == rounded).all()


# --- grouping -------------------------------------------------------------------------------------------------------


def same_bits(one: Parameters, other: Parameters) -> bool:
    return all(
        a.weight.tobytes() == b.weight.tobytes() and a.bias.tobytes() == b.bias.tobytes()
        for a, b in zip(one, other, strict=True)
    )


def of(parameters: Parameters, positions: list[int]) -> Parameters:
    return tuple(Layer(layer.weight[positions], layer.bias[positions]) for layer in parameters)


@pytest.mark.parametrize("text", TEXTS)
def test_networks_do_not_depend_on_the_company(text: str) -> None:
    numbers = np.concatenate([np.arange(20), 2**32 + np.arange(3)])
    whole = draw(text, replicas=numbers)
    for positions in ([0], [22], [5, 3, 19], list(range(22, -1, -1)), list(range(7)), [21, 1]):
        assert same_bits(draw(text, replicas=numbers[positions]), of(whole, positions))


def test_networks_of_different_replicas_differ() -> None:
    weights = draw("pytorch", replicas=np.concatenate([np.arange(1000), 2**32 + np.arange(1000)]))[0].weight
    assert len({w.tobytes() for w in weights}) == 2000


def test_each_layer_has_its_own_numbers() -> None:
    """In a network of equal layers under one law, no number is used twice."""
    layers = draw_parameters(Initialization("normal(1)"), Architecture((2, 2, 2, 2)), KEY, np.arange(50), "float64")
    values = np.concatenate([part.reshape(-1) for layer in layers for part in (layer.weight, layer.bias)])
    assert len(np.unique(np.abs(values))) == len(values) == 50 * 18


# --- orthogonal weights ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-6)])
def test_orthogonal_weights_are_orthogonal(dtype: str, tolerance: float) -> None:
    """The tolerance covers LAPACK's QR of at most eight columns, and rounding to the dtype."""
    for widths in ((3, 8, 5, 2), (1, 1, 1), (4, 4, 4), (1, 6, 1)):
        for layer in draw_parameters(Initialization("orthogonal"), Architecture(widths), KEY, np.arange(200), dtype):
            w = layer.weight
            tall = w.shape[1] >= w.shape[2]
            gram = w.transpose(0, 2, 1) @ w if tall else w @ w.transpose(0, 2, 1)
            assert np.abs(gram - np.eye(min(w.shape[1:]))).max() <= tolerance
            assert (layer.bias.view(np.int64) == 0).all()


def check_haar(weights_of: Callable[[int, npt.NDArray[np.int64]], Floats]) -> None:
    """Haar: every entry's law is symmetric, its square has mean 1/n; the determinant's sign is fair.

    For n = 2 the first column is uniform on the circle, so its angle has a known law; entries are within [-1, 1].
    """
    replicas = np.arange(20_000)
    n_replicas = len(replicas)
    for size in (1, 2, 3):
        w = weights_of(size, replicas)
        for positive in (*(w > 0).reshape(n_replicas, -1).sum(axis=0), (np.linalg.det(w) > 0).sum()):
            tail = min(binom.cdf(positive, n_replicas, 0.5), binom.sf(positive - 1, n_replicas, 0.5))
            assert tail >= BUDGET / 2
        reach = math.sqrt(math.log(2 / BUDGET) / (2 * n_replicas))
        assert (np.abs(np.square(w).mean(axis=0) - 1 / size) <= reach).all()
    for column in (0, 1):
        angle = np.sort(np.arctan2(weights_of(2, replicas)[:, 0, column], weights_of(2, replicas)[:, 1, column]))
        rank = np.arange(1, n_replicas + 1) / n_replicas
        assert np.abs(rank - (angle / math.pi + 1) / 2).max() <= reach + 1 / n_replicas


def orthogonal_weights(size: int, replicas: npt.NDArray[np.int64]) -> Floats:
    widths = Architecture((size, size, 1))
    return draw_parameters(Initialization("orthogonal"), widths, KEY, replicas, "float64")[0].weight


def test_orthogonal_weights_are_haar_distributed() -> None:
    check_haar(orthogonal_weights)


def test_the_haar_check_catches_missing_signs() -> None:
    """QR alone fixes signs; a rotation alone fixes the determinant."""

    def unsigned(size: int, replicas: npt.NDArray[np.int64]) -> Floats:
        raw = _quantile(Normal(ONE), uniforms(KEY, replicas, Purpose.INITIALIZATION, size * size))
        q: Floats = np.linalg.qr(raw.reshape(-1, size, size))[0]
        return q

    def rotations(size: int, replicas: npt.NDArray[np.int64]) -> Floats:
        w = orthogonal_weights(size, replicas)
        return w * np.linalg.det(w)[:, None, None] if size % 2 else w

    for broken in (unsigned, rotations):
        with pytest.raises(AssertionError):
            check_haar(broken)


# --- the frameworks' own draws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fan_in", "fan_out"), FANS)
def test_pytorch_s_linear_has_the_same_law(fan_in: int, fan_out: int) -> None:
    """Torch's own draws pass the check of our law, keep its bounds and nearly reach them; so do ours.

    The largest of n uniform |values| is below (1 - d) of the bound with probability (1 - d)^n.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20_240_601)
        modules = [torch.nn.Linear(fan_in, fan_out) for _ in range(2000)]
    theirs = Layer(
        np.stack([m.weight.detach().double().numpy() for m in modules]),
        np.stack([m.bias.detach().double().numpy() for m in modules]),
    )
    ours = draw("pytorch", dtype="float32")[FANS.index((fan_in, fan_out))]
    bound = 1 / math.sqrt(fan_in)
    for layer in (theirs, ours):
        for values in (layer.weight, layer.bias):
            check_sample(values[values != 0], Uniform(1 / sympy.sqrt(fan_in)))  # torch's grid of 2^-24 contains 0
            assert np.abs(values).max() <= bound * (1 + 2.0**-23)
            assert np.abs(values).max() >= bound * (1 + math.log(BUDGET) / values.size)


@pytest.mark.parametrize(("fan_in", "fan_out"), FANS)
def test_two_samples_agree(fan_in: int, fan_out: int) -> None:
    """Two-sample distance of torch's and our draws, by Dvoretzky–Kiefer–Wolfowitz for each of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        theirs = np.sort(np.concatenate([torch.nn.Linear(fan_in, fan_out).bias.detach().numpy() for _ in range(2000)]))
    ours = np.sort(draw("pytorch")[FANS.index((fan_in, fan_out))].bias.reshape(-1))
    points = np.linspace(-1, 1, 401) / math.sqrt(fan_in)
    distance = np.abs(np.searchsorted(theirs, points) / len(theirs) - np.searchsorted(ours, points) / len(ours)).max()
    assert distance <= sum(math.sqrt(math.log(2 / BUDGET) / (2 * len(x))) for x in (theirs, ours))
