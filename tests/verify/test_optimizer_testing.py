"""The author's tools, used as an outside author would: a small package of optimizers in a folder of its own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
import torch

from tests.verify import planted_optimizers as planted
from theorems.errors import InvalidInput
from theorems.hypotheses import Property
from verify.optimizers.known import Known
from verify.optimizers.testing import PropertyFailure, assert_freezes, parametrize_with_properties, property_named

pytest_plugins = ["pytester"]

PACKAGE = """
import torch


class Good(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"])


class Decaying(Good):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(0.9)
        super().step()
"""


def plugin() -> tuple[str, ...]:
    """How to load the plugin if this installation is older than its entry point."""
    known = importlib.metadata.entry_points(group="pytest11", name="nonconv")
    return () if known else ("-p", "verify.pytest_plugin")


def outside(pytester: pytest.Pytester, name: str) -> str:
    pytester.mkpydir(name)
    (pytester.path / name / "__init__.py").write_text(PACKAGE)
    pytester.syspathinsert()
    return name


# --- assert_freezes ----------------------------------------------------------------------------------------------


def test_what_freezes_passes_and_says_how_it_is_known() -> None:
    found = assert_freezes(lambda params: torch.optim.SGD(params, lr=1e-3), proved=True)
    assert found.about(Property.F).known is Known.CODE


def test_what_does_not_freeze_fails_with_a_counterexample_and_what_remains() -> None:
    with pytest.raises(PropertyFailure) as caught:
        assert_freezes(lambda params: torch.optim.AdamW(params, lr=1e-3), name="mine")
    told = str(caught.value)
    assert "(F) freeze is violated by mine: at step 1 (decoupled decay)" in told
    assert "Kind: decoupled decay." in told
    assert "Shapes: (1, 1), (1,), (1, 1), (1,)." in told
    assert "Gradients of step 1:" in told
    assert "Moved: parameter " in told
    assert "(FB) violated, (DJ) proved on the code, (DW) violated" in told
    assert "Theorems that remain, by what is proved: T1, " in told
    assert "T10" not in told
    assert "from torch.optim import AdamW" in told
    assert caught.value.verdict.about(Property.F).known is Known.VIOLATED


def test_a_weaker_property_can_be_asked_for_and_has_its_own_counterexample() -> None:
    assert_freezes(planted.DecoupledDecay, wanted=Property.DJ, proved=True)
    with pytest.raises(PropertyFailure, match=r"\(DW\) joint weight decay is violated by the optimizer"):
        assert_freezes(planted.DecoupledDecay, wanted=Property.DW)


def test_tested_is_enough_unless_a_proof_is_demanded() -> None:
    class Clock(planted.Plain):
        def move(self, p, g, kept, group):
            import time

            kept["seen"] = time.monotonic()
            super().move(p, g, kept, group)

    assert assert_freezes(Clock, histories=10).about(Property.F).known is Known.TESTED
    with pytest.raises(PropertyFailure, match=r"is not proved for the optimizer \(tested\)"):
        assert_freezes(Clock, histories=10, proved=True)


def test_what_cannot_be_run_is_no_failure_of_a_property() -> None:
    with pytest.raises(InvalidInput, match="cannot be judged"):
        assert_freezes(planted.RaisesInStep)


# --- the decorator -----------------------------------------------------------------------------------------------


@parametrize_with_properties(
    {"plain": planted.Plain, "hidden": planted.HiddenDecay},
    wanted=(Property.F, Property.DJ),
    allowed={("hidden", "F"): "decays by 0.999 a step"},
)
def test_properties_of_two(check) -> None:
    check()


@pytest.mark.parametrize(
    ("allowed", "told"),
    [({("plain", "F"): " "}, "has no reason"), ({("other", "F"): "why"}, "is not tested")],
)
def test_allowances_need_a_reason_and_something_to_allow(allowed: dict[tuple[str, str], str], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        parametrize_with_properties({"plain": planted.Plain}, allowed=allowed)


def test_properties_by_name() -> None:
    assert property_named("DJ") is Property.DJ
    with pytest.raises(InvalidInput, match="did you mean 'DJ'"):
        property_named("dj")


# --- the plugin --------------------------------------------------------------------------------------------------


def test_the_plugin_passes_and_fails_property_by_property(pytester: pytest.Pytester) -> None:
    name = outside(pytester, "authors_one")
    ran = pytester.runpytest_inprocess(
        *plugin(), "-v", "--nonconv-optimizer", f"{name}:Good", "--nonconv-optimizer", f"{name}:Decaying"
    )
    ran.assert_outcomes(passed=8 + 5, failed=3)
    ran.stdout.fnmatch_lines([f"*{name}:Good?F?*PASSED*", f"*{name}:Decaying?F?*FAILED*"])
    ran.stdout.fnmatch_lines(["(F) freeze is violated by authors_one:Decaying: at step 1 (decoupled decay)*"])
    assert "Traceback" not in ran.stdout.str()


def test_ids_work_with_k_and_markers_with_m(pytester: pytest.Pytester) -> None:
    name = outside(pytester, "authors_two")
    pytester.makepyfile("def test_own(): pass")
    options = (*plugin(), "--strict-markers", "--nonconv-optimizer", f"{name}:Decaying")
    pytester.runpytest_inprocess(*options, "-k", "Decaying and DJ").assert_outcomes(passed=1, deselected=8)
    pytester.runpytest_inprocess(*options, "-m", "not nonconv_optimizer").assert_outcomes(passed=1, deselected=8)


def test_allowances_with_reasons_in_the_configuration(pytester: pytest.Pytester) -> None:
    name = outside(pytester, "authors_three")
    lines = [f"{name}:Decaying {each}: decays all parameters" for each in ("F", "FB", "DW")]
    told = "\n    ".join(["nonconv_allow =", *lines])
    pytester.makeini(f"[pytest]\nnonconv_optimizers = {name}:Decaying\n{told}\n")
    pytester.runpytest_inprocess(*plugin()).assert_outcomes(passed=5, xfailed=3)
    unneeded = f"{told}\n    {name}:Decaying DJ: not needed"
    pytester.makeini(f"[pytest]\nnonconv_optimizers = {name}:Decaying\n{unneeded}\n")
    pytester.runpytest_inprocess(*plugin()).assert_outcomes(passed=4, xfailed=3, failed=1)


@pytest.mark.parametrize("line", ["{}:Good F", "{}:Good F:", "{}:Good Q: why"])
def test_bad_allowances_are_usage_errors(line: str, pytester: pytest.Pytester) -> None:
    name = outside(pytester, "authors_four")
    pytester.makeini(f"[pytest]\nnonconv_optimizers = {name}:Good\nnonconv_allow = {line.format(name)}\n")
    ran = pytester.runpytest_inprocess(*plugin())
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*nonconv_allow*"])


def test_a_target_that_cannot_be_imported_fails_with_one_sentence(pytester: pytest.Pytester) -> None:
    ran = pytester.runpytest_inprocess(*plugin(), "--nonconv-optimizer", "nowhere_at_all:X", "-k", "DJ")
    ran.assert_outcomes(failed=1, deselected=7)
    ran.stdout.fnmatch_lines(["optimizer 'nowhere_at_all:X' cannot be imported*"])


def test_the_plugin_does_not_import_torch() -> None:
    code = "import sys, verify.pytest_plugin; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
