"""The parts of the interpreter: elements, links, Python numbers, branching, and what an optimizer remembers."""

from __future__ import annotations

import functools
import io
import itertools
import math
import operator
import random
import threading
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.optimizers.code_proof.arithmetic import Arithmetic
from verify.optimizers.code_proof.element import (
    ONE,
    TOP,
    ZERO,
    Element,
    Format,
    Multiple,
    element_of,
    format_of,
    identifier_of,
    join,
    key_of,
    key_of_value,
    real,
    widened,
)
from verify.optimizers.code_proof.heap import Survey, survey
from verify.optimizers.code_proof.interpreter import Interpreter
from verify.optimizers.code_proof.paths import Path, every_path, following
from verify.optimizers.code_proof.promotion import promoted
from verify.optimizers.code_proof.refusal import NoProof
from verify.optimizers.code_proof.scalars import (
    AbstractFloat,
    AbstractInteger,
    ScalarNode,
    abstract_math,
    number_element,
    to_number,
)
from verify.optimizers.code_proof.tensor import AbstractTensor, outside_modes
from verify.optimizers.code_proof.trial import start_value
from verify.optimizers.code_proof.watch import Watch


def form_for(dtype: torch.dtype) -> Format:
    form = format_of(dtype)
    assert form is not None
    return form


DOUBLE, SINGLE = form_for(torch.float64), form_for(torch.float32)
ONE_FACTOR = Fraction(1)


def under(function: Callable[..., Any], *arguments: Any, finite: bool = False) -> Any:
    """Run under the interpreter."""
    machine = Interpreter(Arithmetic(finite=finite))
    with following(Path(machine.arithmetic)), torch.no_grad(), abstract_math(), machine:
        return function(*arguments)


def tensor_of(*elements: Element, dtype: torch.dtype = torch.float64) -> AbstractTensor:
    with outside_modes():
        return AbstractTensor(torch.tensor([identifier_of(element) for element in elements]), dtype)


def elements_in(tensor: Any) -> list[Element]:
    return [element_of(code) for code in tensor.codes.reshape(-1).tolist()]


# --- formats and elements --------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False), st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
def test_rounding_encloses(number: float, dtype: torch.dtype) -> None:
    form = form_for(dtype)
    exact = torch.tensor(number, dtype=torch.float64)
    assert form.down(number) <= number <= form.up(number)
    assert form.nearest(number) == exact.to(dtype).to(torch.float64).item()
    for end in (form.down(number), form.up(number)):
        assert torch.tensor(end, dtype=torch.float64).to(dtype).to(torch.float64).item() == end


def drawn(rng: random.Random) -> Element:
    ends = sorted(rng.choice([-math.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 3.0, math.inf]) for _ in range(2))
    link = start_value(DOUBLE, rng.randrange(2)).link if rng.random() < 0.3 else None
    return Element(ends[0], ends[1], rng.random() < 0.3, link, key_of(("test", rng.randrange(2))))


@given(st.integers(0, 2**32))
def test_join_and_widening_include_both(seed: int) -> None:
    rng = random.Random(seed)
    first, second = drawn(rng), drawn(rng)
    for both in (join(first, second), widened(first, second, (-1e300, 1e300))):
        assert both.includes(first)
        assert both.includes(second)
    assert first.includes(first)
    assert TOP.includes(first)


@given(st.integers(0, 2**32))
def test_widening_comes_to_an_end(seed: int) -> None:
    rng = random.Random(seed)
    element, changes = drawn(rng), 0
    for _ in range(100):
        low = rng.uniform(-1e10, 1e10)
        after = widened(element, Element(low, low + 1), (-1e300, 1e300))
        changes += after != element
        element = after
    assert changes < 30


def test_inclusion_can_fail() -> None:
    p = start_value(DOUBLE, 0)
    assert not Element(0.0, 1.0).includes(Element(0.0, 2.0))
    assert not Element(0.0, 1.0).includes(Element(0.0, 1.0, True))
    assert not p.includes(real(DOUBLE))
    assert real(DOUBLE).includes(p)
    assert not start_value(DOUBLE, 1).includes(p)
    half = Element(-1e308, 1e308, False, Multiple(0, Fraction(1, 2), Fraction(1, 2), None, False))
    assert not p.includes(half)
    assert not Element(0.0, 1.0, key=key_of("a")).includes(Element(0.0, 1.0, key=key_of("b")))


# --- golden results: not only safe, but sharp enough -----------------------------------------------------------------

P = start_value(DOUBLE, 0)
Q = start_value(DOUBLE, 1)
ANY = real(DOUBLE)
POSITIVE = Element(1e-8, 1.7976931348623157e308)


def test_zero_stays_zero() -> None:
    zero, anything, positive = tensor_of(ZERO), tensor_of(TOP), tensor_of(POSITIVE)
    assert elements_in(under(lambda: zero * 0.9)) == [ZERO]
    assert elements_in(under(lambda: zero / positive)) == [ZERO]
    assert elements_in(under(lambda: zero.addcmul(zero, anything * 0 + 1))) != [ZERO]
    assert elements_in(under(lambda: zero.lerp(zero, 0.1))) == [ZERO]
    assert elements_in(under(lambda: zero.sqrt())) == [ZERO]
    assert elements_in(under(lambda: zero.sign())) == [ZERO]
    assert elements_in(under(lambda: zero * tensor_of(ANY))) == [ZERO]


def test_zero_times_what_may_be_infinite_is_nan() -> None:
    zero, anything = tensor_of(ZERO), tensor_of(TOP)
    assert elements_in(under(lambda: zero * anything)) == [Element(0.0, 0.0, True)]
    assert elements_in(under(lambda: zero / tensor_of(Element(0.0, 1.0)))) == [Element(0.0, 0.0, True)]
    assert elements_in(under(lambda: zero / zero))[0].nan


def test_overflow_is_left_out_only_if_asked() -> None:
    large = tensor_of(ANY)
    assert elements_in(under(lambda: large * large))[0].may_be_infinite
    assert elements_in(under(lambda: large * large, finite=True))[0].is_finite
    # Dividing by what may be 0 is no overflow.
    assert elements_in(under(lambda: large / large, finite=True))[0].nan
    assert elements_in(under(lambda: large.log(), finite=True))[0].nan


def test_underflow_is_left_out_only_if_asked() -> None:
    small = tensor_of(Element(1e-300, 1.0))
    assert elements_in(under(lambda: small * small))[0].lo == 0
    assert elements_in(under(lambda: small * small, finite=True))[0].lo > 0


def test_guards_are_understood() -> None:
    norm = tensor_of(Element(0.0, 1e300))

    def guarded() -> Any:
        size = norm.norm()
        return torch.where(size > 0, tensor_of(ZERO) / size, torch.tensor(0.0, dtype=torch.float64))

    assert elements_in(under(guarded)) == [ZERO]


def test_squares_are_not_negative() -> None:
    x = tensor_of(ANY)
    assert elements_in(under(lambda: x * x))[0].lo == 0
    assert elements_in(under(lambda: torch.addcmul(tensor_of(ZERO), x, x)))[0].lo == 0
    assert elements_in(under(lambda: x * x.clone()))[0].lo < 0  # two tensors: not known to be equal


# --- links: the value is a multiple of the start value ---------------------------------------------------------------

KEEPING: dict[str, Callable[[Any], Any]] = {
    "clone": lambda p: p.clone(),
    "plus zero": lambda p: p + tensor_of(ZERO),
    "times one": lambda p: p * 1.0,
    "minus nothing": lambda p: p - 0.3 * tensor_of(ZERO),
    "copy": lambda p: torch.empty_like(p).copy_(p),
    "where": lambda p: torch.where(tensor_of(ANY) > 0, p, p.clone()),
    "cat": lambda p: torch.cat([p, p])[:1],
    "lerp itself": lambda p: p.lerp(p.clone(), 0.3),
    "lookahead": lambda p: p + 0.5 * (p - p.clone()),
    "identity matrix": lambda p: (torch.eye(1, dtype=torch.float64) @ p.reshape(1, 1)).reshape(1),
    "addcdiv": lambda p: p.addcdiv(tensor_of(ZERO), tensor_of(POSITIVE), value=-0.1),
    "sum with zeros": lambda p: torch.cat([p, tensor_of(ZERO)]).sum().reshape(1),
}
SCALING: dict[str, tuple[Callable[[Any], Any], float]] = {
    "mul": (lambda p: p * 0.75, 0.75),
    "neg": (lambda p: -p, -1.0),
    "div": (lambda p: p / 4.0, 0.25),
    "minus part": (lambda p: p - p * 0.25, 0.75),
    "add scaled": (lambda p: p.add(p, alpha=-0.5), 0.5),
    "there and back": (lambda p: p * 0.5 * 2.0, 1.0),
}
LOSING: dict[str, Callable[[Any], Any]] = {
    "plus one": lambda p: p + 1.0,
    "plus any": lambda p: p + tensor_of(ANY),
    "plus perhaps nan": lambda p: p + tensor_of(Element(0.0, 0.0, True)),
    "times any": lambda p: p * tensor_of(TOP),
    "abs": lambda p: p.abs(),
    "square": lambda p: p * p,
    "another coordinate": lambda p: p + tensor_of(Q),
    "clamp": lambda p: p.clamp(-1.0, 1.0),
    "where": lambda p: torch.where(tensor_of(ANY) > 0, p, p + 1.0),
    "through single": lambda p: p.to(torch.float32).to(torch.float64) + 0.0 * p,
}


@pytest.mark.parametrize("name", KEEPING)
@given(start=st.sampled_from([0.0, 1.0, -0.1, 5e-324, -1e300, 3e-310]))
@settings(max_examples=6)
def test_what_keeps_the_value(name: str, start: float) -> None:
    kept = under(KEEPING[name], tensor_of(P))
    assert elements_in(kept)[0].is_same
    # The same steps on a number, with zeros for 0 and ones for the other tensors.
    assert elements_in(under(KEEPING[name], tensor_of(Element(start, start))))[0].contains(start)


@pytest.mark.parametrize("name", SCALING)
def test_what_scales_the_value(name: str) -> None:
    function, factor = SCALING[name]
    link = elements_in(under(function, tensor_of(P)))[0].link
    assert link is not None
    assert not link.same
    assert link.low == link.high == Fraction(factor)
    assert link.key == key_of_value(Fraction(factor))
    assert function(torch.tensor([3.0])).item() == 3.0 * factor


@pytest.mark.parametrize("name", LOSING)
def test_what_loses_the_value(name: str) -> None:
    assert not elements_in(under(LOSING[name], tensor_of(P)))[0].is_same


def test_a_narrower_copy_is_no_longer_the_value() -> None:
    narrow = elements_in(under(lambda: tensor_of(P).to(torch.float32)))[0]
    assert narrow.link is not None
    assert not narrow.is_same


@given(
    st.lists(
        st.tuples(st.sampled_from(["mul", "div", "sub", "neg"]), st.sampled_from([0.5, 0.3, 1.7, 3.0])), max_size=5
    )
)
def test_factors_contain_the_true_ones(steps: list[tuple[str, float]]) -> None:
    """Exact rational arithmetic beside the interpreter."""
    factor = Fraction(1)

    def run() -> Any:
        p = tensor_of(P)
        start = p.clone()
        for name, number in steps:
            p = {"mul": lambda p=p, c=number: p * c, "div": lambda p=p, c=number: p / c,
                 "sub": lambda p=p, c=number: p - c * start, "neg": lambda p=p: -p}[name]()  # fmt: skip
        return p

    for name, number in steps:
        exact = Fraction(number)
        factor = {"mul": factor * exact, "div": factor / exact, "sub": factor - exact, "neg": -factor}[name]
    link = elements_in(under(run))[0].link
    assert link is not None
    assert link.low <= factor <= link.high


# --- Python numbers --------------------------------------------------------------------------------------------------


def unknown(lo: float, hi: float, *, whole: bool = False, name: str = "x") -> Any:
    return to_number(ScalarNode(whole, lo, hi, False, key_of(("test number", name))))


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow, "max": lambda x, y: max(x, y), "min": lambda x, y: min(x, y),
}  # fmt: skip
UNARY: dict[str, Callable[[Any], Any]] = {
    "sqrt": lambda x: math.sqrt(x), "exp": lambda x: math.exp(x), "log": lambda x: math.log(x), "abs": abs,
    "neg": operator.neg, "floor": lambda x: math.floor(x), "ceil": lambda x: math.ceil(x), "round": round,
    "cos": lambda x: math.cos(x), "tanh": lambda x: math.tanh(x), "pow": lambda x: math.pow(x, 0.5),
}  # fmt: skip
FLOATS = [-3.0, -0.5, 0.0, 1e-9, 0.1, 0.999, 1.0, 2.5, 30.0]
WHOLE = [-7, -1, 0, 1, 2, 5, 12, 40]


def drawn_number(rng: random.Random, name: str) -> tuple[float, Any]:
    """A number and an abstract one that may be it."""
    whole = rng.random() < 0.5
    value, other, third = (rng.choice(WHOLE if whole else FLOATS) for _ in range(3))
    if rng.random() < 0.3:
        return value, value
    return value, unknown(min(value, other, third), max(value, other, third), whole=whole, name=name)


def assert_may_be(found: Any, value: float) -> None:
    element = number_element(found)
    assert element is not None
    assert element.contains(float(value)), (value, element)
    assert isinstance(found, int) == isinstance(value, int)


@pytest.mark.parametrize("name", [*BINARY, *UNARY])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_python_arithmetic(name: str, seed: int) -> None:
    rng = random.Random(seed)
    with following(Path(Arithmetic(finite=False))):
        pairs = [drawn_number(rng, str(i)) for i in range(2 if name in BINARY else 1)]
    function: Callable[..., Any] = BINARY.get(name) or UNARY[name]
    try:
        value = function(*(value for value, _ in pairs))
    except (ZeroDivisionError, ValueError, OverflowError):
        return
    if isinstance(value, complex):
        return
    try:
        with abstract_math(), following(Path(Arithmetic(finite=False))):
            found = function(*(number for _, number in pairs))
            mixed = len(pairs) == 2 and isinstance(pairs[0][0], int) != isinstance(pairs[1][0], int)
            if name in ("max", "min") and mixed:
                return  # both choices are tried, on different paths
            assert_may_be(found, value)
    except NoProof:
        assert any(type(number) not in (int, float) for _, number in pairs)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_some_path_agrees_with_every_number(seed: int) -> None:
    """Branches on unknown numbers: one path gives the true answers, and its ranges contain the true numbers."""
    rng = random.Random(seed)
    with following(Path(Arithmetic(finite=False))):
        (x, first), (y, second) = drawn_number(rng, "first"), drawn_number(rng, "second")
    questions = [rng.choice(["<", "<=", ">", ">=", "==", "!="]) for _ in range(3)]
    compare = {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
    third = rng.choice(FLOATS)
    true = [compare[questions[0]](x, y), compare[questions[1]](y, third), compare[questions[2]](x, third)]

    def run(path: Path) -> tuple[list[bool], Element | None, Element | None]:
        answers = [
            compare[questions[0]](first, second),
            compare[questions[1]](second, third),
            compare[questions[2]](first, third),
        ]
        return answers, number_element(first), number_element(second)

    arithmetic = Arithmetic(finite=False)
    agreeing = [result for _, result in every_path(run, arithmetic, 100) if result[0] == true]
    assert len(agreeing) == 1
    _, a, b = agreeing[0]
    assert a is not None
    assert b is not None
    assert a.contains(float(x))
    assert b.contains(float(y))


def test_numbers_pass_for_what_they_are() -> None:
    with following(Path(Arithmetic(finite=False))):
        x, n = unknown(0.0, 1.0), unknown(1, 9, whole=True)
        assert isinstance(x, float)
        assert isinstance(n, int)
        assert not isinstance(x, int)
        assert isinstance(x, AbstractFloat)
        assert isinstance(n, AbstractInteger)
        for escape in (float, str, repr, hash, "{}".format, lambda x: x.real, lambda x: divmod(x, 2), lambda x: x & 1):
            with pytest.raises(NoProof):
                escape(x)
        with pytest.raises(NoProof):
            int(unknown(0, 1000, whole=True))


def test_few_whole_numbers_are_tried_one_by_one() -> None:
    buffer = list("abcd")
    n = ScalarNode(True, 0, 3, False, key_of("index"))
    found = [letter for _, letter in every_path(lambda path: buffer[to_number(n)], Arithmetic(finite=False), 10)]
    assert sorted(found) == buffer


def test_branching_without_end_is_given_up() -> None:
    def run(path: Path) -> None:
        while unknown(0.0, 1.0, name=str(path.taken)) > 0.5:
            pass

    with pytest.raises(NoProof):
        list(every_path(run, Arithmetic(finite=False), 20))


def test_the_math_module_is_put_back() -> None:
    before = math.sqrt, max, min, math.isnan
    with abstract_math():
        assert math.sqrt is not before[0]
        assert max(2, 3) == 3
        assert max([1, 5], key=lambda x: -x) == 1
        assert math.isnan(math.nan)
    assert (math.sqrt, max, min, math.isnan) == before


def test_numbers_enter_tensors_and_come_back() -> None:
    def run() -> Any:
        rate = unknown(0.0, 1.0)
        x = tensor_of(ONE)
        x.mul_(rate)
        y = torch.full((1,), rate, dtype=torch.float64)
        return x.item(), (x - 1).item(), y.item(), torch.where(x > 0, x, rate).item()

    machine = Interpreter(Arithmetic(finite=False))
    with following(Path(machine.arithmetic)):
        with machine:
            numbers = run()
        for number, (lo, hi) in zip(numbers, [(0, 1), (-1, 0), (0, 1), (0, 1)], strict=True):
            element = number_element(number)
            assert element is not None
            assert (element.lo, element.hi) == (lo, hi)


@given(
    st.lists(
        st.sampled_from(["f64", "f32", "f32 0", "f64 0", "i64", "i64 0", "bool", "int", "float", "flag", "f16"]),
        min_size=2,
        max_size=3,
    )
)
def test_promotion_is_that_of_torch(names: list[str]) -> None:
    made: dict[str, Any] = {
        "f64": torch.ones(2, dtype=torch.float64), "f32": torch.ones(2), "f32 0": torch.ones(()),
        "f64 0": torch.ones((), dtype=torch.float64), "i64": torch.ones(2, dtype=torch.int64),
        "i64 0": torch.ones((), dtype=torch.int64), "bool": torch.ones(2, dtype=torch.bool),
        "int": 1, "float": 1.5, "flag": True, "f16": torch.ones(2, dtype=torch.float16),
    }  # fmt: skip
    first, second = made[names[0]], made[names[1]]
    assert promoted([first, second]) == torch.result_type(first, second)


# --- memory ----------------------------------------------------------------------------------------------------------


def surveyed(value: Any, watch: Watch | None = None) -> Survey:
    with following(Path(Arithmetic(finite=False))):
        return survey([("root", value)], watch.names.values() if watch else [], lambda link: link, 0)


class Thing:
    __slots__ = ("inside", "rest")

    def __init__(self, inside: Any) -> None:
        self.inside = inside


class Plain:
    shared: ClassVar[list[int]] = [1]

    def __init__(self, inside: Any) -> None:
        self.inside = inside


def cell_with(value: Any) -> Callable[[], Any]:
    def show() -> Any:
        return value

    return show


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda value: [value],
    "dict": lambda value: {"a": value},
    "ordered": lambda value: OrderedDict(a=value),
    "default": lambda value: defaultdict(dict, a=value),
    "deque": lambda value: deque([value], maxlen=3),
    "attribute": lambda value: Plain(value),
    "slot": lambda value: Thing(value),
    "closure": lambda value: cell_with(value),
    "nested": lambda value: {"a": [Plain({"b": value})]},
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_numbers_are_found_and_replaced(name: str) -> None:
    holder = WRAPPERS[name](3)
    found = surveyed(holder)
    number = next(slot for slot in found.slots if slot.contents.range == (3, 3, False))
    with following(Path(Arithmetic(finite=False))):
        number.put(type(number.contents)(number.contents.ends, (), (3, 5, False)), "n")
        changed = surveyed(holder)
        assert changed.structure == found.structure
        assert (3, 5, False) in [slot.contents.range for slot in changed.slots]
    found.restore()
    assert (3, 3, False) in [slot.contents.range for slot in surveyed(holder).slots]


@pytest.mark.parametrize("name", WRAPPERS)
def test_tensors_are_found_and_restored(name: str) -> None:
    tensor = tensor_of(ZERO, ONE)
    holder = WRAPPERS[name](tensor)
    found = surveyed(holder)
    assert any(slot.contents.elements == (ZERO, ONE) for slot in found.slots)
    under(lambda: tensor.add_(1.0))
    assert any(slot.contents.elements != (ZERO, ONE) for slot in surveyed(holder).slots if slot.contents.elements)
    found.restore()
    assert elements_in(tensor) == [ZERO, ONE]


@functools.lru_cache
def cached() -> list[int]:
    return [0]


@pytest.mark.parametrize(
    "make",
    [lambda: iter([1]), itertools.count, lambda: (n for n in range(3)), lambda: cached, threading.local, io.BytesIO],
    ids=["iterator", "count", "generator", "cache", "thread", "buffer"],
)
def test_what_cannot_be_seen_is_refused(make: Callable[[], Any]) -> None:
    value = make()
    for wrap in WRAPPERS.values():
        with pytest.raises(NoProof, match="contents cannot be seen"):
            surveyed(wrap(value))


class Whole(int):
    pass


UNCHANGEABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "tuple": (lambda: (unknown(0, 9, whole=True),), "cannot be changed"),
    "partial": (lambda: functools.partial(print, unknown(0.0, 1.0)), "cannot be changed"),
    "defaults": (lambda: with_default(unknown(0.0, 1.0)), "cannot be changed"),
    "a kind of int": (lambda: [Whole(3)], "a number of type Whole"),
    "module": (lambda: [types.ModuleType("elsewhere")], "holds the module elsewhere"),
}


def with_default(number: Any) -> Callable[..., Any]:
    def show(value: Any = number) -> Any:
        return value

    return show


@pytest.mark.parametrize("name", UNCHANGEABLE)
def test_unknown_numbers_must_be_replaceable(name: str) -> None:
    make, reason = UNCHANGEABLE[name]
    with following(Path(Arithmetic(finite=False))):
        value = make()
    with pytest.raises(NoProof, match=reason):
        surveyed(value)


class Listed(list):  # type: ignore[type-arg]
    def __init__(self, inside: Any) -> None:
        super().__init__()
        self.inside = inside


class Private:
    __slots__ = ("__inside",)

    def __init__(self, inside: Any) -> None:
        self.__inside = inside


def held_class(inside: Any) -> type:
    return type("Held", (), {"inside": inside})


def wrapped_function(inside: Any) -> Any:
    return type("Held", (), {"show": staticmethod(cell_with(inside)), "shown": property(cell_with(inside))})


OUT_OF_THE_WAY: dict[str, Callable[[Any], Any]] = {
    "list attribute": Listed,
    "private slot": Private,
    "class": held_class,
    "wrapped": wrapped_function,
    "decorated": lambda inside: torch.no_grad()(cell_with(inside)),
    "bound": lambda inside: Plain(inside).__init__,
}


@pytest.mark.parametrize("name", OUT_OF_THE_WAY)
def test_numbers_are_found_out_of_the_way(name: str) -> None:
    assert any(slot.contents.range == (3, 3, False) for slot in surveyed(OUT_OF_THE_WAY[name]([3])).slots)


def test_names_of_numbers_differ() -> None:
    holder = Plain(Plain(1))
    setattr(holder, "inside.inside", 2)
    names = [slot.name for slot in surveyed(holder).slots]
    assert len(set(names)) == len(names)


def test_signs_of_known_zeros_are_told_apart() -> None:
    assert surveyed([0.0]).structure != surveyed([-0.0]).structure
    found = surveyed([0.0])
    with following(Path(Arithmetic(finite=False))):
        assert not isinstance(to_number(ScalarNode(False, 0.0, 0.0, False, key_of("zero"))), AbstractInteger)
        with pytest.raises(NoProof):
            float(to_number(ScalarNode(False, 0.0, 0.0, False, key_of("zero"))))
    assert found.slots[0].contents.range == (0.0, 0.0, False)


def test_order_is_restored() -> None:
    ordered = OrderedDict(a=1, b=2)
    found = surveyed(ordered)
    ordered.move_to_end("a")
    found.restore()
    assert list(ordered) == ["a", "b"]
    ordered.move_to_end("a")
    assert list(ordered) == ["b", "a"]


def test_remembered_results_keep_their_own_origin() -> None:
    """One result, computed from a narrow and from a wide range of the same number: guards use the right one."""
    machine = Interpreter(Arithmetic(finite=False))
    key = key_of("a number at the start of a step")

    def guarded(lo: float, hi: float) -> Element:
        with following(Path(machine.arithmetic)), torch.no_grad(), machine:
            x = tensor_of(Element(lo, hi, key=key))
            (found,) = elements_in(torch.where(x > 0, 1.0 / x, 1.0))
        return found

    assert guarded(0.0, 1.0).lo == 1.0
    assert guarded(0.0, 4.0).lo == 0.25
    assert guarded(0.0, 1.0).lo == 1.0


def test_structure_tells_aliases_from_copies() -> None:
    one = [1.0]
    assert surveyed([one, one]).structure != surveyed([[1.0], [1.0]]).structure
    tensor = tensor_of(ZERO, ZERO)
    view = under(lambda: tensor[:1])
    apart = under(lambda: tensor[:1].clone())
    assert surveyed([tensor, view]).structure != surveyed([tensor, apart]).structure
    assert len(list(surveyed([tensor, view]).slots)) == 1
    assert surveyed({"a": 1}).structure != surveyed({"b": 1}).structure
    assert surveyed("a").structure != surveyed("b").structure
    assert surveyed(True).structure != surveyed(False).structure
    assert surveyed([1]).structure != surveyed([1.0]).structure


def test_equal_numbers_are_known_to_be_equal() -> None:
    found = surveyed([2, 2, 3, 2.0])
    assert found.partition() == (0, 0, 2, 3)


def test_rebinding_is_restored() -> None:
    tensor, holder = tensor_of(ZERO), Plain({"a": 1})
    found = surveyed([tensor, holder])
    under(lambda: setattr(tensor, "data", tensor_of(ONE)))
    holder.inside = None
    holder.extra = 5  # type: ignore[attr-defined]
    Plain.shared.append(2)
    found.restore()
    assert elements_in(tensor) == [ZERO]
    assert holder.inside == {"a": 1}
    assert not hasattr(holder, "extra")
    assert Plain.shared == [1]


TICKS = 0


def ticking() -> int:
    global TICKS
    TICKS += 1
    return TICKS


def test_globals_are_followed_through_functions() -> None:
    watch = Watch()
    watch.follow(functools.partial(ticking).func)
    found = surveyed(None, watch)
    assert any(slot.name.endswith("TICKS") for slot in found.slots)


# --- refusals --------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "numpy": (lambda x: x.numpy(), "leave torch"),
    "text": (lambda x: str(x), "text"),
    "complex": (lambda x: torch.complex(x, x), "complex"),
    "bits": (lambda x: x.view(torch.int64), "other numbers"),
    "mask of unknown size": (lambda x: x[x > 0], "decides the shape"),
    "nonzero": (lambda x: x.nonzero(), "not interpreted"),
    "squeeze_": (lambda x: x.squeeze_(), "in place"),
    "resize_": (lambda x: x.resize_(5), "in place"),
    "plain tensor": (lambda x: PLAIN.add_(x), "outside"),
    "view of a plain tensor": (lambda x: PLAIN[:1].add_(x), "outside"),
    "version": (lambda x: x._version, "counts steps"),
    "index that may be out of range": (lambda x: x.index_select(0, x.to(torch.int64)), "out of range"),
    "draw with any chance": (lambda x: torch.bernoulli(x), "outside"),
    "an error of its own": (lambda x: x.reshape(1, 1) @ torch.zeros(2, 1, dtype=x.dtype), "raises"),
    "number as index": (lambda x: [1, 2, 3][int(x.sum().item())], "whole"),
}
PLAIN = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(NoProof, match=reason):
        under(function, tensor_of(ANY))
    assert PLAIN.item() == 0


def test_unknown_operations_give_anything() -> None:
    result = under(lambda: torch.special.bessel_j0(tensor_of(ONE)))
    assert elements_in(result) == [TOP]


def test_uninitialized_memory_holds_anything() -> None:
    for make in (torch.empty_like, lambda x: torch.empty(1, dtype=x.dtype), lambda x: x.new_empty(1)):
        assert elements_in(under(make, tensor_of(ZERO))) == [TOP]


def test_random_draws_are_anything_they_can_be() -> None:
    x = tensor_of(ZERO)
    assert elements_in(under(lambda: torch.rand_like(x)))[0].includes(Element(0.0, 1.0))
    assert elements_in(under(lambda: torch.randn_like(x)))[0].includes(Element(-40.0, 40.0))
    assert elements_in(under(lambda: torch.bernoulli(torch.full_like(x, 0.5))))[0].includes(Element(0.0, 1.0))
    assert elements_in(under(lambda: x.clone().normal_()))[0].includes(Element(-40.0, 40.0))
    assert elements_in(under(lambda: x.clone().uniform_(-1, 2)))[0] == Element(-1.0, 2.0)
    assert elements_in(under(lambda: torch.randint(3, (1,))))[0] == Element(0.0, 2.0)
