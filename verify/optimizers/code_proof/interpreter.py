"""Runs torch code on abstract tensors: every aten operation is answered by a rule, or by "anything", or refused.

The order of attack for an operation: a rule of its own; for an in-place or `out=` variant, the rule of the functional
one, then a write; for a view, the same view of the codes; for `_foreach_*`, the rule tensor by tensor; for a composite
operation, its parts. What remains and changes nothing in place gives results of which nothing is known; what remains
and writes makes everything it writes unknown. Nothing is ever run on numbers that the program does not know itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from verify.optimizers.code_proof.arithmetic import Arithmetic, Definition
from verify.optimizers.code_proof.conditions import Combination, Comparison, condition_of, recall
from verify.optimizers.code_proof.element import (
    Element,
    Format,
    any_of,
    anything,
    constant,
    element_of,
    format_of,
    fresh_key,
    identifier_of,
    real,
)
from verify.optimizers.code_proof.paths import current_path
from verify.optimizers.code_proof.refusal import Failure, NoProof, source_line
from verify.optimizers.code_proof.scalars import number_element
from verify.optimizers.code_proof.tensor import AbstractTensor, narrowed

__all__ = ["RULES", "Interpreter", "Value", "form_of", "rule"]


@dataclass(frozen=True)
class Value:
    """What a rule returns for one result: codes and the dtype in which they were computed."""

    codes: torch.Tensor
    dtype: torch.dtype


@dataclass(frozen=True)
class Remembered:
    """A result, how it was computed, and the condition it is named after."""

    code: int
    definition: Definition | None
    condition: Comparison | Combination | None


Rule = Callable[["Interpreter", tuple[Any, ...], dict[str, Any]], Any]
RULES: dict[str, Rule] = {}
WRITES: dict[str, Rule] = {}
"""Rules of operations that change their first argument themselves; they return it."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule of functional operations; a name may carry an overload."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def writer(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule of in-place operations that the functional rule does not cover."""

    def register(function: Rule) -> Rule:
        WRITES.update(dict.fromkeys(names, function))
        return function

    return register


def form_of(dtype: torch.dtype) -> Format:
    """The number format of a dtype. Fails: NoProof for complex and quantized numbers."""
    form = format_of(dtype)
    if form is None:
        raise NoProof(f"a tensor of {dtype} is not interpreted")
    return form


# Operations whose results are finite for finite arguments, though nothing else is said about them.
FINITE = frozenset({"linalg_eigh", "_linalg_eigh", "linalg_qr", "_linalg_svd", "linalg_svd", "geqrf", "orgqr",
                    "linalg_householder_product", "triu_indices"})  # fmt: skip


# Views whose elements are not elements of the base.
OTHER_VIEWS = frozenset(
    {"view_as_real", "view_as_complex", "real", "imag", "_conj", "_neg_view", "conj", "resolve_conj"}
)
# Their schemas do not tell that they write.
DISHONEST = ("batch_norm", "rnn", "lstm", "gru", "cudnn", "miopen")
# What can fail for some numbers: the failure is tried as well, for the code may catch it.
FAILING = ("linalg_eig", "_linalg_eig", "linalg_svd", "_linalg_svd", "_linalg_check_errors", "linalg_lstsq",
           "linalg_inv", "_linalg_solve", "linalg_cholesky", "cholesky", "inverse", "linalg_ldl", "linalg_lu",
           "linalg_solve", "linalg_householder", "linalg_matrix_exp", "linalg_pinv", "multinomial")  # fmt: skip


class Interpreter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The dispatch mode under which an optimizer is run.

    operations: names of all aten operations met. notes: what was given up, with the source line, for reports.
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.arithmetic = arithmetic
        self.operations: set[str] = set()
        self.memory: dict[object, Remembered] = {}
        self.products: dict[object, int] = {}
        self.lost = ""
        self.current = ""
        self._kept: Callable[[], bool] | None = None

    def guard(self, kept: Callable[[], bool]) -> None:
        """Remember in `lost` the first operation after which `kept` no longer holds."""
        self.lost, self._kept = "", kept

    # --- reading and writing -----------------------------------------------------------------------------------------

    def codes(self, tensor: torch.Tensor) -> torch.Tensor:
        """The codes of a tensor; a tensor made outside the interpreter has the numbers that it has."""
        if isinstance(tensor, AbstractTensor):
            return tensor.codes
        form_of(tensor.dtype)
        listed = [identifier_of(constant(float(number))) for number in tensor.detach().reshape(-1).tolist()]
        return torch.tensor(listed, dtype=torch.int64).reshape(tensor.shape)

    def elements(self, codes: torch.Tensor) -> list[Element]:
        """The elements, in order, narrowed by what the current path knows."""
        found = [element_of(code) for code in codes.reshape(-1).tolist()]
        return [narrowed(element) for element in found] if current_path().known else found

    @staticmethod
    def path_knows() -> bool:
        """Whether answers on the current path narrow any number, so that results must not be remembered."""
        return bool(current_path().known)

    def wrap(self, value: Value) -> AbstractTensor:
        """An abstract tensor with these codes."""
        return AbstractTensor(self.named(value.codes), value.dtype)

    def named(self, codes: torch.Tensor) -> torch.Tensor:
        """Give a single unknown number a key, so that what a branch says of it is remembered."""
        if codes.dim() == 0:
            element = element_of(int(codes))
            if not element.is_constant and element.key is None and element.link is None:
                named = Element(element.lo, element.hi, element.nan, None, fresh_key())
                codes.fill_(identifier_of(named))
        return codes

    def filled(self, shape: Sequence[int], element: Element) -> torch.Tensor:
        """Codes that are the same everywhere."""
        return torch.full(tuple(shape), identifier_of(element), dtype=torch.int64)

    def from_elements(self, elements: Iterable[Element], shape: Sequence[int]) -> torch.Tensor:
        """Codes of listed elements."""
        listed = [identifier_of(element) for element in elements]
        return torch.tensor(listed, dtype=torch.int64).reshape(tuple(shape))

    def convert(self, codes: torch.Tensor, source: torch.dtype, target: torch.dtype) -> torch.Tensor:
        """Codes after a conversion between dtypes."""
        if source == target:
            return codes
        before, after = form_of(source), form_of(target)
        return self.apply(("cast", source, target), lambda x: self.arithmetic.cast(before, after, x), [codes])

    def apply(self, name: object, function: Callable[..., Element], operands: Sequence[torch.Tensor]) -> torch.Tensor:
        """Apply a rule element by element to codes, which are broadcast against each other.

        name: results are remembered under it, for equal codes; None for rules that use more than their operands.
        """
        shaped = _broadcast(operands)
        lists = [codes.reshape(-1).tolist() for codes in shaped]
        narrow = bool(current_path().known)
        results = []
        for codes in zip(*lists, strict=True):
            if narrow:
                codes = tuple(identifier_of(narrowed(element_of(code))) for code in codes)
            known = None if name is None else self.memory.get((name, codes))
            if known is None:
                found = identifier_of(function(*(element_of(code) for code in codes)))
                if name is not None:
                    self.memory[name, codes] = self._with_origin(found)
            else:
                found = self._again(known, codes)
            results.append(found)
        like = next((codes for codes in operands if codes.shape == shaped[0].shape), shaped[0])
        made = torch.empty_like(like, dtype=torch.int64)
        made.copy_(torch.tensor(results, dtype=torch.int64).reshape(shaped[0].shape))
        return made

    def _with_origin(self, found: int) -> Remembered:
        key = element_of(found).key
        if key is None:
            return Remembered(found, None, None)
        return Remembered(found, self.arithmetic.definitions.get(key), condition_of(key))

    def _again(self, known: Remembered, operands: tuple[int, ...]) -> int:
        """A remembered result, with its origin as it was for these operands: the last one may have been another.

        A result whose name was made for it gets another name: elsewhere its last bits may differ.
        """
        element = element_of(known.code)
        key = element.key
        if key is None or any(element_of(code).key == key for code in operands):
            return known.code  # nothing is made here, or an operand is handed on with the origin that it has
        made = key < 0
        key = fresh_key() if made else key
        if known.definition is not None:
            self.arithmetic.definitions[key] = known.definition
        if known.condition is not None:
            recall(key, known.condition)
        return identifier_of(Element(element.lo, element.hi, element.nan, element.link, key)) if made else known.code

    def write(self, target: torch.Tensor, value: Value) -> torch.Tensor:
        """Write into a tensor (and so into everything that shares its memory)."""
        if not isinstance(target, AbstractTensor) or target.outside:
            raise NoProof("a tensor made outside the optimizer's constructor and step is changed in place")
        target.codes.copy_(self.named(self.convert(value.codes, value.dtype, target.dtype).clone()))
        if not self.lost and self._kept is not None and not self._kept():
            self.lost = f"{self.current} at {source_line()}"
        return target

    def operand(self, argument: Any, form: Format) -> tuple[torch.Tensor, torch.dtype | None]:
        """The codes of a tensor or number; the dtype of a number is None."""
        if isinstance(argument, torch.Tensor):
            return self.codes(argument), argument.dtype
        element = number_element(argument)
        if element is None:
            raise NoProof(f"an argument of type {type(argument).__name__} is not interpreted")
        return self.filled((), self.arithmetic.operand(form, element)), None

    def pointwise(
        self, name: object, function: Callable[..., Element], arguments: Sequence[Any], *, dtype: torch.dtype
    ) -> torch.Tensor:
        """Apply a rule element by element to tensors and numbers, computed in `dtype`."""
        form = form_of(dtype)
        operands = []
        for argument in arguments:
            codes, source = self.operand(argument, form)
            operands.append(codes if source is None else self.convert(codes, source, dtype))
        return self.apply((name, dtype), lambda *elements: function(form, *elements), operands)

    # --- dispatch ----------------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer one operation. Watching the Python code pauses meanwhile: this is no code of the optimizer.

        An error gives no proof: torch itself might not make it, and the optimizer might catch it.
        """
        watching = sys.getprofile()
        sys.setprofile(None)
        try:
            return self._answer(func, args, kwargs)
        except Failure:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines()
            raise NoProof(f"{func} raises {type(error).__name__}{f': {lines[0]}' if lines else ''}") from error
        finally:
            sys.setprofile(watching)

    def _answer(self, func: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        kwargs = {} if kwargs is None else dict(kwargs)
        namespace, _, name = func._schema.name.partition("::")
        if namespace == "profiler":
            return func(*args, **kwargs)
        overload = f"{name}.{func._overloadname}"
        self.current = f"{namespace}.{overload.removesuffix('.default')}"
        self.operations.add(self.current)
        if namespace not in ("aten", "prims"):
            raise NoProof(f"{func} is no operation of torch itself")
        if namespace == "prims":
            return self._unknown(func, args, kwargs)
        if name.startswith("_foreach_"):
            return self._each(name, func, args, kwargs)
        for label in (overload, name):
            if label in WRITES:
                return WRITES[label](self, args, kwargs)
            if label in RULES:
                return self._wrapped(RULES[label](self, args, kwargs), func, args, kwargs)
        return self._in_place(func, name, overload, args, kwargs)

    def _in_place(self, func: Any, name: str, overload: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        base = overload.replace(f"{name}.", f"{name[:-1]}.", 1)
        if name.endswith("_") and not name.endswith("__"):
            for label in (base, name[:-1]):
                if label in RULES:
                    return self.write(args[0], RULES[label](self, args, kwargs))
        if torch.Tag.inplace_view in func.tags:
            raise NoProof(f"{func} changes the shape of a tensor in place")
        if _is_view(func):
            return self._view(func, args, kwargs)
        with self:
            decomposed = func.decompose(*args, **kwargs)
        return self._unknown(func, args, kwargs) if decomposed is NotImplemented else decomposed

    def _laid_out(self, result: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result in the memory layout that torch gives it: it decides what later is a view and what a copy.

        Results of contiguous tensors are contiguous; other layouts are asked of torch.
        """
        values = [part for part in _listed(result) if isinstance(part, Value)]
        tensors = [*(value.codes for value in values), *_tensors((args, kwargs))]
        if not values or all(tensor.is_contiguous() for tensor in tensors):
            return result
        shapes = iter(_tensors(self._shapes(func, args, kwargs)))
        laid = [_as_laid_out(part, next(shapes)) if isinstance(part, Value) else part for part in _listed(result)]
        return type(result)(laid) if isinstance(result, list | tuple) else laid[0]

    def _wrapped(self, result: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outputs = [argument.name for argument in func._schema.arguments if argument.is_out]
        if outputs:
            return self._written_out([kwargs[name] for name in outputs if name in kwargs], result)
        result = self._laid_out(result, func, args, kwargs)
        if isinstance(result, Value):
            return self.wrap(result)
        if isinstance(result, list | tuple):
            return type(result)(self.wrap(part) if isinstance(part, Value) else part for part in result)
        return result

    def _written_out(self, outputs: list[torch.Tensor], result: Any) -> Any:
        values = [result] if isinstance(result, Value) else list(result)
        for output, value in zip(outputs, values, strict=True):
            if tuple(output.shape) != tuple(value.codes.shape):
                raise NoProof("an `out=` tensor of another shape")
            self.write(output, value)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _view(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        base = args[0]
        if self.current.partition(".")[2].partition(".")[0] in OTHER_VIEWS or any(
            isinstance(argument, torch.dtype) for argument in args
        ):
            raise NoProof(f"{self.current} reads the same memory as other numbers")
        codes = self.codes(base)
        views = func(codes, *(_plain(argument) for argument in args[1:]), **kwargs)
        made = [AbstractTensor(view, base.dtype) for view in ([views] if isinstance(views, torch.Tensor) else views)]
        for view in made:
            view.outside = not isinstance(base, AbstractTensor) or base.outside
        return made[0] if isinstance(views, torch.Tensor) else made

    def _each(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`_foreach_*`: the operation tensor by tensor."""
        in_place = name.endswith("_")
        base = name.removeprefix("_foreach_").removesuffix("_")
        if f"foreach_{base}" not in EACH and base not in RULES:
            return self._unknown(func, args, kwargs)
        tensors = args[0]
        results = []
        for index in range(len(tensors)):
            parts, options = _slice(func, args, kwargs, index)
            value = EACH.get(f"foreach_{base}", RULES.get(base))(self, parts, options)  # type: ignore[misc]
            results.append(self.write(tensors[index], value) if in_place else value)
        return None if in_place else self._wrapped(results, func, args, kwargs)

    # --- what no rule covers -----------------------------------------------------------------------------------------

    def _unknown(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        schema = func._schema
        label = schema.name.partition("::")[2]
        if any(part in label for part in DISHONEST):
            raise NoProof(f"{func} is not interpreted")
        if label.startswith(FAILING) and current_path().choose(2, ("fails", fresh_key())) == 1:
            raise Failure(f"{label} failed")
        written: list[Any] = []
        for position, argument in enumerate(schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[position] if position < len(args) else kwargs.get(argument.name)
                written.extend(value if isinstance(value, list | tuple) else [value])
        if any(result.alias_info is not None and not result.alias_info.is_write for result in schema.returns):
            raise NoProof(f"{func} gives a view that is not interpreted")
        name = schema.name.partition("::")[2]
        finite = name in FINITE and all(
            element.is_finite for tensor in _tensors((args, kwargs)) for element in self.elements(self.codes(tensor))
        )
        for tensor in written:
            if isinstance(tensor, torch.Tensor):
                form = form_of(tensor.dtype)
                self.write(tensor, Value(self.filled(tensor.shape, anything(form)), tensor.dtype))
        if written:
            return _same_outputs(func, args, kwargs)
        if not _tensors((args, kwargs)) and torch.Tag.nondeterministic_seeded not in func.tags:
            made = func(*args, **kwargs)  # a table of known numbers, such as arange
            return self.wrap(Value(self.codes(made), made.dtype)) if isinstance(made, torch.Tensor) else made
        return self._anything_like(self._shapes(func, args, kwargs), func, finite)

    def _anything_like(self, shapes: Any, func: Any, finite: bool) -> Any:
        if isinstance(shapes, torch.Tensor):
            form = form_of(shapes.dtype)
            value = Value(self.filled(shapes.shape, (real if finite else anything)(form)), shapes.dtype)
            return self.wrap(_as_laid_out(value, shapes))
        if isinstance(shapes, list | tuple):
            parts = [self._anything_like(part, func, finite) for part in shapes]
            return parts if isinstance(shapes, list) else tuple(parts)
        if shapes is None:
            return None
        raise NoProof(f"{func} gives a Python value that is not interpreted")

    def _shapes(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The shapes and dtypes of the results, from torch's own shape computation."""
        try:
            return func(
                *_on_meta(args), **({**_on_meta(kwargs), "device": "meta"} if "device" in kwargs else _on_meta(kwargs))
            )
        except NoProof:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise NoProof(f"{func} is not interpreted ({reason[0] if reason else type(error).__name__})") from error


EACH: dict[str, Rule] = {}


def _broadcast(operands: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if all(codes.shape == operands[0].shape for codes in operands):
        return list(operands)
    return list(torch.broadcast_tensors(*operands))  # type: ignore[no-untyped-call]


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def _as_laid_out(value: Value, like: torch.Tensor) -> Value:
    codes = value.codes
    if tuple(codes.shape) != tuple(like.shape):
        raise NoProof(f"a result of shape {tuple(codes.shape)} where torch gives {tuple(like.shape)}")
    if codes.stride() == like.stride():
        return value
    made = torch.empty_strided(like.shape, like.stride(), dtype=torch.int64)
    return Value(made.copy_(codes), value.dtype)


def _slice(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], index: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a `_foreach_*` operation for one tensor."""
    lists = {
        argument.name
        for argument in func._schema.arguments
        if "[]" in str(argument.type) or "List" in str(argument.type)
    }
    names = [argument.name for argument in func._schema.arguments]
    parts = tuple(
        value[index] if names[position] in lists and isinstance(value, list | tuple) else value
        for position, value in enumerate(args)
    )
    options = {
        name: value[index] if name in lists and isinstance(value, list | tuple) else value
        for name, value in kwargs.items()
    }
    return parts, options


def _is_view(func: Any) -> bool:
    returns, arguments = func._schema.returns, func._schema.arguments
    if any(argument.alias_info is not None and argument.alias_info.is_write for argument in arguments):
        return False
    return bool(returns) and all(result.alias_info is not None for result in returns)


def _plain(argument: Any) -> Any:
    """Numbers that choose a view must be known."""
    node = getattr(argument, "node", None)
    if isinstance(argument, torch.SymInt) and node is not None:
        element = number_element(argument)
        if element is None or not element.is_constant:
            raise NoProof("an unknown number chooses a view or a shape")
        return int(element.lo)
    return argument


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [tensor for part in tree for tensor in _tensors(part)]
    return []


def _on_meta(tree: Any) -> Any:
    """The same arguments with shapes only; unknown numbers become 1."""
    if isinstance(tree, torch.Tensor):
        return torch.empty_strided(tree.size(), tree.stride(), dtype=tree.dtype, device="meta")
    if isinstance(tree, dict):
        return {key: _on_meta(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_on_meta(part) for part in tree) if not isinstance(tree, torch.Size) else tree
    if isinstance(tree, torch.SymFloat):
        return 1.0
    if isinstance(tree, torch.SymInt):
        return 1
    return tree


def _same_outputs(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The results of an operation that returns the tensors it writes."""
    returns = func._schema.returns
    if not returns:
        return None
    found = []
    for result in returns:
        if result.alias_info is None or not result.alias_info.is_write:
            raise NoProof(f"{func} writes and returns something else")
        for position, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.before_set & result.alias_info.before_set:
                found.append(args[position] if position < len(args) else kwargs[argument.name])
    return found[0] if len(returns) == 1 else tuple(found)


def known_numbers(interpreter: Interpreter, tensor: torch.Tensor) -> torch.Tensor | None:
    """The tensor itself if all of its numbers are known, else None."""
    elements = interpreter.elements(interpreter.codes(tensor))
    if not all(element.is_constant for element in elements):
        return None
    numbers = torch.tensor([element.lo for element in elements], dtype=torch.float64)
    return numbers.reshape(tensor.shape).to(tensor.dtype)


def hull(elements: Iterable[Element]) -> Element:
    """The join of elements, without links if they differ."""
    return any_of(elements)
