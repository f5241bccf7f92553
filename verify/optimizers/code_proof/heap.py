"""Everything that an optimizer can remember from one step to the next, found by following references.

`survey` walks from the roots (optimizer, parameters, what the user runs around a step) through attributes, containers,
closures, bound methods, class attributes and the module globals of the code that ran. It returns a `Survey`: the
structure (what refers to what, with all values that must stay as they are), the *slots* (numbers and memory of
tensors, which may change from step to step), and how to put everything back.

Fails: NoProof for an object whose contents cannot be seen (an iterator, a file, a foreign extension type).
"""

from __future__ import annotations

import enum
import functools
import logging
import math
import re
import sys
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from verify.optimizers.code_proof.element import (
    Element,
    Multiple,
    element_of,
    format_of,
    fresh_key,
    identifier_of,
    join,
    key_of,
    key_of_element,
    key_of_factor,
    widened,
)
from verify.optimizers.code_proof.plain import max, min
from verify.optimizers.code_proof.refusal import NoProof
from verify.optimizers.code_proof.scalars import LARGEST_COUNT, ScalarNode, to_number
from verify.optimizers.code_proof.tensor import AbstractTensor, narrowed
from verify.optimizers.code_proof.watch import is_constant_package

__all__ = ["Contents", "Survey", "names_included", "names_joined", "survey"]

_ATOMS = (
    str, bytes, type(None), bool, complex, torch.dtype, torch.device, torch.Size, torch.memory_format, torch.layout,
    types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.ModuleType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.MethodWrapperType, re.Pattern, enum.Enum,
    logging.Logger, range, slice, type(Ellipsis), type(NotImplemented), torch.Generator,
    types.GenericAlias, types.UnionType, types.CodeType, types.ClassMethodDescriptorType,
    type(threading.Lock()), type(threading.RLock()), torch._ops.OpOverload, torch._ops.OpOverloadPacket,
)  # fmt: skip


# The flag by which Python marks classes that are not made by a class statement.
IMMUTABLE_TYPE = 1 << 8
_OWN = ("codes", "outside")
# Attributes of classes that say how they are made, and do not change.
_OF_EVERY_CLASS = frozenset({
    "__module__", "__qualname__", "__name__", "__doc__", "__dict__", "__weakref__", "__slots__", "__annotations__",
    "__parameters__", "__orig_bases__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__",
    "__dataclass_params__", "__match_args__", "__firstlineno__", "__static_attributes__", "__mro__", "__bases__",
    "__hash__",
})  # fmt: skip


@dataclass(frozen=True)
class Contents:
    """What a slot holds: a number with its range, or the elements of a tensor's memory.

    ends: the least and the greatest finite number that the slot can hold.
    """

    ends: tuple[float, float]
    elements: tuple[Element, ...]
    range: tuple[float, float, bool] | None = None

    def includes(self, other: Contents) -> bool:
        """Whether everything that the other may hold is allowed here."""
        if self.range is not None and other.range is not None:
            (a, b, nan), (c, d, other_nan) = self.range, other.range
            return a <= c and d <= b and (nan or not other_nan)
        return all(mine.includes(their) for mine, their in zip(self.elements, other.elements, strict=True))

    def joined(self, other: Contents, *, widen: bool) -> Contents:
        """Both, or more: widened so that repetition comes to an end."""

        def merge(mine: Element, their: Element) -> Element:
            return widened(mine, their, self.ends) if widen else join(mine, their)

        if self.range is not None and other.range is not None:
            both = merge(Element(*self.range), Element(*other.range))
            return Contents(self.ends, (), (both.lo, both.hi, both.nan))
        pairs = zip(self.elements, other.elements, strict=True)
        return Contents(self.ends, tuple(merge(mine, their) for mine, their in pairs))

    @property
    def is_constant(self) -> bool:
        """Whether a single number is known."""
        if self.range is not None:
            return self.range[0] == self.range[1] and not self.range[2]
        return len(self.elements) == 1 and self.elements[0].is_constant


@dataclass
class Slot:
    """A place that may hold another number after a step. key: equal keys mean equal numbers."""

    name: str
    contents: Contents
    key: Hashable
    put: Callable[[Contents, str | None], None]


@dataclass
class Survey:
    """The result of a walk. structure: equal structures have corresponding slots."""

    structure: tuple[Hashable, ...]
    slots: list[Slot]
    restorers: list[Callable[[], None]]

    def restore(self) -> None:
        """Put every object back as it was at the time of the survey."""
        for restorer in self.restorers:
            restorer()

    def partition(self) -> tuple[int, ...]:
        """For each slot, the first slot that certainly holds the same number."""
        first: dict[Hashable, int] = {}
        return tuple(
            first.setdefault(slot.key if slot.key is not None else ("alone", index), index)
            for index, slot in enumerate(self.slots)
        )


def survey(
    roots: Iterable[tuple[str, Any]],
    modules: Iterable[tuple[dict[str, Any], set[str]]],
    relink: Callable[[Multiple], Multiple | None],
    trial: int,
) -> Survey:
    """Walk from named roots, and from the named globals of the given modules.

    relink: what a multiple becomes with the step, as a multiple of the value from which the next step starts.
    trial: its number; names of factors mean something within one trial only.
    """
    walker = _Walker(relink)
    for name, root in roots:
        walker.visit(root, name, None)
    for module, names in modules:
        walker.visit_globals(module, sorted(names))
    _tell_apart(walker.slots)
    _name_factors(walker.slots, trial)
    return Survey(tuple(walker.structure), walker.slots, walker.restorers)


def _tell_apart(slots: Iterable[Slot]) -> None:
    """Names stand for the numbers in the slots: no two slots may share one."""
    seen: dict[str, int] = {}
    for slot in slots:
        seen[slot.name] = seen.get(slot.name, 0) + 1
        if seen[slot.name] > 1:
            slot.name = f"{slot.name}#{seen[slot.name]}"


def _name_factors(slots: list[Slot], trial: int) -> None:
    """Keys belong to one step: in a state, equal factors are named after the first place that has one of them."""
    keys = [[_factor_of(element) for element in slot.contents.elements] for slot in slots]
    for slot, named in zip(slots, _renamed([slot.contents for slot in slots], keys, trial), strict=True):
        slot.contents = named


def names_joined(joined: list[Contents], first: list[Contents], second: list[Contents], trial: int) -> list[Contents]:
    """Joined contents, with a common name for the factors that are equal in both states."""
    keys: list[list[Hashable]] = []
    for one, two in zip(first, second, strict=True):
        pairs = zip(map(_factor_of, one.elements), map(_factor_of, two.elements), strict=True)
        keys.append([None if None in pair else pair for pair in pairs])
    return _renamed(joined, keys, trial)


def names_included(weak: list[Contents], strong: list[Contents]) -> bool:
    """Whether factors that have one name in the weak state have one in the strong state."""
    meant: dict[int, int | None] = {}
    for one, two in zip(weak, strong, strict=True):
        for mine, their in zip(one.elements, two.elements, strict=True):
            if mine.link is None or mine.link.same or mine.link.key is None:
                continue
            known = _factor_of(their)
            if known is None or meant.setdefault(mine.link.key, known) != known:
                return False
    return True


def _factor_of(element: Element) -> int | None:
    return None if element.link is None else element.link.key


def _renamed(contents: list[Contents], keys: Sequence[Sequence[Hashable]], trial: int) -> list[Contents]:
    """Multiples named after the first place that has the same key; a name says nothing about other trials."""
    first: dict[Hashable, int] = {}
    named, place = [], 0
    for held, listed in zip(contents, keys, strict=True):
        elements = list(held.elements)
        for index, key in enumerate(listed):
            place += 1
            link = elements[index].link
            if link is not None and not link.same:
                name = None if key is None else key_of(("ratio at", trial, first.setdefault(key, place)))
                link = Multiple(link.coordinate, link.low, link.high, name, False)
                elements[index] = replace(elements[index], link=link)
        named.append(held if held.range is not None else replace(held, elements=tuple(elements)))
    return named


@dataclass
class _Walker:
    relink: Callable[[Multiple], Multiple | None]
    structure: list[Hashable] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    restorers: list[Callable[[], None]] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=dict)
    kept: list[object] = field(default_factory=list)
    memories: dict[int, int] = field(default_factory=dict)
    classes: set[type] = field(default_factory=set)

    def visit(self, value: Any, name: str, put: Callable[[Any], None] | None) -> None:
        """Record one value; `put` replaces it where it was found."""
        if isinstance(value, bool) or value is None:
            self.structure.append(("atom", value))
        elif isinstance(value, enum.Enum):
            self.structure.append(("identity", id(value)))
        elif isinstance(value, int | float):
            self._number(value, name, put)
        elif type(value) in (str, bytes, complex) or isinstance(value, torch.dtype | torch.device | torch.Size):
            self.structure.append(("atom", type(value).__name__, str(value) if not isinstance(value, bytes) else value))
        elif id(value) in self.seen:
            self.structure.append(("again", self.seen[id(value)]))
        else:
            self.seen[id(value)] = len(self.seen)
            self.kept.append(value)
            self._object(value, name)

    def _number(self, value: Any, name: str, put: Callable[[Any], None] | None) -> None:
        node = getattr(value, "node", None)
        whole = isinstance(value, int)
        if node is None and type(value) not in (int, float):
            raise NoProof(f"{name} holds a number of type {type(value).__name__}")
        if put is None and node is not None:
            raise NoProof(f"{name}, an unknown number, is kept in something that cannot be changed")
        if put is None:  # inside something that cannot be changed: part of the structure
            self.structure.append(("number", whole, repr(value)))
            return
        # The sign of a zero is not part of its range: a known zero is not taken for an unknown one.
        known_zero = repr(value) if node is None and not whole and value == 0 else ""
        self.structure.append(("slot", whole, known_zero))
        ends = _range_of(value) if node is None else _bounded(node.range()) if whole else node.range()
        key = ("number", whole, ends[0]) if ends[0] == ends[1] and not ends[2] else ("key", node and node.key)
        place = put

        def fill(contents: Contents, symbol: str | None) -> None:
            if not known_zero:
                place(_number_from(contents, whole, symbol))

        limits = (-LARGEST_COUNT, LARGEST_COUNT) if whole else (-sys.float_info.max, sys.float_info.max)
        self.slots.append(Slot(name, Contents(limits, (), ends), key, fill))

    def _object(self, value: Any, name: str) -> None:
        if isinstance(value, torch.Tensor):
            self._tensor(value, name)
        elif isinstance(value, dict):
            self._dictionary(value, name)
        elif isinstance(value, list | deque):
            self._list(value, name)
        elif isinstance(value, tuple):
            self.structure.append(("tuple", type(value).__name__, len(value)))
            self._attributes(getattr(value, "__dict__", {}), name)
            for index, item in enumerate(value):
                self.visit(item, f"{name}[{index}]", None)
        elif isinstance(value, set | frozenset):
            self._set(value, name)
        elif isinstance(value, types.FunctionType):
            self._function(value, name)
        elif isinstance(value, type):
            self.structure.append(("identity", id(value)))
            self._classes(value)
        elif isinstance(value, types.ModuleType) and not is_constant_package(value.__name__):
            raise NoProof(f"{name} holds the module {value.__name__}, whose contents are not followed")
        elif isinstance(value, staticmethod | classmethod):
            self.structure.append("wrapped function")
            self._attributes(value.__dict__, name)
            self.visit(value.__func__, name, None)
        elif isinstance(value, property):
            self.structure.append("property")
            for part in (value.fget, value.fset, value.fdel):
                self.visit(part, name, None)
        elif isinstance(value, types.MethodType):
            self.structure.append("method")
            self.visit(value.__func__, f"{name}.__func__", None)
            self.visit(value.__self__, f"{name}.__self__", None)
        elif isinstance(value, functools.partial):
            self.structure.append("partial")
            self._attributes(value.__dict__, name)
            for label in ("func", "args", "keywords"):
                self.visit(getattr(value, label), f"{name}.{label}", None)
        elif isinstance(value, weakref.ref):
            self.structure.append("reference")
            self._attributes(getattr(value, "__dict__", {}), name)
            self.visit(value(), name, None)
        elif isinstance(value, _ATOMS):
            self.structure.append(("identity", id(value)))
        else:
            self._instance(value, name)

    def _tensor(self, value: torch.Tensor, name: str) -> None:
        if not isinstance(value, AbstractTensor):
            self.structure.append(("outside", id(value)))
            self._attributes(value.__dict__, name)
            return
        codes, requires = value.codes, value.requires_grad
        grad = value.grad if value.is_leaf else None
        storage = codes.untyped_storage()
        number = self.memories.get(storage.data_ptr())
        self.structure.append(
            ("tensor", tuple(codes.shape), codes.stride(), codes.storage_offset(), str(value.dtype), requires)
        )
        if number is None or storage.nbytes() == 0:
            number = len(self.memories)
            self.memories[storage.data_ptr()] = number
            self._memory(codes, value.dtype, name)
        self.structure.append(("memory", number))
        outside = value.outside
        attributes = {key: item for key, item in value.__dict__.items() if key not in _OWN}

        def restore() -> None:
            for key in [key for key in value.__dict__ if key not in _OWN]:
                del value.__dict__[key]
            value.__dict__.update(attributes)
            value.codes, value.outside = codes, outside
            if value.is_leaf:
                value.grad = grad

        self.restorers.append(restore)
        self._attributes(value.__dict__, name, skip=_OWN)
        if grad is not None:
            self.visit(grad, f"{name}.grad", None)

    def _memory(self, codes: torch.Tensor, dtype: torch.dtype, name: str) -> None:
        flat = torch.empty(0, dtype=torch.int64).set_(codes.untyped_storage())
        saved = flat.clone()
        self.restorers.append(functools.partial(_copy_back, flat, saved))
        elements = tuple(_counted(narrowed(element_of(code)), dtype) for code in saved.tolist())
        key: Hashable = None
        if len(elements) == 1:
            named = key_of_element(elements[0])
            key = None if named is None else ("tensor", str(dtype), named)

        def fill(contents: Contents, symbol: str | None) -> None:
            filled = [identifier_of(_named(element, symbol)) for element in contents.elements]
            flat.copy_(torch.tensor(filled, dtype=torch.int64))

        form = format_of(dtype)
        limits = (-math.inf, math.inf) if form is None else (form.minimum, form.maximum)
        if form is not None and not form.floating:
            limits = (max(limits[0], -LARGEST_COUNT), min(limits[1], LARGEST_COUNT))
        self.structure.append(("memory of", len(elements), str(dtype)))
        self.slots.append(Slot(name, Contents(limits, tuple(map(self._unnamed, elements))), key, fill))

    def _unnamed(self, element: Element) -> Element:
        """Keys of numbers belong to one step; those of factors are replaced by names that stay."""
        link = None if element.link is None else self.relink(element.link)
        if link is not None:
            link = replace(link, key=key_of_factor(link))
        return Element(element.lo, element.hi, element.nan, link)

    def _dictionary(self, value: dict[Any, Any], name: str) -> None:
        self.structure.append(("dict", type(value).__name__, len(value)))
        saved = dict(value)

        kind = OrderedDict if isinstance(value, OrderedDict) else dict

        def restore() -> None:
            kind.clear(value)
            kind.update(value, saved)

        self.restorers.append(restore)
        for index, (key, item) in enumerate(saved.items()):
            label = f"{name}[{key!r}]" if isinstance(key, str | int) else f"{name}[key {index}]"
            self.visit(key, f"{name} key {index}", None)
            self.visit(item, label, functools.partial(dict.__setitem__, value, key))
        self._attributes(getattr(value, "__dict__", {}), name)
        factory = getattr(value, "default_factory", None)
        if factory is not None:
            self.visit(factory, f"{name}.default_factory", None)

    def _list(self, value: Any, name: str) -> None:
        self.structure.append(("list", type(value).__name__, len(value), getattr(value, "maxlen", None)))
        saved = list(value)

        def restore() -> None:
            value.clear()
            value.extend(saved)

        self.restorers.append(restore)
        for index, item in enumerate(saved):
            self.visit(item, f"{name}[{index}]", functools.partial(value.__setitem__, index))
        self._attributes(getattr(value, "__dict__", {}), name)

    def _set(self, value: Any, name: str) -> None:
        self.structure.append(("set", type(value).__name__, len(value)))
        saved = set(value)
        if isinstance(value, set):

            def restore() -> None:
                value.clear()
                value.update(saved)

            self.restorers.append(restore)
        for index, item in enumerate(sorted(saved, key=self._place)):
            self.visit(item, f"{name}{{{index}}}", None)
        self._attributes(getattr(value, "__dict__", {}), name)

    def _place(self, item: Any) -> tuple[str, int, str]:
        """An order of set elements that does not depend on hashing."""
        plain = isinstance(item, str | int | float)
        return type(item).__name__, self.seen.get(id(item), len(self.seen)), str(item) if plain else ""

    def _function(self, value: types.FunctionType, name: str) -> None:
        if is_constant_package(str(value.__globals__.get("__name__", ""))):
            self.structure.append(("identity", id(value)))
            for index, cell in enumerate(value.__closure__ or ()):
                self._wrapped_function(cell, f"{name}.closure[{index}]")
            self._attributes({key: item for key, item in value.__dict__.items() if _is_function(item)}, name)
            return
        self.structure.append(("function", id(value.__code__)))
        self._attributes(value.__dict__, name)
        for part in (value.__defaults__, value.__kwdefaults__):
            if part is not None:
                self.visit(part, f"{name} defaults", None)
        for label, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            self._cell(cell, f"{name}.{label}")

    def _wrapped_function(self, cell: types.CellType, name: str) -> None:
        """A decorator of torch or Python holds the function that it decorates."""
        try:
            inner = cell.cell_contents
        except ValueError:
            return
        if _is_function(inner):
            self.visit(inner, name, None)

    def _cell(self, cell: types.CellType, name: str) -> None:
        if id(cell) in self.seen:
            self.structure.append(("again", self.seen[id(cell)]))
            return
        self.seen[id(cell)] = len(self.seen)
        self.kept.append(cell)
        try:
            saved = cell.cell_contents
        except ValueError:
            self.structure.append("empty cell")
            return
        self.structure.append("cell")
        self.restorers.append(lambda: setattr(cell, "cell_contents", saved))
        self.visit(saved, name, lambda item: setattr(cell, "cell_contents", item))

    def _instance(self, value: Any, name: str) -> None:
        kind = type(value)
        attributes = getattr(value, "__dict__", None)
        slots = [label for owner in kind.__mro__ for label in _slots_of(owner)]
        foreign = any(_is_foreign(owner) for owner in kind.__mro__)
        if foreign or (attributes is None and not slots and kind is not object):
            raise NoProof(f"{name} holds a {kind.__module__}.{kind.__name__}, whose contents cannot be seen")
        self.structure.append(("instance", kind.__module__, kind.__qualname__))
        if attributes is not None:
            self._attributes(attributes, name)
        for label in slots:
            if hasattr(value, label):
                saved = getattr(value, label)
                self.restorers.append(functools.partial(setattr, value, label, saved))
                self.visit(saved, f"{name}.{label}", functools.partial(setattr, value, label))
        self._classes(kind)

    def _classes(self, kind: type) -> None:
        """Class attributes can remember something too; the classes of torch and Python are taken as constant."""
        for owner in kind.__mro__:
            if is_constant_package(owner.__module__) or owner in self.classes or issubclass(owner, enum.Enum):
                continue
            self.classes.add(owner)
            own = {key: item for key, item in vars(owner).items() if key not in _OF_EVERY_CLASS}
            self._named_values(own, f"{owner.__module__}.{owner.__qualname__}", functools.partial(setattr, owner))
            self.restorers.append(functools.partial(_without_others, owner, frozenset(vars(owner))))
            self._classes(type(owner))

    def _attributes(self, attributes: dict[str, Any], name: str, skip: tuple[str, ...] = ()) -> None:
        if not attributes:
            self.structure.append(("attributes",))
            if not skip:
                self.restorers.append(attributes.clear)
            return
        saved = {key: item for key, item in attributes.items() if key not in skip}
        self.structure.append(("attributes", *map(str, saved)))

        def restore() -> None:
            for key in [key for key in attributes if key not in skip]:
                del attributes[key]
            attributes.update(saved)

        if not skip:
            self.restorers.append(restore)
        for key, item in saved.items():
            self.visit(item, f"{name}.{key}", functools.partial(attributes.__setitem__, key))

    def visit_globals(self, module: dict[str, Any], names: list[str]) -> None:
        """The named globals of a module; what a step adds to them is followed once it is named."""
        label = str(module.get("__name__"))
        absent = [name for name in names if name not in module]
        self.restorers.append(functools.partial(_remove, module, absent))
        self._named_values({name: module[name] for name in names if name in module}, label, module.__setitem__)

    def _named_values(self, values: dict[str, Any], name: str, change: Callable[[str, Any], None]) -> None:
        self.structure.append(("values", name, *values))
        for key, item in values.items():
            if isinstance(item, type):
                self._classes(item)
            elif not isinstance(item, types.ModuleType):
                self.restorers.append(functools.partial(change, key, item))
                self.visit(item, f"{name}.{key}", functools.partial(change, key))


def _remove(module: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        module.pop(name, None)


def _copy_back(memory: torch.Tensor, saved: torch.Tensor) -> None:
    memory.copy_(saved)


def _is_foreign(owner: type) -> bool:
    """Whether a class is written in C, so that its objects may hold more than their attributes show."""
    if owner is object or issubclass(owner, BaseException):
        return False
    bound = type(owner).__name__ == "pybind11_type"
    return bound or bool(owner.__flags__ & IMMUTABLE_TYPE) or "__module__" not in vars(owner)


def _is_function(value: object) -> bool:
    return isinstance(value, types.FunctionType | types.MethodType)


def _without_others(owner: type, names: frozenset[str]) -> None:
    for name in set(vars(owner)) - names:
        delattr(owner, name)


def _slots_of(owner: type) -> tuple[str, ...]:
    """The slots of a class, under the names by which their values are found."""
    slots = owner.__dict__.get("__slots__", ())
    listed = (slots,) if isinstance(slots, str) else tuple(slots)
    private = f"_{owner.__name__.lstrip('_')}"
    return tuple(
        f"{private}{label}" if label.startswith("__") and not label.endswith("__") else label
        for label in listed
        if label not in ("__dict__", "__weakref__")
    )


def _bounded(ends: tuple[float, float, bool]) -> tuple[float, float, bool]:
    """Whole numbers that are kept stay below 2^53 in size, as step counters do: a condition of every claim."""
    count = int(LARGEST_COUNT)
    return (ends[0] if ends[0] > -count else -count), (ends[1] if ends[1] < count else count), False


def _range_of(value: float) -> tuple[float, float, bool]:
    if value != value:
        return -float("inf"), float("inf"), True
    return value, value, False


def _number_from(contents: Contents, whole: bool, symbol: str | None) -> Any:
    if contents.range is None:
        raise NoProof("a number turned into a tensor")
    lo, hi, nan = contents.range
    if lo == hi and not nan:
        return int(lo) if whole else float(lo)
    return to_number(ScalarNode(whole, lo, hi, nan, _key_of_symbol(symbol)))


def _key_of_symbol(symbol: str | None) -> int:
    return fresh_key() if symbol is None else key_of(("at the start of the step", symbol))


def _counted(element: Element, dtype: torch.dtype) -> Element:
    """Whole numbers that are kept stay below 2^53 in size, as step counters do: a condition of every claim."""
    if dtype.is_floating_point or max(abs(element.lo), abs(element.hi)) <= LARGEST_COUNT:
        return element
    return Element(max(element.lo, -LARGEST_COUNT), min(element.hi, LARGEST_COUNT))


def _named(element: Element, symbol: str | None) -> Element:
    link = element.link
    if link is not None and not link.same:
        link = Multiple(link.coordinate, link.low, link.high, key_of_factor(link), False)
    key = None if symbol is None or element.is_constant else _key_of_symbol(symbol)
    return Element(element.lo, element.hi, element.nan, link, key)
