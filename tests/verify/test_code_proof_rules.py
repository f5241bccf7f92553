"""Abstract results contain concrete ones: every operation, in place and not, through views, in two precisions.

The two runs share one function: on plain tensors it gives numbers, under the interpreter it gives elements. Each
element must contain the number. Rules may be coarser than need be, so a few golden cases say what must be found.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.optimizers.code_proof.arithmetic import Arithmetic
from verify.optimizers.code_proof.element import (
    TOP,
    Element,
    Format,
    element_of,
    format_of,
    identifier_of,
)
from verify.optimizers.code_proof.interpreter import Interpreter
from verify.optimizers.code_proof.paths import Path, following
from verify.optimizers.code_proof.tensor import AbstractTensor

F64, F32 = torch.float64, torch.float32
SUBNORMAL = {F64: 5e-324, F32: 1.401298464324817e-45}
LARGEST = {F64: 1.7976931348623157e308, F32: 3.4028234663852886e38}


def pool(dtype: torch.dtype) -> list[float]:
    """Numbers of the dtype at which rules change: signs, ends, subnormals, powers of two, 0.1."""
    small, large = SUBNORMAL[dtype], LARGEST[dtype]
    positive = [small, 3 * small, 1e-30, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 1e30, large]
    rounded = torch.tensor(positive, dtype=dtype).tolist()
    return [0.0, -0.0, *rounded, *(-number for number in rounded)]


def moderate() -> list[float]:
    """Numbers for which no single operation below overflows or underflows in double precision."""
    positive = [1e-20, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 17.0, 60.0]
    return [0.0, -0.0, *positive, *(-number for number in positive)]


def drawn_element(rng: random.Random, numbers: list[float], *, finite: bool) -> tuple[float, Element]:
    """A number and an element that contains it."""
    special = [] if finite else [math.inf, -math.inf, math.nan]
    value = rng.choice([*numbers, *special])
    kind = rng.choice(["constant", "interval", "interval", "top"])
    if kind == "top":
        return value, Element(-1e100, 1e100) if finite else TOP
    if math.isnan(value):  # any interval holds it, if NaN is allowed
        ends = [rng.choice(numbers), rng.choice(numbers)]
        return value, Element(min(ends), max(ends), True)
    if kind == "constant" and math.isfinite(value):
        return value, Element(value, value)
    ends = [value, rng.choice(numbers), rng.choice(numbers)]
    return value, Element(min(ends), max(ends), not finite and rng.random() < 0.3)


@dataclass
class Twin:
    """A plain tensor and the abstract one that contains it."""

    plain: torch.Tensor
    abstract: AbstractTensor


def drawn_twin(rng: random.Random, shape: tuple[int, ...], dtype: torch.dtype, *, finite: bool) -> Twin:
    numbers = moderate() if finite else pool(dtype)
    drawn = [drawn_element(rng, numbers, finite=finite) for _ in range(math.prod(shape))]
    plain = torch.tensor([value for value, _ in drawn], dtype=F64).to(dtype).reshape(shape)
    form = form_for(dtype)
    codes = [identifier_of(fitted(form, element)) for _, element in drawn]
    return Twin(plain, AbstractTensor(torch.tensor(codes, dtype=torch.int64).reshape(shape), dtype))


def form_for(dtype: torch.dtype) -> Format:
    form = format_of(dtype)
    assert form is not None
    return form


def fitted(form: Format, element: Element) -> Element:
    lo, hi = max(element.lo, form.minimum), min(element.hi, form.maximum)
    lo, hi = (element.lo if math.isinf(element.lo) else lo), (element.hi if math.isinf(element.hi) else hi)
    return Element(form.nearest(lo), form.nearest(hi), element.nan)


def abstract_run(function: Callable[..., Any], *tensors: Any, finite: bool = False) -> Any:
    machine = Interpreter(Arithmetic(finite=finite))
    with following(Path(machine.arithmetic)), torch.no_grad(), machine:
        return function(*tensors)


def found_in(result: Any) -> list[list[Element]]:
    if isinstance(result, torch.Tensor):
        assert isinstance(result, AbstractTensor), "a result escaped the interpreter"
        return [[element_of(code) for code in result.codes.reshape(-1).tolist()]]
    return [part for each in result for part in found_in(each)]


def plain_in(result: Any) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else [part for each in result for part in plain_in(each)]


# With the moderate numbers above these still underflow or overflow, which is left out of finite executions.
LEFT_OUT = frozenset({"pow tensor", "to half"})


def assert_contained(plain: Any, abstract: Any, what: str, *, finite: bool = False) -> None:
    expected, found = plain_in(plain), found_in(abstract)
    assert len(expected) == len(found), what
    for tensor, listed in zip(expected, found, strict=True):
        assert tensor.numel() == len(listed), what
        for number, element in zip(tensor.reshape(-1).to(F64).tolist(), listed, strict=True):
            if finite and what in LEFT_OUT and (number == 0 or math.isinf(number)):
                continue
            assert element.contains(number), f"{what}: {number!r} is not in {element}"


def same_shape(plain: Any, abstract: Any) -> None:
    for first, second in zip(
        plain_in(plain), abstract if isinstance(abstract, list | tuple) else [abstract], strict=False
    ):
        if isinstance(second, torch.Tensor):
            assert first.shape == second.shape
            assert first.dtype == second.dtype


Operation = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], Any]

# x and y have shape (2, 3), z shape (3,), w none.
POINTWISE: dict[str, Operation] = {
    "add": lambda x, y, z, w: x + y,
    "add alpha": lambda x, y, z, w: torch.add(x, y, alpha=-0.3),
    "add broadcast": lambda x, y, z, w: x + z,
    "add single": lambda x, y, z, w: x + w,
    "add number": lambda x, y, z, w: x + 0.1,
    "number minus": lambda x, y, z, w: 1.0 - x,
    "sub": lambda x, y, z, w: x - y,
    "sub alpha": lambda x, y, z, w: torch.sub(x, y, alpha=2.5),
    "sub itself": lambda x, y, z, w: x - x,
    "mul": lambda x, y, z, w: x * y,
    "mul itself": lambda x, y, z, w: x * x,
    "mul number": lambda x, y, z, w: x * 0.1,
    "mul single": lambda x, y, z, w: x * w,
    "div": lambda x, y, z, w: x / y,
    "div number": lambda x, y, z, w: x / 3.0,
    "number over": lambda x, y, z, w: 2.0 / x,
    "div floor": lambda x, y, z, w: torch.div(x, y, rounding_mode="floor"),
    "div trunc": lambda x, y, z, w: torch.div(x, y, rounding_mode="trunc"),
    "remainder": lambda x, y, z, w: torch.remainder(x, y),
    "fmod": lambda x, y, z, w: torch.fmod(x, y),
    "neg": lambda x, y, z, w: -x,
    "abs": lambda x, y, z, w: x.abs(),
    "square": lambda x, y, z, w: x.square(),
    "sqrt": lambda x, y, z, w: x.sqrt(),
    "rsqrt": lambda x, y, z, w: x.rsqrt(),
    "reciprocal": lambda x, y, z, w: x.reciprocal(),
    "exp": lambda x, y, z, w: x.exp(),
    "exp2": lambda x, y, z, w: x.exp2(),
    "expm1": lambda x, y, z, w: x.expm1(),
    "log": lambda x, y, z, w: x.log(),
    "log2": lambda x, y, z, w: x.log2(),
    "log10": lambda x, y, z, w: x.log10(),
    "log1p": lambda x, y, z, w: x.log1p(),
    "sin": lambda x, y, z, w: x.sin(),
    "cos": lambda x, y, z, w: x.cos(),
    "tanh": lambda x, y, z, w: x.tanh(),
    "atan": lambda x, y, z, w: x.atan(),
    "erf": lambda x, y, z, w: x.erf(),
    "sigmoid": lambda x, y, z, w: x.sigmoid(),
    "softplus": lambda x, y, z, w: torch.nn.functional.softplus(x),
    "relu": lambda x, y, z, w: x.relu(),
    "sign": lambda x, y, z, w: x.sign(),
    "floor": lambda x, y, z, w: x.floor(),
    "ceil": lambda x, y, z, w: x.ceil(),
    "trunc": lambda x, y, z, w: x.trunc(),
    "round": lambda x, y, z, w: x.round(),
    "frac": lambda x, y, z, w: x.frac(),
    "pow 2": lambda x, y, z, w: x**2,
    "pow 3": lambda x, y, z, w: x**3,
    "pow 4": lambda x, y, z, w: x**4,
    "pow half": lambda x, y, z, w: x**0.5,
    "pow minus half": lambda x, y, z, w: x**-0.5,
    "pow minus 1": lambda x, y, z, w: x**-1,
    "pow minus 3": lambda x, y, z, w: x**-3,
    "pow third": lambda x, y, z, w: x ** (1 / 3),
    "pow 0": lambda x, y, z, w: x**0,
    "pow tensor": lambda x, y, z, w: x**y,
    "number to": lambda x, y, z, w: torch.pow(0.9, x),
    "maximum": lambda x, y, z, w: torch.maximum(x, y),
    "minimum": lambda x, y, z, w: torch.minimum(x, y),
    "fmax": lambda x, y, z, w: torch.fmax(x, y),
    "fmin": lambda x, y, z, w: torch.fmin(x, y),
    "atan2": lambda x, y, z, w: torch.atan2(x, y),
    "copysign": lambda x, y, z, w: torch.copysign(x, y),
    "hypot": lambda x, y, z, w: torch.hypot(x, y),
    "clamp": lambda x, y, z, w: x.clamp(-1.0, 0.5),
    "clamp below": lambda x, y, z, w: x.clamp(min=1e-8),
    "clamp above": lambda x, y, z, w: x.clamp(max=1.0),
    "clamp tensor": lambda x, y, z, w: torch.clamp(x, min=y),
    "clamp_min": lambda x, y, z, w: torch.clamp_min(x, 0.1),
    "hardtanh": lambda x, y, z, w: torch.nn.functional.hardtanh(x),
    "lerp": lambda x, y, z, w: torch.lerp(x, y, 0.1),
    "lerp above": lambda x, y, z, w: torch.lerp(x, y, 0.9),
    "lerp tensor": lambda x, y, z, w: torch.lerp(x, y, z),
    "addcmul": lambda x, y, z, w: torch.addcmul(x, y, z, value=0.3),
    "addcmul square": lambda x, y, z, w: torch.addcmul(x, y, y, value=0.3),
    "addcdiv": lambda x, y, z, w: torch.addcdiv(x, y, z, value=-0.3),
    "where": lambda x, y, z, w: torch.where(x > y, x, y),
    "where number": lambda x, y, z, w: torch.where(x > 0, x, 1.0),
    "where guards": lambda x, y, z, w: torch.where(y != 0, x / y, 1.0),
    "where negated": lambda x, y, z, w: torch.where(~(y > 0), 1.0, x / y),
    "where both": lambda x, y, z, w: torch.where((y > 0) & (x > y), x / y, w),
    "where either": lambda x, y, z, w: torch.where((y > 0) | (y < 0), x / y, w),
    "masked_fill": lambda x, y, z, w: x.masked_fill(y > 0, 2.0),
    "lt": lambda x, y, z, w: x < y,
    "le": lambda x, y, z, w: x <= y,
    "gt": lambda x, y, z, w: x > 0,
    "ge": lambda x, y, z, w: x >= w,
    "eq": lambda x, y, z, w: x == y,
    "ne": lambda x, y, z, w: x != 0,
    "logical": lambda x, y, z, w: torch.logical_and(x, torch.logical_not(y)),
    "logical_or": lambda x, y, z, w: torch.logical_or(x, y),
    "logical_xor": lambda x, y, z, w: torch.logical_xor(x, y),
    "bitwise": lambda x, y, z, w: (x > 0) & ~(y > 0) | (x == y) ^ (x < 1),
    "isnan": lambda x, y, z, w: x.isnan(),
    "isinf": lambda x, y, z, w: x.isinf(),
    "isfinite": lambda x, y, z, w: x.isfinite(),
    "nan_to_num": lambda x, y, z, w: x.nan_to_num(),
    "nan_to_num numbers": lambda x, y, z, w: x.nan_to_num(1.0, 2.0, 3.0),
    "to float32": lambda x, y, z, w: x.to(F32),
    "to float64": lambda x, y, z, w: x.to(F64),
    "to half": lambda x, y, z, w: x.to(torch.float16),
    "to bfloat16": lambda x, y, z, w: x.to(torch.bfloat16).to(F32),
    "to bool": lambda x, y, z, w: x.to(torch.bool),
    "to int": lambda x, y, z, w: (x.nan_to_num(0.0, 5.0, -5.0).clamp(-9, 9) * 1.5).to(torch.int64),
    "int arithmetic": lambda x, y, z, w: (x > 0).to(torch.int64) * 3 - (y > 0).to(torch.int64),
    "int to float": lambda x, y, z, w: (x > 0).to(torch.int64) * 0.3 + x,
    "int over": lambda x, y, z, w: (x > 0).to(torch.int64) / 3,
    "mixed precision": lambda x, y, z, w: x.to(F32) * y.to(F64),
    "copy": lambda x, y, z, w: torch.zeros_like(x, dtype=F32).copy_(y),
}

REDUCTIONS: dict[str, Operation] = {
    "sum": lambda x, y, z, w: x.sum(),
    "sum dim": lambda x, y, z, w: x.sum(dim=0, keepdim=True),
    "sum dims": lambda x, y, z, w: x.sum(dim=(0, 1)),
    "sum negative dim": lambda x, y, z, w: x.sum(-1),
    "sum of bools": lambda x, y, z, w: (x > 0).sum(),
    "mean": lambda x, y, z, w: x.mean(),
    "mean dim": lambda x, y, z, w: x.mean(dim=1, keepdim=True),
    "prod": lambda x, y, z, w: z.prod(),
    "prod dim": lambda x, y, z, w: x.prod(0),
    "norm": lambda x, y, z, w: x.norm(),
    "norm 1": lambda x, y, z, w: x.norm(1),
    "norm inf": lambda x, y, z, w: x.norm(math.inf),
    "norm 3": lambda x, y, z, w: x.norm(3),
    "norm -1": lambda x, y, z, w: x.norm(-1),
    "norm -2": lambda x, y, z, w: (x.abs() + 0.5).norm(-2),
    "norm -4 dim": lambda x, y, z, w: y.norm(-4, dim=1),
    "norm dim": lambda x, y, z, w: x.norm(2, dim=1, keepdim=True),
    "linalg norm": lambda x, y, z, w: torch.linalg.norm(x),
    "linalg vector norm": lambda x, y, z, w: torch.linalg.vector_norm(x, dim=0),
    "max": lambda x, y, z, w: x.max(),
    "min": lambda x, y, z, w: x.min(),
    "max dim": lambda x, y, z, w: x.max(dim=1),
    "min dim": lambda x, y, z, w: x.min(dim=0, keepdim=True),
    "amax": lambda x, y, z, w: x.amax(dim=(0, 1)),
    "amin": lambda x, y, z, w: x.amin(0),
    "argmax": lambda x, y, z, w: x.argmax(),
    "argmin dim": lambda x, y, z, w: x.argmin(1),
    "any": lambda x, y, z, w: (x > 0).any(),
    "any dim": lambda x, y, z, w: (x > 0).any(dim=1),
    "all": lambda x, y, z, w: (x > 0).all(),
    "all dim": lambda x, y, z, w: (x > y).all(0),
    "var": lambda x, y, z, w: x.var(),
    "std": lambda x, y, z, w: x.std(dim=1),
    "softmax": lambda x, y, z, w: x.softmax(1),
    "softmax dim 0": lambda x, y, z, w: x.t().softmax(0),
    "softmax single": lambda x, y, z, w: w.softmax(0),
    "cumsum": lambda x, y, z, w: x.cumsum(1),
    "median": lambda x, y, z, w: x.median(),
    "median dim": lambda x, y, z, w: x.median(dim=0),
    "sort": lambda x, y, z, w: x.sort(dim=1),
    "topk": lambda x, y, z, w: x.topk(2, dim=1),
    "kthvalue": lambda x, y, z, w: x.kthvalue(1, dim=1),
    "mm": lambda x, y, z, w: x @ y.t(),
    "mm itself": lambda x, y, z, w: x @ x.t(),
    "mv": lambda x, y, z, w: x @ z,
    "dot": lambda x, y, z, w: torch.dot(z, z),
    "outer": lambda x, y, z, w: torch.outer(z, z),
    "bmm": lambda x, y, z, w: torch.bmm(x.reshape(1, 2, 3), y.reshape(1, 3, 2)),
    "addmm": lambda x, y, z, w: torch.addmm(z, x[:, :2], y, beta=0.5, alpha=-2.0),
    "addmv": lambda x, y, z, w: torch.addmv(z[:2], x, z, beta=0.3),
    "baddbmm": lambda x, y, z, w: torch.baddbmm(
        x[:, :2].reshape(1, 2, 2), x.reshape(1, 2, 3), y.reshape(1, 3, 2), beta=0.3
    ),
    "einsum": lambda x, y, z, w: torch.einsum("ij,ij->i", x, y),
    "tensordot": lambda x, y, z, w: torch.tensordot(x, y, dims=([1], [1])),
}

MOVES: dict[str, Operation] = {
    "transpose": lambda x, y, z, w: x.t() * 2,
    "view": lambda x, y, z, w: x.view(3, 2),
    "flatten": lambda x, y, z, w: x.flatten(),
    "slice": lambda x, y, z, w: x[:, 1:],
    "select": lambda x, y, z, w: x[1],
    "expand": lambda x, y, z, w: z.expand(2, 3),
    "permute": lambda x, y, z, w: x.permute(1, 0),
    "cat": lambda x, y, z, w: torch.cat([x, y], dim=1),
    "stack": lambda x, y, z, w: torch.stack([x, y]),
    "chunk": lambda x, y, z, w: list(x.chunk(2)),
    "split": lambda x, y, z, w: list(x.split([1, 2], dim=1)),
    "unbind": lambda x, y, z, w: list(x.unbind(1)),
    "flip": lambda x, y, z, w: x.flip(0),
    "roll": lambda x, y, z, w: x.roll(1, 1),
    "repeat": lambda x, y, z, w: z.repeat(2, 1),
    "tril": lambda x, y, z, w: x.tril(),
    "triu": lambda x, y, z, w: x.triu(1),
    "diag": lambda x, y, z, w: torch.diag(z),
    "diagonal": lambda x, y, z, w: x.diagonal(),
    "pad": lambda x, y, z, w: torch.nn.functional.pad(x, (1, 1)),
    "index": lambda x, y, z, w: x[:, torch.tensor([2, 0])],
    "slice_scatter": lambda x, y, z, w: torch.slice_scatter(x, y[:, :1], 1, 1, 2),
    "select_scatter": lambda x, y, z, w: torch.select_scatter(x, z, 0, 1),
    "index by argmax": lambda x, y, z, w: z[x.argmax(1)],
    "gather": lambda x, y, z, w: x.gather(1, torch.tensor([[0, 2], [1, 1]])),
    "gather unknown": lambda x, y, z, w: x.gather(1, x.argmax(1, keepdim=True)),
    "index_select": lambda x, y, z, w: x.index_select(1, torch.tensor([1])),
    "take": lambda x, y, z, w: x.take(torch.tensor([5, 0])),
    "zeros": lambda x, y, z, w: torch.zeros(2, 3) + x,
    "ones_like": lambda x, y, z, w: torch.ones_like(x),
    "full": lambda x, y, z, w: torch.full((2,), 0.1),
    "full_like": lambda x, y, z, w: torch.full_like(x, 0.1),
    "new_zeros": lambda x, y, z, w: x.new_zeros(3),
    "arange": lambda x, y, z, w: torch.arange(3),
    "eye": lambda x, y, z, w: torch.eye(2, dtype=x.dtype) @ x,
    "tensor": lambda x, y, z, w: torch.tensor(0.3) * x,
    "clone": lambda x, y, z, w: x.clone(),
    "contiguous": lambda x, y, z, w: x.t().contiguous(),
    "svd": lambda x, y, z, w: torch.linalg.svdvals(torch.nan_to_num(x, 0.0, 1.0, -1.0).clamp(-9, 9)),
    "eigh": lambda x, y, z, w: torch.linalg.eigvalsh(torch.nan_to_num(x @ x.t(), 0.0, 1.0, -1.0).clamp(-9, 9)),
}


def put(target: torch.Tensor, change: Callable[[torch.Tensor], Any]) -> torch.Tensor:
    """Change a tensor (or a view of it) and return the whole."""
    change(target)
    return target


def reshaped_in_place(x: torch.Tensor) -> torch.Tensor:
    """Whether a reshaped tensor is a view depends on the layout in memory."""
    x.reshape(-1)[1:3].zero_()
    return x


IN_PLACE: dict[str, Operation] = {
    "add_": lambda x, y, z, w: x.add_(y, alpha=0.3),
    "add_ row": lambda x, y, z, w: put(x, lambda t: t[1].add_(z)),
    "mul_ column": lambda x, y, z, w: put(x, lambda t: t[:, 1].mul_(2.0)),
    "transposed": lambda x, y, z, w: put(x, lambda t: t.t().sub_(y.t())),
    "flattened": lambda x, y, z, w: put(x, lambda t: t.view(-1)[2:4].zero_()),
    "item assignment": lambda x, y, z, w: put(x, lambda t: t.__setitem__((0, 1), 5.0)),
    "slice assignment": lambda x, y, z, w: put(x, lambda t: t.__setitem__((slice(None), 2), y[:, 0])),
    "mask assignment": lambda x, y, z, w: put(x, lambda t: t.__setitem__(y > 0, 0.0)),
    "index assignment": lambda x, y, z, w: put(
        x, lambda t: t.__setitem__((torch.tensor([0, 1]), torch.tensor([2, 0])), 7.0)
    ),
    "unknown index assignment": lambda x, y, z, w: put(z, lambda t: t.__setitem__(x.argmax(1), 7.0)),
    "accumulate": lambda x, y, z, w: put(z, lambda t: t.index_put_((torch.tensor([0, 0]),), x[0, :2], accumulate=True)),
    "data": lambda x, y, z, w: put(x, lambda t: t.data.mul_(2)),
    "detached": lambda x, y, z, w: put(x, lambda t: t.detach()[0].copy_(z)),
    "diagonal": lambda x, y, z, w: put(x, lambda t: t.diagonal().fill_(4.0)),
    "unbound": lambda x, y, z, w: put(x, lambda t: t.unbind(0)[1].neg_()),
    "chunked": lambda x, y, z, w: put(x, lambda t: t.chunk(2)[0].abs_()),
    "expanded source": lambda x, y, z, w: x.copy_(z),
    "div_": lambda x, y, z, w: x.div_(y),
    "sqrt_": lambda x, y, z, w: x.sqrt_(),
    "pow_": lambda x, y, z, w: x.pow_(2),
    "clamp_": lambda x, y, z, w: x.clamp_(min=0.1),
    "lerp_": lambda x, y, z, w: x.lerp_(y, 0.3),
    "addcmul_": lambda x, y, z, w: x.addcmul_(y, y, value=0.001),
    "addcdiv_": lambda x, y, z, w: x.addcdiv_(y, z, value=-0.1),
    "index_fill_": lambda x, y, z, w: x.index_fill_(1, torch.tensor([2]), 0.5),
    "index_copy_": lambda x, y, z, w: x.index_copy_(1, torch.tensor([2, 0]), y[:, :2]),
    "copied or viewed": lambda x, y, z, w: reshaped_in_place(x.t() + y.t()),
    "copied or viewed, broadcast": lambda x, y, z, w: reshaped_in_place(z.expand(2, 3) * y.t().contiguous().t()),
    "copied or viewed, summed": lambda x, y, z, w: reshaped_in_place(torch.stack([x.t(), y.t()]).sum(0)),
    "copied or viewed, each": lambda x, y, z, w: reshaped_in_place(torch._foreach_add([x.t()], [y.t()])[0]),
    "copied or viewed, unknown": lambda x, y, z, w: reshaped_in_place(torch.special.bessel_j0(x.t())),
    "copied or viewed, decomposed": lambda x, y, z, w: [
        reshaped_in_place(part).abs() for part in torch.linalg.eigh(torch.eye(3, dtype=x.dtype))
    ],
    "masked_fill_": lambda x, y, z, w: x.masked_fill_(y > 0, -1.0),
    "fill_ tensor": lambda x, y, z, w: x.fill_(w),
    "logical_not_": lambda x, y, z, w: x.logical_not_(),
    "tril_": lambda x, y, z, w: x.tril_(),
    "scatter_": lambda x, y, z, w: x.scatter_(1, torch.tensor([[0], [2]]), 3.0),
    "scatter_ source": lambda x, y, z, w: x.scatter_(1, torch.tensor([[0], [2]]), y),
    "out": lambda x, y, z, w: put(x, lambda t: torch.add(y, 1.0, out=t)),
    "out mm": lambda x, y, z, w: put(x, lambda t: torch.mul(y, y, out=t)),
    "narrower": lambda x, y, z, w: x.to(F32).mul_(y.to(F64)),
    "uninitialized": lambda x, y, z, w: torch.empty_like(x).copy_(y),
}

EACH: dict[str, Operation] = {
    "foreach add": lambda x, y, z, w: torch._foreach_add([x, z], [y, z], alpha=2.0),
    "foreach add_": lambda x, y, z, w: put_each([x, z], lambda t: torch._foreach_add_(t, 1.0)),
    "foreach add_ list": lambda x, y, z, w: put_each([x, z], lambda t: torch._foreach_add_(t, [0.5, 2.0])),
    "foreach mul tensor": lambda x, y, z, w: torch._foreach_mul([x, y], w),
    "foreach mul_ itself": lambda x, y, z, w: put_each([x, z], lambda t: torch._foreach_mul_(t, t)),
    "foreach div": lambda x, y, z, w: torch._foreach_div([x, z], [2.0, 3.0]),
    "foreach sqrt": lambda x, y, z, w: torch._foreach_sqrt([x, z]),
    "foreach rsqrt": lambda x, y, z, w: torch._foreach_rsqrt([x, z]),
    "foreach norm": lambda x, y, z, w: torch._foreach_norm([x, z]),
    "foreach norm inf": lambda x, y, z, w: torch._foreach_norm([x, z], math.inf),
    "foreach max": lambda x, y, z, w: torch._foreach_max([x, z]),
    "foreach lerp": lambda x, y, z, w: torch._foreach_lerp([x], [y], 0.3),
    "foreach lerp_ list": lambda x, y, z, w: put_each(
        [x, z], lambda t: torch._foreach_lerp_(t, [y, z.flip(0)], [0.3, 0.9])
    ),
    "foreach addcmul": lambda x, y, z, w: torch._foreach_addcmul([x], [y], [y], value=0.3),
    "foreach addcmul list": lambda x, y, z, w: torch._foreach_addcmul([x, z], [y, z], [y, z], [0.3, 0.5]),
    "foreach addcdiv": lambda x, y, z, w: torch._foreach_addcdiv([x], [y], [z.expand(2, 3)], value=0.3),
    "foreach addcdiv_": lambda x, y, z, w: put_each([x], lambda t: torch._foreach_addcdiv_(t, [y], [y], value=0.3)),
    "foreach maximum": lambda x, y, z, w: torch._foreach_maximum([x], [y]),
    "foreach clamp_min": lambda x, y, z, w: torch._foreach_clamp_min([x, z], 0.1),
    "foreach pow": lambda x, y, z, w: torch._foreach_pow([x, z], 2),
    "foreach sign": lambda x, y, z, w: torch._foreach_sign([x, z]),
    "foreach neg": lambda x, y, z, w: torch._foreach_neg([x, z]),
    "foreach reciprocal": lambda x, y, z, w: torch._foreach_reciprocal([x, z]),
    "foreach copy_": lambda x, y, z, w: put_each([x, z], lambda t: torch._foreach_copy_(t, [y, z.flip(0)])),
    "foreach zero_": lambda x, y, z, w: put_each([x, z], torch._foreach_zero_),
    "foreach sub": lambda x, y, z, w: torch._foreach_sub([x], [y], alpha=0.3),
}


def put_each(targets: list[torch.Tensor], change: Callable[[list[torch.Tensor]], Any]) -> list[torch.Tensor]:
    change(targets)
    return targets


def fused_adam(name: str, x: torch.Tensor, y: torch.Tensor, **options: Any) -> list[torch.Tensor]:
    mean, square, greatest = y.flip(0).clone(), y.flip(1).abs(), y.abs() + 1
    step = torch.tensor(3.0)
    settings = {
        "lr": 0.1,
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.0,
        "eps": 1e-8,
        "amsgrad": False,
        "maximize": False,
    }
    greatests = [greatest] if options.get("amsgrad") else []
    getattr(torch, name)([x], [y], [mean], [square], greatests, [step], **(settings | options))
    return [x, mean, square, greatest]


def fused_sgd(x: torch.Tensor, y: torch.Tensor, **options: Any) -> list[torch.Tensor]:
    buffer = y.flip(0).clone()
    settings = {
        "lr": 0.1,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "dampening": 0.0,
        "nesterov": False,
        "maximize": False,
        "is_first_step": False,
    }
    buffers = [buffer] if options.get("momentum") else []
    torch._fused_sgd_([x], [y], buffers, **(settings | options))
    return [x, buffer]


def fused_adagrad(x: torch.Tensor, y: torch.Tensor, **options: Any) -> list[torch.Tensor]:
    total, step = y.flip(0).abs(), torch.tensor(4.0)
    settings = {"lr": 0.1, "lr_decay": 0.3, "weight_decay": 0.0, "eps": 1e-10, "maximize": False}
    torch._fused_adagrad_([x], [y], [total], [step], **(settings | options))
    return [x, total]


FUSED: dict[str, Operation] = {
    "fused adam": lambda x, y, z, w: fused_adam("_fused_adam_", x, y),
    "fused adam, small beta": lambda x, y, z, w: fused_adam("_fused_adam_", x, y, beta1=0.2, maximize=True),
    "fused adam, decay": lambda x, y, z, w: fused_adam("_fused_adam_", x, y, weight_decay=0.1, amsgrad=True),
    "fused adamw": lambda x, y, z, w: fused_adam("_fused_adamw_", x, y, weight_decay=0.1),
    "fused sgd": lambda x, y, z, w: fused_sgd(x, y),
    "fused sgd, momentum": lambda x, y, z, w: fused_sgd(x, y, momentum=0.9, weight_decay=0.1, dampening=0.3),
    "fused sgd, first": lambda x, y, z, w: fused_sgd(x, y, momentum=0.9, is_first_step=True, maximize=True),
    "fused sgd, Nesterov": lambda x, y, z, w: fused_sgd(x, y, momentum=0.9, nesterov=True),
    "fused adagrad": lambda x, y, z, w: fused_adagrad(x, y),
    "fused adagrad, decay": lambda x, y, z, w: fused_adagrad(x, y, weight_decay=0.1, maximize=True),
}

OPERATIONS = {**POINTWISE, **REDUCTIONS, **MOVES, **IN_PLACE, **EACH, **FUSED}


def check(name: str, dtype: torch.dtype, rng: random.Random, *, finite: bool) -> bool:
    """Compare one run; False if torch refuses the arguments."""
    function = OPERATIONS[name]
    arguments = [drawn_twin(rng, shape, dtype, finite=finite) for shape in ((2, 3), (2, 3), (3,), ())]
    try:
        plain = function(*(twin.plain.clone() for twin in arguments))
    except (RuntimeError, IndexError):
        return False
    abstract = abstract_run(function, *(twin.abstract for twin in arguments), finite=finite)
    assert_contained(plain, abstract, name, finite=finite)
    same_shape(plain, abstract)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_many_floats(name: str, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        check(name, rng.choice([F64, F32]), rng, finite=False)
        check(name, F64, rng, finite=True)


@pytest.mark.parametrize("name", OPERATIONS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=3)
def test_any_floats(name: str, seed: int) -> None:
    rng = random.Random(seed)
    assert any(check(name, rng.choice([F64, F32]), rng, finite=False) for _ in range(6))


@pytest.mark.parametrize("name", OPERATIONS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=1)
def test_finite_floats(name: str, seed: int) -> None:
    rng = random.Random(seed)
    assert any(check(name, F64, rng, finite=True) for _ in range(6))
