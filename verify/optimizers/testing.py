"""For authors of optimizers: tests that say which properties their optimizer has (math §2).

`assert_freezes` is one test; `parametrize_with_properties` makes one of each property. The pytest plugin
(`verify.pytest_plugin`) does the same without any test file: `pytest --nonconv-optimizer package.module:Class`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import IMPLIED, Property
from verify.optimizers.code_proof.trial import Build
from verify.optimizers.known import Known
from verify.optimizers.verdict import HISTORIES, Counterexample, Judged, Verdict, judge_build

if TYPE_CHECKING:
    import pytest

__all__ = ["Check", "PropertyFailure", "assert_freezes", "failure_of", "parametrize_with_properties", "property_named"]


class PropertyFailure(AssertionError):
    """A property that was asked for does not hold; `verdict` says what does."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


def assert_freezes(
    build: Build,
    *,
    wanted: Property = Property.F,
    proved: bool = False,
    name: str = "the optimizer",
    seed: int = 0,
    histories: int = HISTORIES,
) -> Verdict:
    """Check that an optimizer has a property, (F) unless another is named; return all that is known of it.

    build: makes the optimizer from the parameters `W^1, b^1, W^2, ...` of a network. proved: whether a proof is
    demanded; otherwise it is enough that no counterexample was found, which proves nothing.

    Fails: PropertyFailure with a minimal counterexample, and with what remains true; InvalidInput if it cannot be run;
    Contradiction if proof and run disagree.
    """
    verdict = judge_build(build, name, seed=seed, histories=histories)
    message = failure_of(verdict, wanted, proved=proved)
    if message:
        raise PropertyFailure(message, verdict)
    return verdict


def failure_of(verdict: Verdict, wanted: Property, *, proved: bool = False) -> str:
    """Why a verdict does not satisfy a demand; empty if it does."""
    judged = verdict.about(wanted)
    if judged.known.proved or (judged.known is Known.TESTED and not proved):
        return ""
    what = f"({wanted.name}) {wanted.value}"
    if judged.known is Known.VIOLATED:
        told = [f"{what} is violated by {verdict.target}: {judged.why}"]
    else:
        told = [f"{what} is not proved for {verdict.target} ({judged.known.value}): {judged.why}"]
    example = next((each for each in verdict.counterexamples if each.wanted is wanted), None)
    if example is not None:
        told += _shown(example)
    weaker = [verdict.about(each) for each in IMPLIED[wanted]]
    if weaker:
        told.append("Weaker properties: " + ", ".join(_short(each) for each in weaker) + ".")
    told.append(f"Theorems that remain, by what is proved: {', '.join(verdict.theorems)}.")
    if example is not None and example.script:
        told += ["A program that shows the counterexample:", "", example.script]
    elif example is not None and example.about_script:
        told.append(f"There is no program: {example.about_script}.")
    return "\n".join(told)


def _short(judged: Judged) -> str:
    return f"({judged.wanted.name}) {judged.known.value}"


def _shown(example: Counterexample) -> list[str]:
    if not example.shapes:
        return []
    lines = [
        f"Kind: {example.kind}.",
        f"Shapes: {', '.join(map(str, example.shapes))}.",
        f"Start: {_numbers(example.initial)}.",
    ]
    lines += [f"Gradients of step {step}: {_numbers(rows)}." for step, rows in enumerate(example.gradients, start=1)]
    return [*lines, *(f"Moved: {each}." for each in example.moved)]


def _numbers(rows: tuple[tuple[float, ...] | None, ...]) -> str:
    return ", ".join("None" if row is None else f"[{', '.join(f'{each:g}' for each in row)}]" for row in rows)


# --- one test for each property ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A test of one property of one optimizer; call it."""

    judge: Callable[[], Verdict]
    wanted: Property

    def __call__(self) -> None:
        """Fail with PropertyFailure if the property is violated."""
        verdict = self.judge()
        message = failure_of(verdict, self.wanted)
        if message:
            raise PropertyFailure(message, verdict)


def parametrize_with_properties(
    builds: Mapping[str, Build],
    *,
    wanted: tuple[Property, ...] = tuple(Property),
    allowed: Mapping[tuple[str, str], str] | None = None,
) -> pytest.MarkDecorator:
    """A decorator that gives a test its argument `check`, one for each optimizer and property; the test calls it.

    The ids are such as `mine-F`. allowed: reasons for which (name, property) may fail, such as `("mine", "F")`; an
    allowance that is not needed fails, too.

        @parametrize_with_properties({"mine": Mine}, allowed={("mine", "F"): "decays its weights"})
        def test_properties(check): check()

    Fails: InvalidInput for an allowance without a reason, or of something that is not tested.
    """
    import pytest

    excused = dict(allowed or {})
    ids = {(name, each.name) for name in builds for each in wanted}
    for key, reason in excused.items():
        if key not in ids:
            raise InvalidInput(f"allowed: {key!r} is not tested; expected one of the optimizers with a property")
        if not reason.strip():
            raise InvalidInput(f"allowed: {key!r} has no reason; expected a sentence")
    parameters = []
    for name, build in builds.items():
        judge = functools.lru_cache(maxsize=1)(functools.partial(judge_build, build, name))
        for each in wanted:
            marks: Any = ()
            if (name, each.name) in excused:
                why = excused[name, each.name]
                marks = pytest.mark.xfail(raises=PropertyFailure, reason=why, strict=True)
            parameters.append(pytest.param(Check(judge, each), id=f"{name}-{each.name}", marks=marks))
    return pytest.mark.parametrize("check", parameters)


def property_named(name: str) -> Property:
    """The property with this name. Fails: InvalidInput if there is none."""
    if name not in Property.__members__:
        known = list(Property.__members__)
        raise InvalidInput(f"property {name!r}: expected one of {', '.join(known)}{did_you_mean(name.upper(), known)}")
    return Property[name]
