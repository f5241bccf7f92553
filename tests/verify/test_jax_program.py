"""Programs that JAX traces, in torch: they compute what JAX computes, and what has no translation says so."""

from __future__ import annotations

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

from verify.optimizers.jax_program import Untranslated, translated  # noqa: E402
from verify.optimizers.optax_adapter import OptaxBuild, factories, needed  # noqa: E402

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-200, 1e300, 3e-7, -3e-5, float("inf"), float("nan")])
"""No subnormal numbers, and none come out: JAX takes them for 0, which is a condition of what is proved."""
MATRICES = st.lists(NUMBERS, min_size=6, max_size=6)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda x, y: jnp.abs(x),
    "add": lambda x, y: x + y,
    "and or not": lambda x, y: jnp.where(((x > 0) & (y > 0)) | ~(x < y), x, y),
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
    "integer division": lambda x, y: jnp.asarray(-7, jnp.int32) // 2 + lax.rem(jnp.int32(-7), jnp.int32(4)) + x,
    "integer pow": lambda x, y: x**2 + y**3,
    "inverse pow": lambda x, y: x**-2,
    "iota": lambda x, y: x * jnp.arange(3),
    "is finite": lambda x, y: jnp.where(jnp.isfinite(x), 1.0, 0.0),
    "maxima": lambda x, y: jnp.maximum(x, y) - jnp.minimum(x, 1.0) + jnp.max(y, axis=0),
    "mul sub neg": lambda x, y: -(x * y) - y,
    "pow": lambda x, y: jnp.abs(x) ** 0.75 + 0.5 ** jnp.float64(3),
    "reshape": lambda x, y: x.reshape(3, 2) + y.T,
    "rsqrt": lambda x, y: lax.rsqrt(x),
    "scan": lambda x, y: lax.scan(lambda c, _: (c * 0.5 + y, None), x, None, length=3)[0],
    "select": lambda x, y: jnp.where(x != y, x, 0.0),
    "sign": lambda x, y: jnp.sign(x) * 3,
    "slice": lambda x, y: x[:, 1:] + y[:, ::2],
    "sqrt square": lambda x, y: jnp.sqrt(x) + jnp.square(y),
    "squeeze": lambda x, y: (x.sum(axis=1, keepdims=True) - y).squeeze(),
    "sums": lambda x, y: x.sum() + y.sum(axis=0),
    "tanh": lambda x, y: jnp.tanh(x),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(first=MATRICES, second=MATRICES)
def test_torch_computes_what_jax_computes(name: str, first: list[float], second: list[float]) -> None:
    arrays = [jnp.asarray(each).reshape(2, 3) for each in (first, second)]
    program = translated(jax.make_jaxpr(FUNCTIONS[name])(*arrays))
    (found,) = program.run([torch.tensor(each, dtype=torch.float64).reshape(2, 3) for each in (first, second)])
    expected = torch.tensor(FUNCTIONS[name](*arrays).tolist(), dtype=torch.float64)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.to(torch.float64), expected, rtol=1e-12, atol=0.0, equal_nan=True)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x: jnp.sort(x), "the primitive sort of JAX has no translation"),
        (lambda x: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x), "the primitive while of JAX"),
        (lambda x: x + jax.random.normal(jax.random.key(0), x.shape), "has no translation"),
        (lambda x: lax.cumsum(x), "the primitive cumsum of JAX has no translation"),
    ],
)
def test_what_has_no_translation_says_so(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(Untranslated, match=told):
        translated(jax.make_jaxpr(function)(jnp.ones(3)))


SHAPES = [(3, 2), (3,), (2, 3), (2,)]
TRANSLATED = ["adam", "adamw", "adafactor", "lamb", "lion", "novograd", "radam", "rprop", "sm3", "yogi",
              "contrib.adopt", "contrib.muon", "contrib.prodigy", "contrib.schedule_free_adamw"]  # fmt: skip


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
