"""Tensors of abstract values.

An `AbstractTensor` has the shape, strides and dtype of the tensor it stands for, and no data. Its `codes` are a tensor
of whole numbers, one for each element (`element.element_of`). Views of an abstract tensor get views of its codes, so
that a write through a view reaches every tensor that shares the memory, as it does in the program.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch.utils._python_dispatch import _disable_current_modes as outside_modes

from verify.optimizers.code_proof.conditions import Comparison, comparison_of, facts_of
from verify.optimizers.code_proof.element import (
    TOP,
    Element,
    element_of,
    format_of,
    fresh_key,
    identifier_of,
    key_of_element,
)
from verify.optimizers.code_proof.paths import current_path
from verify.optimizers.code_proof.plain import max, min
from verify.optimizers.code_proof.refusal import ImpossiblePath, NoProof
from verify.optimizers.code_proof.scalars import ScalarNode, number_element, to_number

__all__ = ["AbstractTensor", "GraphGradient", "narrowed", "outside_modes", "truth_of"]


def narrowed(element: Element) -> Element:
    """The element, with what the current path says of its number."""
    key = element.key
    if key is None:
        return element
    known = current_path().known.get(key)
    if known is None:
        return element
    lo, hi, nan = max(element.lo, known[0]), min(element.hi, known[1]), element.nan and known[2]
    if lo <= hi:
        return Element(lo, hi, nan, element.link, key)
    if not nan:
        raise ImpossiblePath
    return TOP


def truth_of(element: Element) -> bool:
    """Whether the number counts as true: answered by the current path if both are possible."""
    element = narrowed(element)
    if not element.may_be_zero:
        return True
    if element.is_zero:
        return False
    asked = comparison_of(element)
    if asked is not None:
        return _answer(asked)
    path = current_path()
    key = element.key if element.key is not None else fresh_key()
    answer = path.choose(2, ("true", key)) == 0
    if answer and element.lo == 0 and element.hi == 1:
        path.narrow(key, 1, 1, False)
    elif not answer:
        path.narrow(key, 0, 0, False)
    for other, (lo, hi, nan) in facts_of(element, answer).items():
        path.narrow(other, lo, hi, nan)
    return answer


def _answer(comparison: Comparison) -> bool:
    """Ask the current path, which narrows both numbers."""
    numbers = []
    for element in (comparison.first, comparison.second):
        key = key_of_element(element)
        numbers.append(to_abstract(narrowed(element), comparison.whole, fresh_key() if key is None else key))
    return bool(getattr(operator, comparison.name)(*numbers))


def to_abstract(element: Element, whole: bool, key: int) -> Any:
    """The element as a Python number."""
    if whole:
        return to_number(ScalarNode(True, int(element.lo), int(element.hi), False, key))
    return to_number(ScalarNode(False, element.lo, element.hi, element.nan, key))


@dataclass(frozen=True)
class Address:
    """Stands for a memory address: equal for equal places."""

    memory: int
    offset: int


class AbstractTensor(torch.Tensor):
    """A tensor of abstract values; see the module. outside: a view of a tensor made elsewhere, not to be written."""

    codes: torch.Tensor
    outside: bool
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, codes: torch.Tensor, dtype: torch.dtype, requires_grad: bool = False) -> AbstractTensor:
        """Wrap codes. Fails: NoProof for complex and quantized numbers."""
        if format_of(dtype) is None:
            raise NoProof(f"a tensor of {dtype} is not interpreted")
        made: AbstractTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            codes.size(),
            strides=codes.stride(),
            storage_offset=codes.storage_offset(),
            dtype=dtype,
            device=torch.device("cpu"),
            requires_grad=requires_grad,
        )
        made.codes = codes
        made.outside = False
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise NoProof(f"{func} meets an abstract tensor outside the interpreter")

    def single(self) -> Element:
        """The only element."""
        if self.numel() != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        with outside_modes():
            return narrowed(element_of(int(self.codes.reshape(-1).tolist()[0])))

    def item(self) -> Any:
        """The element as a Python number, abstract unless it is known."""
        element = self.single()
        if self.dtype is torch.bool:
            return truth_of(element)
        key = key_of_element(element)
        return to_abstract(element, not self.dtype.is_floating_point, fresh_key() if key is None else key)

    def __bool__(self) -> bool:
        return truth_of(self.single())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return int(self.item().__index__())

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        if self.dim() == 0:
            return self.item()
        return [part.tolist() for part in self.unbind(0)]

    def _get_data(self) -> torch.Tensor:
        return self.detach()

    def _set_data(self, value: torch.Tensor) -> None:
        if not isinstance(value, AbstractTensor) or value.shape != self.shape or value.dtype != self.dtype:
            raise NoProof("`.data` is replaced by a tensor of another kind, shape or dtype")
        if value.stride() != self.stride():
            raise NoProof("`.data` is replaced by a tensor with other strides")
        self.codes, self.outside = value.codes, value.outside

    data = property(_get_data, _set_data)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise NoProof("the numbers of a tensor leave torch (numpy, text, pickle or a raw pointer)")

    def data_ptr(self) -> Any:
        """Where the memory begins, as something that can be compared but is no number."""
        return Address(self.codes.untyped_storage()._cdata, int(self.codes.storage_offset()))

    @property
    def _version(self) -> int:  # type: ignore[override]
        raise NoProof("the version of a tensor counts steps, and is not followed")

    numpy = __array__ = __reduce_ex__ = storage = untyped_storage = _refuse
    __format__ = _refuse

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        raise NoProof("a tensor is written out as text")

    def __deepcopy__(self, memo: dict[int, object]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        storage = self.codes.untyped_storage()
        if storage.nbytes() != 8 * self.codes.numel() or -storage._cdata in memo:
            raise NoProof("tensors that share memory are copied deeply")
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        own = {key: value for key, value in self.__dict__.items() if key not in ("codes", "outside")}
        copied.__dict__.update(own)
        memo[id(self)] = memo[-storage._cdata] = copied
        return copied


class GraphGradient(AbstractTensor):
    """A gradient through which one can differentiate again, as `backward(create_graph=True)` leaves it."""

    def _unknown_graph(self) -> NoReturn:
        raise NoProof("the graph behind a gradient is looked at")

    grad_fn = is_leaf = property(_unknown_graph)


def constant_identifier(value: object) -> int:
    """The code of a plain Python number."""
    element = number_element(value)
    if element is None:
        raise NoProof(f"{type(value).__name__} is no number")
    return identifier_of(element)
