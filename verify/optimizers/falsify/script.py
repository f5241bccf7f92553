"""A counterexample as a stand-alone program: torch, the optimizer's import, the numbers, and what it prints."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence

import torch

from verify.optimizers.falsify.history import Coordinate, History
from verify.optimizers.falsify.results import Moved
from verify.optimizers.falsify.run import Build, Feed, built, quiet, reason, tensors

__all__ = ["Untold", "code_of", "comparison", "program", "scripted"]

_STEP = {
    Feed.GRADIENT: """\
    for parameter, gradient in zip(parameters, now):
        parameter.grad = gradient
    optimizer.step()
""",
    Feed.CLOSURE: """\
    seen = []

    def closure():
        seen.append([parameter.detach().clone() for parameter in parameters])
        for parameter, gradient in zip(parameters, now):
            parameter.grad = None if gradient is None else gradient.clone()
        return torch.ones((), dtype=dtype)

    optimizer.step(closure)
""",
    Feed.GRAPH: """\
    seen = []

    def closure():  # the gradients are those listed, the Hessian is diagonal
        seen.append([parameter.detach().clone() for parameter in parameters])
        with torch.enable_grad():
            loss = torch.zeros((), dtype=dtype)
            for parameter, gradient in zip(parameters, now):
                parameter.grad = None
                if gradient is not None:
                    moved = parameter - parameter.detach()
                    loss = loss + (gradient * moved + gradient * moved * moved / 2).sum()
            loss.backward(create_graph=True)
        return loss

    optimizer.step(closure)
""",
}


class Untold(Exception):
    """The optimizer's construction cannot be told in a few lines; the message says why."""


def code_of(build: Build, history: History, dtype: torch.dtype) -> str:
    """Write a function `build(parameters)` that makes the same optimizer, from what the optimizer says of itself.

    Fails: Untold if it cannot.
    """
    with quiet(history.seed):
        parameters = [torch.nn.Parameter(each) for each in tensors(history.initial, history.shapes, dtype)]
        try:
            optimizer = built(build, parameters, history.settings)
        except (Exception, SystemExit) as error:
            raise Untold(reason(error)) from error
    return _told(optimizer, parameters)


def _told(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.Tensor]) -> str:
    kind = type(optimizer)
    signature = inspect.signature(kind.__init__)
    names = list(signature.parameters)[2:]
    places = {id(parameter): index for index, parameter in enumerate(parameters)}
    groups = []
    for group in getattr(optimizer, "param_groups", []):
        if not all(id(parameter) in places for parameter in group["params"]):
            raise Untold(f"{kind.__name__} does not keep the parameters that it is given")
        groups.append([places[id(parameter)] for parameter in group["params"]])
    if not groups:
        raise Untold(f"{kind.__name__} has no parameter groups")
    first = optimizer.param_groups[0]
    settings: dict[str, object] = {}
    for name in names:
        value = first.get(name, getattr(optimizer, name, inspect.Parameter.empty))
        if _is_literal(value) and value != signature.parameters[name].default:
            settings[name] = value
    arguments = "".join(f", {name}={value!r}" for name, value in settings.items())
    target = "parameters"
    if groups != [list(range(len(parameters)))]:
        told = [
            _group(members, each, names, settings) for members, each in zip(groups, optimizer.param_groups, strict=True)
        ]
        target = f"[{', '.join(told)}]"
    return f"{_import_of(kind)}\n\ndef build(parameters):\n    return {kind.__name__}({target}{arguments})\n"


def _group(members: list[int], group: Mapping[str, object], names: list[str], settings: Mapping[str, object]) -> str:
    own = "".join(
        f", {json.dumps(name)}: {value!r}"
        for name, value in group.items()
        if name != "params" and _is_literal(value) and settings.get(name, inspect.Parameter.empty) != value
    )
    listed = ", ".join(f"parameters[{index}]" for index in members)
    return f'{{"params": [{listed}]{own}}}'


def _is_literal(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_literal(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)


def _import_of(kind: type) -> str:
    """How to import a class, or its source, and that of its bases, where it cannot be imported."""
    if _importable(kind):
        if kind.__module__.startswith("torch.optim.") and getattr(torch.optim, kind.__name__, None) is kind:
            return f"from torch.optim import {kind.__name__}\n"
        return f"from {kind.__module__} import {kind.__name__}\n"
    own = [each for each in reversed(kind.__mro__) if not _importable(each)]
    try:
        sources = [textwrap.dedent(inspect.getsource(each)) for each in own]
    except (OSError, TypeError) as error:
        raise Untold(f"{kind.__name__} cannot be imported, and its source is not known") from error
    imports = "import math\n\nfrom torch.optim import Optimizer\n"
    return "\n\n".join([imports, *sources])


def _importable(kind: type) -> bool:
    if kind.__module__ == "__main__":
        return False
    return getattr(importlib.import_module(kind.__module__), kind.__qualname__, None) is kind


def program(
    title: str,
    code: str,
    history: History,
    dtype: torch.dtype,
    feed: Feed,
    step: int,
    evaluation: int | None,
    moved: Sequence[Moved],
) -> str:
    """The text of the program, which prints the sentences of `moved`."""
    asked = ", ".join(f"({each.parameter}, {each.place})" for each in moved)
    after = "[parameter.detach() for parameter in parameters]" if evaluation is None else f"seen[{evaluation}]"
    return f'''"""{title}"""
import random

import torch
{code.rstrip()}


inf, nan = float("inf"), float("nan")
dtype = {dtype}
shapes = {list(history.shapes)!r}
initial = {_rows(history.initial)}
gradients = [  # one row a step, one entry a parameter
{_steps(history)}]


def tensors(listed):
    return [
        None if entries is None else torch.tensor(entries, dtype=dtype).reshape(shape)
        for entries, shape in zip(listed, shapes)
    ]


torch.manual_seed({history.seed})
random.seed({history.seed})
parameters = [torch.nn.Parameter(each) for each in tensors(initial)]
optimizer = build(parameters{_settings(code, history)})
for step, listed in enumerate(gradients, start=1):
    now = tensors(listed)
    before = [parameter.detach().clone() for parameter in parameters]
{_STEP[feed]}    if step == {step}:
        after = {after}
        for index, place in [{asked}]:
            old, new = before[index].reshape(-1)[place].item(), after[index].reshape(-1)[place].item()
            print(f"parameter {{index}}, coordinate {{place}}: {{old.hex()}} -> {{new.hex()}}")
'''


def comparison(
    title: str,
    code: str,
    alone: History,
    together: History,
    dtype: torch.dtype,
    feed: Feed,
    places: Sequence[tuple[Coordinate, Coordinate]],
) -> str:
    """The text of a program that runs two histories and prints the same coordinates of both."""
    return f'''"""{title}"""
import random

import torch
{code.rstrip()}


inf, nan = float("inf"), float("nan")
dtype = {dtype}


def run(shapes, initial, gradients):
    def tensors(listed):
        return [
            None if entries is None else torch.tensor(entries, dtype=dtype).reshape(shape)
            for entries, shape in zip(listed, shapes)
        ]

    torch.manual_seed({alone.seed})
    random.seed({alone.seed})
    parameters = [torch.nn.Parameter(each) for each in tensors(initial)]
    optimizer = build(parameters{_settings(code, alone)})
    for listed in gradients:
        now = tensors(listed)
{textwrap.indent(_STEP[feed], "    ")}    return [parameter.detach().reshape(-1).tolist() for parameter in parameters]


alone = run(
    {list(alone.shapes)!r},
    {_rows(alone.initial)},
    [  # one row a step, one entry a parameter
{textwrap.indent(_steps(alone), "    ")}    ],
)
together = run(
    {list(together.shapes)!r},
    {_rows(together.initial)},
    [
{textwrap.indent(_steps(together), "    ")}    ],
)
for (index, place), (other, there) in {list(places)!r}:
    old, new = alone[index][place], together[other][there]
    print(f"parameter {{index}}, coordinate {{place}}: {{old.hex()}} -> {{new.hex()}}")
'''


def _settings(code: str, history: History) -> str:
    """The keywords that a `build` given by the caller takes; one written here holds them already."""
    return "".join(f", {name}={value!r}" for name, value in history.settings.items()) if "**" in code else ""


def _rows(values: Sequence[Sequence[float] | None]) -> str:
    return f"[{', '.join('None' if entries is None else repr(list(entries)) for entries in values)}]"


def _steps(history: History) -> str:
    return "".join(f"    {_rows(listed)},\n" for listed in history.gradients)


def printed_by(text: str) -> list[str]:
    """Run a program once, in this process; the lines that it prints. Whatever it raises is raised."""
    printed = io.StringIO()
    with quiet(0), contextlib.redirect_stdout(printed):
        exec(compile(text, "counterexample", "exec"), {"__name__": "counterexample"})
    return printed.getvalue().splitlines()


def scripted(
    write: Callable[[str], str],
    build: Build,
    code: str | None,
    history: History,
    dtype: torch.dtype,
    moved: Sequence[Moved],
    *,
    repeats: bool,
) -> tuple[str, str]:
    """The program that `write` makes of the optimizer's code, and what is to be said of it (nothing, if it repeats).

    It has been run once, and printed `moved`. A program that does not is given only if the optimizer does not repeat
    itself.
    """
    try:
        text = write(code_of(build, history, dtype) if code is None else code)
    except Untold as error:
        return "", str(error)
    try:
        lines = printed_by(text)
    except (Exception, SystemExit) as error:
        return "", f"a program was written, but it raises {reason(error)}"
    if lines == [each.sentence for each in moved]:
        return text, ""
    if not repeats:
        return text, "it prints other numbers each time"
    return "", "a program was written, but it prints other numbers"
