"""Rules of operations that make, copy, move and select elements, and of random draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from verify.optimizers.code_proof.element import (
    ONE,
    ZERO,
    Element,
    any_of,
    anything,
    join,
    real,
)
from verify.optimizers.code_proof.interpreter import (
    EACH,
    RULES,
    Interpreter,
    Value,
    form_of,
    known_numbers,
    rule,
    writer,
)
from verify.optimizers.code_proof.plain import max
from verify.optimizers.code_proof.promotion import promoted
from verify.optimizers.code_proof.refusal import NoProof
from verify.optimizers.code_proof.scalars import number_element
from verify.optimizers.code_proof.tensor import AbstractTensor, truth_of

__all__: list[str] = []

Arguments = tuple[Any, ...]
Options = dict[str, Any]


def _given(args: Arguments, options: Options, position: int, name: str, default: Any) -> Any:
    return args[position] if len(args) > position else options.get(name, default)


# --- making tensors --------------------------------------------------------------------------------------------------


def _dtype(options: Options, like: torch.Tensor | None) -> torch.dtype:
    found: torch.dtype | None = options.get("dtype")
    if found is not None:
        return found
    return torch.get_default_dtype() if like is None else like.dtype


def _shaped(machine: Interpreter, like: torch.Tensor | None, size: Any, options: Options, element: Element) -> Value:
    dtype = _dtype(options, like)
    if like is not None and size is None:
        made = torch.empty_like(machine.codes(like), dtype=torch.int64)
        made.copy_(machine.filled(like.shape, element))
        return Value(made, dtype)
    return Value(machine.filled(size, element), dtype)


def _register_filled(name: str, element: Element | None) -> None:
    """`name`, `name_like`, `new_name`. None: memory that is not initialized holds anything."""

    def chosen(dtype: torch.dtype) -> Element:
        return anything(form_of(dtype)) if element is None else element

    @rule(f"{name}.default", f"{name}.memory_format")
    def plain(machine: Interpreter, args: Arguments, options: Options) -> Value:
        return _shaped(machine, None, args[0], options, chosen(_dtype(options, None)))

    @rule(f"{name}_like")
    def like(machine: Interpreter, args: Arguments, options: Options) -> Value:
        return _shaped(machine, args[0], None, options, chosen(_dtype(options, args[0])))

    @rule(f"new_{name}")
    def new(machine: Interpreter, args: Arguments, options: Options) -> Value:
        return _shaped(machine, args[0], args[1], options, chosen(_dtype(options, args[0])))


@rule("empty_strided", "new_empty_strided")
def _empty_strided(machine: Interpreter, args: Arguments, options: Options) -> Value:
    like, rest = (args[0], args[1:]) if isinstance(args[0], torch.Tensor) else (None, args)
    dtype = _dtype(options, like)
    made = torch.empty_strided(rest[0], rest[1], dtype=torch.int64)
    made.copy_(machine.filled(rest[0], anything(form_of(dtype))))
    return Value(made, dtype)


def _number(value: Any) -> Element:
    element = number_element(value)
    if element is None:
        raise NoProof(f"{type(value).__name__} is no number")
    return element


@rule("full")
def _full(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = options.get("dtype") or promoted([args[1]])
    element = machine.arithmetic.operand(form_of(dtype), _number(args[1]))
    return Value(machine.filled(args[0], _converted(machine, element, args[1], dtype)), dtype)


@rule("full_like")
def _full_like(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = _dtype(options, args[0])
    return _shaped(machine, args[0], None, options, _converted(machine, _number(args[1]), args[1], dtype))


@rule("new_full")
def _new_full(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = _dtype(options, args[0])
    return Value(machine.filled(args[1], _converted(machine, _number(args[2]), args[2], dtype)), dtype)


@rule("scalar_tensor")
def _scalar_tensor(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = _dtype(options, None)
    return Value(machine.filled((), _converted(machine, _number(args[0]), args[0], dtype)), dtype)


def _converted(machine: Interpreter, element: Element, number: Any, dtype: torch.dtype) -> Element:
    source = torch.int64 if promoted([number]) in (torch.int64, torch.bool) else torch.float64
    return machine.arithmetic.cast(form_of(source), form_of(dtype), element)


@rule("lift_fresh", "lift")
def _lift(machine: Interpreter, args: Arguments, options: Options) -> Any:
    tensor = args[0]
    return tensor if isinstance(tensor, AbstractTensor) else Value(machine.codes(tensor), tensor.dtype)


# --- copying ---------------------------------------------------------------------------------------------------------


@rule("clone")
def _clone(machine: Interpreter, args: Arguments, options: Options) -> Value:
    codes = machine.codes(args[0])
    asked = options.get("memory_format")
    return Value(codes.clone() if asked is None else codes.clone(memory_format=asked), args[0].dtype)


@rule("_to_copy")
def _to_copy(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = options.get("dtype") or args[0].dtype
    device = options.get("device")
    if device is not None and torch.device(device).type != "cpu":
        raise NoProof(f"a tensor is moved to {device}")
    return Value(machine.convert(machine.codes(args[0]).clone(), args[0].dtype, dtype), dtype)


@writer("copy_")
def _copy(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    source = machine.codes(args[1]).expand(args[0].shape).clone()
    return machine.write(args[0], Value(source, args[1].dtype))


@rule("copy")
def _functional_copy(machine: Interpreter, args: Arguments, options: Options) -> Value:
    codes = machine.convert(machine.codes(args[1]), args[1].dtype, args[0].dtype)
    return Value(codes.expand(args[0].shape).clone(), args[0].dtype)


@writer("fill_.Scalar", "fill_.Tensor")
def _fill(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    return machine.write(args[0], Value(_filled_codes(machine, args), args[0].dtype))


def _filled_codes(machine: Interpreter, args: Arguments) -> torch.Tensor:
    if isinstance(args[1], torch.Tensor):
        source = machine.convert(machine.codes(args[1]), args[1].dtype, args[0].dtype)
        return source.expand(args[0].shape).clone()
    return machine.filled(args[0].shape, _converted(machine, _number(args[1]), args[1], args[0].dtype))


@rule("fill")
def _functional_fill(machine: Interpreter, args: Arguments, options: Options) -> Value:
    codes = _filled_codes(machine, args)
    return Value(codes, args[0].dtype)


@writer("zero_")
def _zero(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    return machine.write(args[0], Value(machine.filled(args[0].shape, ZERO), args[0].dtype))


@rule("zero")
def _functional_zero(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return Value(machine.filled(args[0].shape, ZERO), args[0].dtype)


@writer("set_.source_Tensor")
def _set(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    target, source = args
    if not isinstance(target, AbstractTensor):
        raise NoProof("a tensor made outside the optimizer's constructor and step is changed in place")
    target.data = source
    return target


@writer("detach_")
def _detach(machine: Interpreter, args: Arguments, options: Options) -> Any:
    return args[0]


@writer("resize_", "resize_as_", "set_")
def _reshaped_in_place(machine: Interpreter, args: Arguments, options: Options) -> Any:
    raise NoProof("the memory of a tensor is changed in place")


@rule("_local_scalar_dense")
def _local_scalar_dense(machine: Interpreter, args: Arguments, options: Options) -> Any:
    tensor = (
        args[0] if isinstance(args[0], AbstractTensor) else machine.wrap(Value(machine.codes(args[0]), args[0].dtype))
    )
    return tensor.item()


@rule("equal")
def _equal(machine: Interpreter, args: Arguments, options: Options) -> bool:
    if args[0].shape != args[1].shape:
        return False
    codes = machine.pointwise("eq", machine.arithmetic.eq, args[:2], dtype=promoted(args[:2]))
    return all(truth_of(element) for element in machine.elements(codes))


@rule("allclose")
def _allclose(machine: Interpreter, args: Arguments, options: Options) -> bool:
    """Both answers are tried."""
    return truth_of(Element(0.0, 1.0))


@rule("is_same_size")
def _is_same_size(machine: Interpreter, args: Arguments, options: Options) -> bool:
    return bool(args[0].shape == args[1].shape)


# --- moving: the same operation on the codes -------------------------------------------------------------------------

MOVES = (
    "flip", "roll", "repeat", "tril", "triu", "diag_embed", "rot90", "reshape_copy", "diagonal_copy", "expand_copy",
    "permute_copy", "select_copy", "slice_copy", "squeeze_copy", "transpose_copy", "unsqueeze_copy", "view_copy",
    "t_copy", "repeat_interleave.self_int", "unfold_copy", "alias_copy", "detach_copy", "pixel_shuffle",
    "channel_shuffle", "narrow_copy",
)  # fmt: skip
"""Zeros that these fill in are code 0, which stands for zero."""


def _register_move(label: str) -> None:
    name, _, overload = label.partition(".")
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or name.endswith("_"):
        return
    function = getattr(packet, overload) if overload else packet

    @rule(label)
    def move(machine: Interpreter, args: Arguments, options: Options) -> Value:
        return Value(function(machine.codes(args[0]), *args[1:], **options).clone(), args[0].dtype)


@rule("_unsafe_view")
def _unsafe_view(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return Value(machine.codes(args[0]).view(args[1]), args[0].dtype)


def _joined(machine: Interpreter, tensors: Any) -> tuple[list[torch.Tensor], torch.dtype]:
    dtype = promoted(tensors)
    return [machine.convert(machine.codes(tensor), tensor.dtype, dtype) for tensor in tensors], dtype


@rule("cat")
def _cat(machine: Interpreter, args: Arguments, options: Options) -> Value:
    codes, dtype = _joined(machine, args[0])
    return Value(torch.cat(codes, _given(args, options, 1, "dim", 0)), dtype)


@rule("stack")
def _stack(machine: Interpreter, args: Arguments, options: Options) -> Value:
    codes, dtype = _joined(machine, args[0])
    return Value(torch.stack(codes, _given(args, options, 1, "dim", 0)), dtype)


@rule("constant_pad_nd")
def _pad(machine: Interpreter, args: Arguments, options: Options) -> Value:
    if _given(args, options, 2, "value", 0) != 0:
        raise NoProof("padding by another number than 0")
    return Value(torch.constant_pad_nd(machine.codes(args[0]), args[1], 0), args[0].dtype)


# --- selecting -------------------------------------------------------------------------------------------------------


def _everything(machine: Interpreter, tensor: torch.Tensor) -> Element:
    elements = machine.elements(machine.codes(tensor))
    return any_of(elements) if elements else ZERO


def _register_selection(name: str, place: int, function: Callable[..., torch.Tensor]) -> None:
    """A selection by one tensor of indices, the argument number `place`."""

    @rule(name)
    def selection(machine: Interpreter, args: Arguments, options: Options) -> Value:
        known = known_numbers(machine, args[place])
        codes = machine.codes(args[0])
        if known is not None:
            return Value(function(codes, *args[1:place], known, *args[place + 1 :]), args[0].dtype)
        _check_places(machine, args[place], codes.numel() if name == "take" else max(codes.shape, default=1))
        shape = function(codes, *args[1:place], torch.zeros(args[place].shape, dtype=torch.int64)).shape
        return Value(machine.filled(shape, _everything(machine, args[0])), args[0].dtype)


def _known_indices(machine: Interpreter, indices: Any) -> list[torch.Tensor | None] | None:
    found: list[torch.Tensor | None] = []
    for index in indices:
        known = None if index is None else known_numbers(machine, index)
        if index is not None and known is None:
            return None
        found.append(known)
    return found


@rule("index.Tensor")
def _index(machine: Interpreter, args: Arguments, options: Options) -> Value:
    codes, indices = machine.codes(args[0]), _known_indices(machine, args[1])
    if indices is None:
        if any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
            raise NoProof("a mask of unknown truth values decides the shape of a tensor")
        for size, index in zip(codes.shape, args[1], strict=False):
            if index is not None:
                _check_places(machine, index, size)
        indices = [None if index is None else torch.zeros(index.shape, dtype=torch.int64) for index in args[1]]
        shape = torch.ops.aten.index.Tensor(codes, indices).shape
        return Value(machine.filled(shape, _everything(machine, args[0])), args[0].dtype)
    return Value(torch.ops.aten.index.Tensor(codes, indices), args[0].dtype)


@rule("index_put", "_index_put_impl", "_unsafe_index_put")
def _index_put(machine: Interpreter, args: Arguments, options: Options) -> Value:
    tensor, indices, values = args[0], args[1], args[2]
    accumulate = _given(args, options, 3, "accumulate", False)
    codes = machine.codes(tensor)
    new = machine.convert(machine.codes(values), values.dtype, tensor.dtype)
    known = _known_indices(machine, indices)
    if known is not None and not accumulate:
        return Value(torch.ops.aten.index_put.default(codes, known, new), tensor.dtype)
    if len(indices) == 1 and indices[0] is not None and indices[0].dtype is torch.bool and not accumulate:
        return _masked_put(machine, tensor, indices[0], new)
    for size, index in zip(codes.shape, indices, strict=False):
        if index is not None:
            _check_places(machine, index, size)
    form = form_of(tensor.dtype)
    spread = anything(form) if accumulate else _everything(machine, machine.wrap(Value(new, tensor.dtype)))
    mixed = machine.apply(("or", spread), lambda element: join(element, spread), [codes])
    return Value(mixed, tensor.dtype)


def _masked_put(machine: Interpreter, tensor: torch.Tensor, mask: torch.Tensor, new: torch.Tensor) -> Value:
    if new.numel() != 1:
        raise NoProof("several numbers are written through a mask of unknown truth values")
    chosen = machine.codes(mask)
    chosen = chosen.reshape(*chosen.shape, *(1 for _ in range(tensor.dim() - mask.dim()))).expand(tensor.shape)
    form = form_of(tensor.dtype)
    codes = machine.apply(
        None,
        lambda element, x, y: machine.arithmetic.where(form, element, x, y),
        [chosen, new.reshape(()), machine.codes(tensor)],
    )
    return Value(codes, tensor.dtype)


def _register_scatter(label: str, place: int, name: str, index: int | None) -> None:
    """Some elements are replaced by some of the new ones, which are the argument `place` or `name`."""

    @rule(label)
    def scatter(machine: Interpreter, args: Arguments, options: Options) -> Value:
        tensor, source = args[0], _given(args, options, place, name, None)
        if index is not None:
            _check_places(machine, args[index], max(tensor.shape, default=1))
        if isinstance(source, torch.Tensor):
            new = _everything(machine, source)
            new = machine.arithmetic.cast(form_of(source.dtype), form_of(tensor.dtype), new)
        else:
            new = _converted(machine, _number(source), source, tensor.dtype)
        mixed = machine.apply(("or", new), lambda element: join(element, new), [machine.codes(tensor)])
        return Value(mixed, tensor.dtype)


def _check_places(machine: Interpreter, index: torch.Tensor, size: int) -> None:
    """An index out of range is an error, which the optimizer might catch: it must be excluded."""
    if index.dtype in (torch.bool, torch.uint8) or not isinstance(index, AbstractTensor):
        return
    for element in machine.elements(machine.codes(index)):
        if not -size <= element.lo <= element.hi < size:
            raise NoProof("an unknown index may be out of range")


# --- random draws ----------------------------------------------------------------------------------------------------


def _drawn(machine: Interpreter, tensor: torch.Tensor, element: Element) -> torch.Tensor:
    return machine.write(tensor, Value(machine.filled(tensor.shape, element), tensor.dtype))


@writer("uniform_")
def _uniform(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    low, high = (_number(_given(args, options, 1 + i, name, i)) for i, name in enumerate(("from", "to")))
    return _drawn(machine, args[0], Element(low.lo, high.hi))


@writer("normal_")
def _normal(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    """Finite, for finite mean and deviation."""
    form = form_of(args[0].dtype)
    numbers = [_number(_given(args, options, 1 + i, name, i)) for i, name in enumerate(("mean", "std"))]
    return _drawn(machine, args[0], (real if all(number.is_constant for number in numbers) else anything)(form))


@writer("exponential_", "log_normal_", "cauchy_", "geometric_", "random_")
def _other_draw(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    return _drawn(machine, args[0], anything(form_of(args[0].dtype)))


def _check_probability(elements: Iterable[Element]) -> None:
    if any(element.nan or element.lo < 0 or element.hi > 1 for element in elements):
        raise NoProof("a random draw with a probability that may be outside [0, 1]")


@writer("bernoulli_.float", "bernoulli_.Tensor")
def _bernoulli_in_place(machine: Interpreter, args: Arguments, options: Options) -> torch.Tensor:
    chance = _given(args, options, 1, "p", 0.5)
    tensor = isinstance(chance, torch.Tensor)
    _check_probability(machine.elements(machine.codes(chance)) if tensor else [_number(chance)])
    return _drawn(machine, args[0], Element(0.0, 1.0))


@rule("bernoulli")
def _bernoulli(machine: Interpreter, args: Arguments, options: Options) -> Value:
    _check_probability(machine.elements(machine.codes(args[0])))
    return _shaped(machine, args[0], None, {}, Element(0.0, 1.0))


@rule("rand", "rand_like")
def _rand(machine: Interpreter, args: Arguments, options: Options) -> Value:
    like = args[0] if isinstance(args[0], torch.Tensor) else None
    return _shaped(machine, like, None if like is not None else args[0], options, Element(0.0, 1.0))


@rule("randn", "randn_like")
def _randn(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """Torch's normal draws are finite."""
    like = args[0] if isinstance(args[0], torch.Tensor) else None
    element = real(form_of(_dtype(options, like)))
    return _shaped(machine, like, None if like is not None else args[0], options, element)


@rule("randint.low", "randint.default", "randint_like.low_dtype", "randint_like")
def _randint(machine: Interpreter, args: Arguments, options: Options) -> Value:
    like = args[0] if isinstance(args[0], torch.Tensor) else None
    rest = list(args[1:] if like is not None else args)
    size = None if like is not None else rest.pop()
    low, high = (rest[0], rest[1]) if len(rest) > 1 else (0, rest[0])
    ends = _number(low), _number(high)
    given = {"dtype": torch.int64} if like is None else {}
    return _shaped(machine, like, size, given | {k: v for k, v in options.items() if v is not None},
                   Element(ends[0].lo, max(ends[1].hi - 1, ends[0].lo)))  # fmt: skip


@rule("randperm")
def _randperm(machine: Interpreter, args: Arguments, options: Options) -> Value:
    size = int(args[0])
    dtype = options.get("dtype") or torch.int64
    return Value(machine.filled((size,), Element(0.0, float(max(size - 1, 0)))), dtype)


# --- _foreach_* operations that are no rule tensor by tensor ---------------------------------------------------------


def _each_copy(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return Value(machine.codes(args[1]).expand(args[0].shape).clone(), args[1].dtype)


def _each_norm(machine: Interpreter, args: Arguments, options: Options) -> Any:
    order = _given(args, options, 1, "ord", 2)
    return RULES["linalg_vector_norm"](machine, (args[0], order), {"dtype": options.get("dtype")})


def _each_max(machine: Interpreter, args: Arguments, options: Options) -> Any:
    return RULES["max.default"](machine, args, options)


EACH["foreach_copy"] = _each_copy
EACH["foreach_norm"] = _each_norm
EACH["foreach_max"] = _each_max
EACH["foreach_zero"] = _functional_zero

_register_filled("zeros", ZERO)
_register_filled("ones", ONE)
_register_filled("empty", None)
for _label in MOVES:
    _register_move(_label)
_register_selection("index_select", 2, torch.index_select)
_register_selection("gather", 2, torch.gather)
_register_selection("take", 1, torch.take)
for _label, _place, _name, _where in (
    ("scatter.src", 3, "src", 2),
    ("scatter.value", 3, "value", 2),
    ("index_copy", 3, "source", 2),
    ("index_fill.int_Scalar", 3, "value", 2),
    ("slice_scatter", 1, "src", None),
    ("select_scatter", 1, "src", None),
):
    _register_scatter(_label, _place, _name, _where)
