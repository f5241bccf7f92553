"""Rules of reductions over dimensions, and of matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from verify.optimizers.code_proof.arithmetic import BOOLEAN, FALSE, TRUE
from verify.optimizers.code_proof.element import (
    INFINITY,
    ZERO,
    Element,
    Format,
    any_of,
    element_of,
    fresh_key,
    identifier_of,
)
from verify.optimizers.code_proof.interpreter import Interpreter, Value, form_of, rule
from verify.optimizers.code_proof.plain import max
from verify.optimizers.code_proof.promotion import as_floating
from verify.optimizers.code_proof.refusal import NoProof
from verify.optimizers.code_proof.scalars import number_element

__all__: list[str] = []

Arguments = tuple[Any, ...]
Options = dict[str, Any]
Fold = Callable[[Format, list[Element]], Element]


def _given(args: Arguments, options: Options, position: int, name: str, default: Any) -> Any:
    return args[position] if len(args) > position else options.get(name, default)


def dimensions(dim: Any, count: int) -> list[int]:
    """Which dimensions `dim` means: None and () mean all."""
    if dim is None:
        return list(range(count))
    listed = [dim] if isinstance(dim, int) else list(dim)
    return [entry % count if count else 0 for entry in listed] if listed else list(range(count))


def reduced(
    machine: Interpreter, codes: torch.Tensor, dim: Any, keepdim: bool, fold: Callable[[list[Element]], Element]
) -> torch.Tensor:
    """Fold the elements along dimensions."""
    gone = dimensions(dim, codes.dim()) if codes.dim() else []
    kept = [entry for entry in range(codes.dim()) if entry not in gone]
    shape = [codes.shape[entry] for entry in kept]
    rows = codes.permute(*kept, *gone).reshape(_count(shape), -1) if codes.dim() else codes.reshape(1, 1)
    if codes.numel() == 0:
        rows = torch.empty((_count(shape), 0), dtype=torch.int64)
    found = [identifier_of(_named(fold(machine.elements(row)))) for row in rows]
    full = [1 if entry in gone else codes.shape[entry] for entry in range(codes.dim())] if keepdim else shape
    return torch.tensor(found, dtype=torch.int64).reshape(full)


def _named(element: Element) -> Element:
    """Every reduced number gets a name, so that conditions on it are understood."""
    if element.is_constant or element.key is not None or element.link is not None:
        return element
    return Element(element.lo, element.hi, element.nan, None, fresh_key())


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _register_fold(names: tuple[str, ...], fold: str, *, real: bool) -> None:
    @rule(*names)
    def folded(machine: Interpreter, args: Arguments, options: Options) -> Value:
        source = args[0].dtype
        asked = options.get("dtype")
        dtype = asked or (as_floating(source) if real else source if source.is_floating_point else torch.int64)
        form = form_of(dtype)
        codes = machine.convert(machine.codes(args[0]), source, dtype)
        method = getattr(machine.arithmetic, fold)
        dim, keepdim = _given(args, options, 1, "dim", None), _given(args, options, 2, "keepdim", False)
        return Value(reduced(machine, codes, dim, keepdim, lambda terms: method(form, terms)), dtype)


_register_fold(("sum.default", "sum.dim_IntList"), "total", real=False)
_register_fold(("mean.default", "mean.dim"), "mean", real=True)
_register_fold(("prod.default", "prod.dim_int"), "product", real=False)


@rule("linalg_vector_norm")
def _vector_norm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    order, dim = _given(args, options, 1, "ord", 2), _given(args, options, 2, "dim", None)
    return _norm(machine, args[0], order, dim, _given(args, options, 3, "keepdim", False), options.get("dtype"))


@rule("norm.Scalar", "norm.ScalarOpt_dim", "norm.ScalarOpt_dtype", "norm.ScalarOpt_dim_dtype")
def _old_norm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    order, dim = _given(args, options, 1, "p", 2), _given(args, options, 2, "dim", None)
    return _norm(machine, args[0], order, dim, _given(args, options, 3, "keepdim", False), options.get("dtype"))


def _norm(machine: Interpreter, tensor: torch.Tensor, order: Any, dim: Any, keepdim: bool, asked: Any) -> Value:
    dtype = asked or as_floating(tensor.dtype)
    form = form_of(dtype)
    degree = number_element(2 if order is None else order)
    if degree is None or degree.lo != degree.hi:
        raise NoProof("a norm of unknown order")
    codes = machine.convert(machine.codes(tensor), tensor.dtype, dtype)
    return Value(
        reduced(machine, codes, dim, keepdim, lambda terms: machine.arithmetic.norm(form, terms, degree.lo)), dtype
    )


def _register_extremes() -> None:
    for name, fold in (("max", "largest"), ("min", "smallest")):
        _register_extreme(name, fold)


def _register_extreme(name: str, fold: str) -> None:
    @rule(f"a{name}")
    def over_dimensions(machine: Interpreter, args: Arguments, options: Options) -> Value:
        dim, keepdim = _given(args, options, 1, "dim", None), _given(args, options, 2, "keepdim", False)
        return _extreme(machine, args[0], dim, keepdim, fold)

    @rule(f"{name}.default")
    def over_all(machine: Interpreter, args: Arguments, options: Options) -> Value:
        return _extreme(machine, args[0], None, False, fold)

    @rule(f"{name}.dim")
    def with_places(machine: Interpreter, args: Arguments, options: Options) -> tuple[Value, Value]:
        dim, keepdim = args[1], _given(args, options, 2, "keepdim", False)
        found = _extreme(machine, args[0], dim, keepdim, fold)
        return found, _places(machine, args[0], dim, found.codes.shape)


def _extreme(machine: Interpreter, tensor: torch.Tensor, dim: Any, keepdim: bool, fold: str) -> Value:
    if tensor.numel() == 0:
        raise NoProof("an extreme of no numbers")
    form = form_of(tensor.dtype)
    method = getattr(machine.arithmetic, fold)
    return Value(reduced(machine, machine.codes(tensor), dim, keepdim, lambda terms: method(form, terms)), tensor.dtype)


def _places(machine: Interpreter, tensor: torch.Tensor, dim: Any, shape: Sequence[int]) -> Value:
    size = tensor.numel() if dim is None else tensor.shape[dim] if tensor.dim() else 1
    return Value(machine.filled(shape, Element(0.0, float(max(size - 1, 0)))), torch.int64)


@rule("argmax", "argmin")
def _argmax(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dim, keepdim = _given(args, options, 1, "dim", None), _given(args, options, 2, "keepdim", False)
    shape = reduced(machine, machine.codes(args[0]), dim, keepdim, lambda terms: ZERO).shape
    return _places(machine, args[0], dim, shape)


def _register_selection(name: str, overload: str) -> None:
    packet = getattr(torch.ops.aten, name)
    function = getattr(packet, overload)

    @rule(f"{name}.{overload}")
    def selection(machine: Interpreter, args: Arguments, options: Options) -> tuple[Value, Value]:
        tensor = args[0]
        shapes = function(torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"), *args[1:], **options)
        chosen = any_of(machine.elements(machine.codes(tensor))) if tensor.numel() else ZERO
        values = machine.filled(shapes[0].shape, chosen)
        return Value(values, tensor.dtype), _places(machine, tensor, None, shapes[1].shape)


@rule("median.default")
def _median(machine: Interpreter, args: Arguments, options: Options) -> Value:
    elements = machine.elements(machine.codes(args[0]))
    return Value(machine.filled((), any_of(elements).bare()), args[0].dtype)


@rule("var.correction", "std.correction")
def _variance(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """Not negative; NaN where there are too few numbers."""
    dtype = args[0].dtype
    form = form_of(dtype)

    def spread(terms: list[Element]) -> Element:
        if len(terms) < 2:
            return Element(0.0, INFINITY, True)
        # The sum of squared deviations may overflow to NaN on the way (infinity minus infinity).
        return machine.arithmetic.settle(
            form, terms, 0.0, INFINITY, nan=not machine.arithmetic.finite or any(not term.is_finite for term in terms)
        )

    correction = options.get("correction", 1)
    if correction not in (None, 0, 1):
        raise NoProof("a variance with an unusual correction")
    dim, keepdim = _given(args, options, 1, "dim", None), options.get("keepdim", False)
    return Value(reduced(machine, machine.codes(args[0]), dim, keepdim, spread), dtype)


def _register_quantifier(name: str) -> None:
    @rule(f"{name}.default", f"{name}.dim", f"{name}.dims")
    def quantifier(machine: Interpreter, args: Arguments, options: Options) -> Value:
        def fold(terms: list[Element]) -> Element:
            truths = [machine.arithmetic.truth(form_of(torch.bool), term) for term in terms]
            decisive, other = (TRUE, FALSE) if name == "any" else (FALSE, TRUE)
            if any(truth == decisive for truth in truths):
                return decisive
            return other if all(truth == other for truth in truths) else BOOLEAN

        dim, keepdim = _given(args, options, 1, "dim", None), _given(args, options, 2, "keepdim", False)
        return Value(reduced(machine, machine.codes(args[0]), dim, keepdim, fold), torch.bool)


@rule("cumsum")
def _cumsum(machine: Interpreter, args: Arguments, options: Options) -> Value:
    tensor, dim = args[0], args[1]
    dtype = options.get("dtype") or (tensor.dtype if tensor.dtype.is_floating_point else torch.int64)
    form = form_of(dtype)
    codes = machine.convert(machine.codes(tensor), tensor.dtype, dtype)
    if codes.dim() == 0:
        return Value(codes.clone(), dtype)
    moved = codes.movedim(dim, -1)
    rows = []
    for row in moved.reshape(-1, moved.shape[-1]):
        terms = machine.elements(row)
        rows.append([identifier_of(machine.arithmetic.total(form, terms[: i + 1])) for i in range(len(terms))])
    made = torch.tensor(rows, dtype=torch.int64).reshape(moved.shape).movedim(-1, dim)
    return Value(made.contiguous(), dtype)


@rule("_softmax")
def _softmax(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """Numbers from 0 to 1, but for rounding; NaN where one of the terms is NaN or infinite."""
    tensor, dim = args[0], args[1]
    dtype = torch.float32 if args[2] else tensor.dtype  # the third argument: 16 bits in, 32 bits out
    form = form_of(dtype)
    codes = machine.codes(tensor)
    if codes.numel() == 0:
        return Value(codes.clone(), dtype)

    def share(terms: list[Element]) -> Element:
        spoiled = any(not term.is_finite for term in terms)
        return machine.arithmetic.library(form, (), 0.0, 1.0, nan=spoiled)

    shares = reduced(machine, codes, dim, True, share)
    # Each number of a row has a name of its own: they are not equal.
    listed = [
        identifier_of(_named(element_of(code).bare())) for code in shares.expand(codes.shape).reshape(-1).tolist()
    ]
    return Value(torch.tensor(listed, dtype=torch.int64).reshape(codes.shape), dtype)


# --- matrix products -------------------------------------------------------------------------------------------------


def product(machine: Interpreter, form: Format, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The codes of a product of two matrices of codes."""
    rows = [tuple(row) for row in first.tolist()]
    columns = [tuple(column) for column in second.t().tolist()]
    narrow = machine.elements
    made = []
    for row in rows:
        for column in columns:
            key = ("dot", form.dtype, row, column)
            found = None if machine.path_knows() else machine.products.get(key)
            if found is None:
                terms = narrow(torch.tensor(row)), narrow(torch.tensor(column))
                found = identifier_of(machine.arithmetic.dot(form, *terms))
                if not machine.path_knows():
                    machine.products[key] = found
            made.append(found)
    return torch.tensor(made, dtype=torch.int64).reshape(len(rows), len(columns))


def _product_of(machine: Interpreter, args: Arguments) -> tuple[torch.Tensor, torch.dtype]:
    dtype = args[0].dtype
    first, second = machine.codes(args[0]), machine.codes(args[1])
    return product(machine, form_of(dtype), first, second), dtype


@rule("mm")
def _mm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return Value(*_product_of(machine, args))


@rule("bmm")
def _bmm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    form = form_of(args[0].dtype)
    pairs = zip(machine.codes(args[0]), machine.codes(args[1]), strict=True)
    return Value(torch.stack([product(machine, form, first, second) for first, second in pairs]), args[0].dtype)


@rule("mv")
def _mv(machine: Interpreter, args: Arguments, options: Options) -> Value:
    form = form_of(args[0].dtype)
    made = product(machine, form, machine.codes(args[0]), machine.codes(args[1]).unsqueeze(1))
    return Value(made.squeeze(1), args[0].dtype)


@rule("dot", "vdot")
def _dot(machine: Interpreter, args: Arguments, options: Options) -> Value:
    form = form_of(args[0].dtype)
    made = product(machine, form, machine.codes(args[0]).unsqueeze(0), machine.codes(args[1]).unsqueeze(1))
    return Value(made.reshape(()), args[0].dtype)


def _added(machine: Interpreter, args: Arguments, options: Options, made: torch.Tensor) -> Value:
    """Beta * args[0] + alpha * made; a zero beta ignores NaN in args[0], as BLAS does, or not."""
    dtype = args[0].dtype
    arithmetic = machine.arithmetic

    def combine(form: Format, base: Element, term: Element, beta: Element, alpha: Element) -> Element:
        scaled = arithmetic.mul(form, beta, base, loose=True)
        return arithmetic.add(form, scaled, arithmetic.mul(form, alpha, term, loose=True), loose=True)

    form = form_of(dtype)
    numbers = [machine.operand(options.get(name, 1), form)[0] for name in ("beta", "alpha")]
    codes = machine.apply(
        ("beta alpha", dtype), lambda *elements: combine(form, *elements), [machine.codes(args[0]), made, *numbers]
    )
    return Value(codes, dtype)


@rule("addmm")
def _addmm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return _added(machine, args, options, _product_of(machine, args[1:])[0])


@rule("addmv")
def _addmv(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return _added(machine, args, options, _mv(machine, args[1:], {}).codes)


@rule("addr")
def _addr(machine: Interpreter, args: Arguments, options: Options) -> Value:
    form = form_of(args[0].dtype)
    made = product(machine, form, machine.codes(args[1]).unsqueeze(1), machine.codes(args[2]).unsqueeze(0))
    return _added(machine, args, options, made)


@rule("baddbmm")
def _baddbmm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return _added(machine, args, options, _bmm(machine, args[1:], {}).codes)


_register_extremes()
for _name in ("any", "all"):
    _register_quantifier(_name)
for _packet, _overload in (("sort", "default"), ("sort", "stable"), ("topk", "default"), ("kthvalue", "default"),
                           ("median", "dim"), ("mode", "default")):  # fmt: skip
    _register_selection(_packet, _overload)
