"""Programs that JAX traces, in torch: they compute what JAX computes, and what has no translation says so."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

jax = pytest.importorskip("jax", reason="jax is in the extra 'zoo'", exc_type=ImportError)
optax = pytest.importorskip("optax", reason="optax is in the extra 'zoo'", exc_type=ImportError)
jax.config.update("jax_enable_x64", True)
jnp, lax = jax.numpy, jax.lax

from verify.optimizers.code_proof.arithmetic import Arithmetic  # noqa: E402
from verify.optimizers.code_proof.element import TOP, Element, element_of, identifier_of  # noqa: E402
from verify.optimizers.code_proof.interpreter import Interpreter  # noqa: E402
from verify.optimizers.code_proof.paths import Path, every_path  # noqa: E402
from verify.optimizers.code_proof.tensor import AbstractTensor  # noqa: E402
from verify.optimizers.jax_program import Program, Untranslated, translated  # noqa: E402
from verify.optimizers.optax_adapter import OptaxBuild, factories, needed  # noqa: E402

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-200, 1e300, 3e-7, -3e-5, float("inf"), float("nan")])
"""No subnormal numbers, and none come out: JAX takes them for 0, which is a condition of what is proved."""
MATRICES = st.lists(NUMBERS, min_size=6, max_size=6)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda x, y: jnp.abs(x),
    "add": lambda x, y: x + y,
    "and or not": lambda x, y: jnp.where(((x > 0) & (y > 0)) | ~(x < y), x, y),
    "batches": lambda x, y: (
        jnp.einsum("ij,kj->ki", jnp.clip(x, -9, 9), jnp.clip(y, -9, 9))
        + jnp.einsum("ij,ij->i", jnp.clip(x, -9, 9), jnp.clip(y, -9, 9))
    ),
    "batches of matrices": lambda x, y: jnp.clip(x, -9, 9)[:, :, None] @ jnp.clip(y, -9, 9)[:, None, :],
    "broadcast": lambda x, y: x + jnp.ones(3)[None, :] * y[0],
    "cbrt": lambda x, y: jnp.cbrt(x),
    "clip": lambda x, y: jnp.clip(x, -1.0, 1.0),
    "comparisons": lambda x, y: jnp.where(x <= y, x, y) + jnp.where(x >= y, 1.0, 2.0) + jnp.where(x == y, 4.0, 0.0),
    "concatenate": lambda x, y: jnp.concatenate([x, y], axis=1),
    "cond": lambda x, y: lax.cond(x[0, 0] > y[0, 0], lambda: x * 2, lambda: y - 1),
    "cond else": lambda x, y: lax.cond(x[0, 0] <= y[0, 0], lambda: x, lambda: -y),
    "convert": lambda x, y: jnp.sign(x).astype(jnp.int32).astype(jnp.float64),
    "div": lambda x, y: x / y,
    "dot": lambda x, y: jnp.clip(x, -9, 9) @ jnp.clip(y, -9, 9).T,
    "exp log": lambda x, y: jnp.exp(-jnp.abs(x)) + jnp.log(jnp.abs(y) + 1),
    "guarded division": lambda x, y: jnp.where(y.sum() > 1, x / y.sum(), x),
    "guarded everywhere": lambda x, y: jnp.where(jnp.broadcast_to(x[0, 0] <= 0, x.shape), y, y / jnp.sqrt(x[0, 0])),
    "integer division": lambda x, y: jnp.asarray(-7, jnp.int32) // 2 + lax.rem(jnp.int32(-7), jnp.int32(4)) + x,
    "integer pow": lambda x, y: x**2 + y**3,
    "inverse pow": lambda x, y: x**-2,
    "iota": lambda x, y: x * jnp.arange(3),
    "is finite": lambda x, y: jnp.where(jnp.isfinite(x), 1.0, 0.0),
    "maxima": lambda x, y: jnp.maximum(x, y) - jnp.minimum(x, 1.0) + jnp.max(y, axis=0),
    "mul sub neg": lambda x, y: -(x * y) - y,
    "negative added": lambda x, y: (-x + y) * (y + -x),
    "pow": lambda x, y: jnp.abs(x) ** 0.75 + 0.5 ** jnp.float64(3),
    "reshape": lambda x, y: x.reshape(3, 2) + y.T,
    "rsqrt": lambda x, y: lax.rsqrt(x),
    "scan": lambda x, y: lax.scan(lambda c, _: (c * 0.5 + y, None), x, None, length=3)[0],
    "select": lambda x, y: jnp.where(x != y, x, 0.0),
    "sign": lambda x, y: jnp.sign(x) * 3,
    "slice": lambda x, y: x[:, 1:] + y[:, ::2],
    "sqrt square": lambda x, y: jnp.sqrt(x) + jnp.square(y),
    "squares": lambda x, y: jnp.where(x > y, (0.25 * x) * x, jnp.where(x > 0, y * (y * 3.0), (x * y) * y)),
    "squeeze": lambda x, y: (x.sum(axis=1, keepdims=True) - y).squeeze(),
    "sums": lambda x, y: x.sum() + y.sum(axis=0),
    "tanh": lambda x, y: jnp.tanh(x),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(first=MATRICES, second=MATRICES)
def test_torch_computes_what_jax_computes(name: str, first: list[float], second: list[float]) -> None:
    arrays = [jnp.asarray(each).reshape(2, 3) for each in (first, second)]
    inputs = [torch.tensor(each, dtype=torch.float64).reshape(2, 3) for each in (first, second)]
    (found,), (whole,) = (program_of(name).run(inputs, branching=each) for each in (True, False))
    torch.testing.assert_close(found, whole, rtol=0.0, atol=0.0, equal_nan=True)
    expected = torch.tensor(compiled(name)(*arrays).tolist(), dtype=torch.float64)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.to(torch.float64), expected, rtol=1e-12, atol=0.0, equal_nan=True)


def abstract_of(number: float, rng: random.Random) -> Element:
    """An element that contains a number."""
    ends = [end for end in (number, rng.choice([-3.0, 0.0, 1.0, 1e300])) if end == end]
    return rng.choice([Element(number, number) if number - number == 0 else TOP, TOP,
                       Element(min(ends), max(ends), number != number or rng.random() < 0.5)])  # fmt: skip


def every_result(program: Program, inputs: list[list[Element]], *, finite: bool) -> list[list[Element]]:
    """The results on each path, for inputs of shape (2, 3)."""
    arithmetic = Arithmetic(finite=finite)

    def run(path: Path) -> list[Element]:
        codes = [torch.tensor([identifier_of(each) for each in row]).reshape(2, 3) for row in inputs]
        with torch.no_grad(), Interpreter(arithmetic):
            (found,) = program.run([AbstractTensor(each, torch.float64) for each in codes])
        assert isinstance(found, AbstractTensor)
        return [element_of(code) for code in found.codes.reshape(-1).tolist()]

    return [result for _, result in every_path(run, arithmetic, 64)]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=10, deadline=None, derandomize=True)
@given(first=MATRICES, second=MATRICES, seed=st.integers(0, 2**32))
def test_abstract_results_contain_concrete_ones(name: str, first: list[float], second: list[float], seed: int) -> None:
    """On some path, all numbers that come out lie in what is said of them."""
    program, rng = program_of(name), random.Random(seed)
    inputs = [[abstract_of(number, rng) for number in row] for row in (first, second)]
    (made,) = program.run([torch.tensor(each, dtype=torch.float64).reshape(2, 3) for each in (first, second)])
    numbers = made.to(torch.float64).reshape(-1).tolist()
    found = every_result(program, inputs, finite=False)
    pairs = [list(zip(elements, numbers, strict=True)) for elements in found]
    assert any(all(element.contains(number) for element, number in each) for each in pairs)


@functools.cache
def compiled(name: str) -> Callable[..., Any]:
    made: Callable[..., Any] = jax.jit(FUNCTIONS[name])
    return made


@functools.cache
def program_of(name: str) -> Program:
    arrays = [jnp.ones((2, 3), dtype=jnp.float64)] * 2
    return translated(jax.make_jaxpr(FUNCTIONS[name])(*arrays))


NUMBER = Element(-1e300, 1e300)


@pytest.mark.parametrize(
    ("function", "least", "greatest"),
    [
        (lambda x, y: (0.25 * x) * x, 0.0, 1e308),
        (lambda x, y: (-0.25 * x) * x, -1e308, 1e308),
        (lambda x, y: (y * x) * x, -1e308, 1e308),
        (lambda x, y: jnp.where(x.max() > 2, jnp.full((2, 3), 4 / x.max()), 1.0), 0.0, 2.0),
        (lambda x, y: jnp.where(x.max() <= 2, 1.0, jnp.full((2, 3), 4 / x.max())), 0.0, 2.0),
        (lambda x, y: lax.cond(x.max() > 2, lambda: jnp.full((2, 3), 4 / x.max()), lambda: jnp.ones((2, 3))), 0.0, 2.0),
        (lambda x, y: jnp.where((x.max() <= 2) | (y.max() > 1), 1.0, jnp.full((2, 3), 4 / x.max())), 0.0, 2.0),
        (lambda x, y: jnp.where(y.max() > 2, jnp.full((2, 3), 4 / x.max()), 1.0), -math.inf, math.inf),
    ],
)
def test_what_is_written_otherwise_shows_more(function: Callable[..., Any], least: float, greatest: float) -> None:
    """Of squares, and of numbers that a choice guards; not of what only looks alike."""
    arrays = [jnp.ones((2, 3), dtype=jnp.float64)] * 2
    found = every_result(translated(jax.make_jaxpr(function)(*arrays)), [[NUMBER] * 6] * 2, finite=True)
    elements = [element for result in found for element in result]
    if least == -math.inf:
        assert any(element.may_be_infinite for element in elements)
        return
    assert (min(each.lo for each in elements) >= 0) == (least == 0)
    assert max(each.hi for each in elements) <= 1.8 * greatest
    assert not any(each.nan for each in elements)


def test_a_difference_of_equal_numbers_is_seen() -> None:
    (step,) = translated(jax.make_jaxpr(lambda x: -x + x)(jnp.ones(3))).instructions
    assert (step.name, step.places) == ("sub", (0, 0))


# --- random numbers ----------------------------------------------------------------------------------------------

KEY = jnp.zeros(2, dtype=jnp.uint32)
DRAWS: dict[str, tuple[Callable[..., Any], float, float]] = {
    "uniform": (lambda key: jax.random.uniform(key, (50,), minval=-2.0, maxval=3.0), -2.0, 3.0),
    "uniform in single precision": (lambda key: jax.random.uniform(key, (50,), jnp.float32), 0.0, 1.0),
    "normal": (lambda key: jax.random.normal(key, (50,)), -9.0, 9.0),
    "signs": (lambda key: jax.random.rademacher(key, (50,), jnp.float64), -1.0, 1.0),
    "truth values": (lambda key: jax.random.bernoulli(key, 0.5, (50,)), 0.0, 1.0),
}


@pytest.mark.parametrize("name", sorted(DRAWS))
def test_draws_of_torch_stand_for_those_of_jax(name: str) -> None:
    """Both lie where they should; other numbers come each time; the key itself is only handed on."""
    function, low, high = DRAWS[name]

    def step(state: Any) -> Any:
        key, used = jax.random.split(jax.random.wrap_key_data(state))
        return function(used), jax.random.key_data(key)

    program = translated(jax.make_jaxpr(step)(KEY))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        runs = [program.run([torch.zeros(2, dtype=torch.int64)]) for _ in range(2)]
    drawn = [found.to(torch.float64) for found, _ in runs]
    assert not torch.equal(*drawn)
    by_jax = torch.tensor(function(jax.random.key(0)).tolist(), dtype=torch.float64)
    for numbers in (*drawn, by_jax):
        assert numbers.shape == (50,)
        assert low <= float(numbers.min()) < float(numbers.max()) <= high
    assert {each.dtype for _, each in runs} == {torch.int64}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda key: jax.random.key_data(jax.random.split(jax.random.wrap_key_data(key))) + jnp.uint32(1), "on keys"),
        (lambda key: key.astype(jnp.float64), "on keys of random numbers has no translation"),
        (lambda key: jax.random.bits(jax.random.wrap_key_data(key)), "random_bits of JAX"),
        (lambda key: _uniform(jax.random.wrap_key_data(key), 0.0, 1.0), "random_bits of JAX"),
    ],
)
def test_other_uses_of_keys_have_no_translation(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(Untranslated, match=told):
        translated(jax.make_jaxpr(function)(KEY))


@jax.jit  # type: ignore[untyped-decorator]
def _uniform(key: Any, low: float, high: float) -> Any:
    """No draw of JAX, though it has the name of one."""
    return jax.random.bits(key).astype(jnp.float64) * (high - low) + low


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x: jnp.sort(x), "the primitive sort of JAX has no translation"),
        (lambda x: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x), "the primitive while of JAX"),
        (lambda x: x + jax.random.gamma(jax.random.key(0), 2.0, x.shape), "has no translation"),
        (lambda x: lax.cumsum(x), "the primitive cumsum of JAX has no translation"),
    ],
)
def test_what_has_no_translation_says_so(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(Untranslated, match=told):
        translated(jax.make_jaxpr(function)(jnp.ones(3)))


SHAPES = [(3, 2), (3,), (2, 3), (2,)]
TRANSLATED = ["adam", "adamw", "adafactor", "lamb", "lion", "novograd", "radam", "rprop", "sm3", "yogi",
              "contrib.adopt", "contrib.cocob", "contrib.momo_adam", "contrib.muon", "polyak_sgd",
              "contrib.prodigy", "contrib.schedule_free_adamw"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSLATED)
def test_the_program_of_an_optimizer_does_what_jax_does(name: str) -> None:
    build, drawn = OptaxBuild(name, needed(name)), torch.Generator().manual_seed(0)
    start = [torch.randn(shape, dtype=torch.float64, generator=drawn) for shape in SHAPES]
    runs = [[torch.nn.Parameter(each.clone()) for each in start] for _ in range(2)]
    optimizers = [build(runs[0]), build.program(runs[1])]
    for _ in range(12):
        gradients = [torch.randn(shape, dtype=torch.float64, generator=drawn) for shape in SHAPES]
        for optimizer, parameters in zip(optimizers, runs, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for first, second, old in zip(*runs, start, strict=True):
        torch.testing.assert_close(first.detach(), second.detach(), rtol=1e-11, atol=1e-13)
        assert not torch.equal(first.detach(), old)


def test_a_parameter_without_gradient_is_told() -> None:
    optimizer = OptaxBuild("sgd", needed("sgd"))([torch.nn.Parameter(torch.ones(2, dtype=torch.float64))])
    with pytest.raises(RuntimeError, match="has no gradient"):
        optimizer.step()


def test_pairs_of_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs, fast and slow"):
        OptaxBuild("lookahead", needed("lookahead"))
    assert "lookahead" in factories()
