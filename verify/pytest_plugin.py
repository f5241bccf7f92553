"""The pytest plugin: `pytest --nonconv-optimizer package.module:Class` adds a test for each property of math §2.

It imports torch only when such tests are asked for. In a configuration file:

    nonconv_optimizers = package.module:Class
    nonconv_allow = package.module:Class F: it decays its weights

An allowance needs a reason, and fails when it is no longer needed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from theorems.hypotheses import Property
    from verify.optimizers.verdict import Verdict

__all__ = ["PropertyItem"]

MARKER = "nonconv_optimizer"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and settings."""
    group = parser.getgroup("nonconv", "properties of optimizers (nonconv)")
    group.addoption(
        "--nonconv-optimizer",
        action="append",
        default=[],
        metavar="TARGET",
        help="test which properties package.module:Class has; may be repeated",
    )
    parser.addini("nonconv_optimizers", "optimizers to test, as with --nonconv-optimizer", type="linelist", default=[])
    parser.addini(
        "nonconv_allow",
        "properties that may be violated: 'package.module:Class F: reason'",
        type="linelist",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the tests made here."""
    config.addinivalue_line("markers", f"{MARKER}: a property of an optimizer, tested by nonconv")


def _targets(config: pytest.Config) -> list[str]:
    given: Iterable[Any] = [*config.getoption("nonconv_optimizer"), *config.getini("nonconv_optimizers")]
    return list(dict.fromkeys(str(each) for each in given))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each optimizer and property, before `-k` and `-m` choose."""
    targets = _targets(config)
    allowed = _allowances(config.getini("nonconv_allow"), targets) if targets else {}
    if targets:
        from theorems.hypotheses import Property

        for target in targets:
            for wanted in Property:
                name = f"{target}[{wanted.name}]"
                item = PropertyItem.from_parent(session, name=name, target=target, wanted=wanted)
                item.add_marker(MARKER)
                reason = allowed.get((target, wanted.name))
                if reason is not None:
                    from verify.optimizers.testing import PropertyFailure

                    item.add_marker(pytest.mark.xfail(raises=PropertyFailure, reason=reason, strict=True))
                items.append(item)


def _allowances(lines: Iterable[str], targets: list[str]) -> dict[tuple[str, str], str]:
    from theorems.errors import InvalidInput
    from verify.optimizers.testing import property_named

    found: dict[tuple[str, str], str] = {}
    for line in lines:
        target, _, rest = line.strip().partition(" ")
        name, colon, reason = rest.partition(":")
        if not colon or not reason.strip():
            raise pytest.UsageError(f"nonconv_allow: {line!r}: expected 'package.module:Class PROPERTY: reason'")
        try:
            wanted = property_named(name.strip())
        except InvalidInput as error:
            raise pytest.UsageError(f"nonconv_allow: {error}") from error
        if target in targets:
            found[target, wanted.name] = reason.strip()
    return found


class PropertyItem(pytest.Item):
    """The test of one property of one optimizer; all of an optimizer share one verdict."""

    def __init__(self, *, target: str, wanted: Property, **more: Any) -> None:
        super().__init__(**more)
        self.target, self.wanted = target, wanted

    def runtest(self) -> None:
        """Judge the optimizer, once in a session, and look at this property."""
        from verify.optimizers.testing import PropertyFailure, failure_of

        verdict = _verdict(self.target)
        judged = verdict.about(self.wanted)
        self.user_properties += [("nonconv", judged.known.value), ("nonconv_theorems", " ".join(verdict.theorems))]
        message = failure_of(verdict, self.wanted)
        if message:
            raise PropertyFailure(message, verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentences alone, for what the optimizer does; a traceback for anything else."""
        from theorems.errors import InvalidInput
        from verify.optimizers.testing import PropertyFailure

        if isinstance(excinfo.value, PropertyFailure | InvalidInput):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        """Where it is listed."""
        return self.path, None, f"nonconv: {self.name}"


@functools.lru_cache(maxsize=64)
def _verdict(target: str) -> Verdict:
    from verify.optimizers.verdict import judge_optimizer

    return judge_optimizer(target)
