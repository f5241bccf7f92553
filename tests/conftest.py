"""What every test shares: a deterministic hypothesis profile, a guard of flint's precision, versions in the header."""

from __future__ import annotations

from collections.abc import Iterator

import flint  # noqa: TID251  # the guard below watches the setting that only the door may touch
import hypothesis
import mpmath
import numpy as np
import pytest
import sympy
import torch

hypothesis.settings.register_profile(
    "nonconv", derandomize=True, deadline=None, max_examples=40, database=None, print_blob=False
)
hypothesis.settings.load_profile("nonconv")

DEFAULT_BITS = 53


def pytest_report_header() -> list[str]:
    return [
        f"python-flint {flint.__version__} (FLINT {flint.__FLINT_VERSION__}), mpmath {mpmath.__version__}, "
        f"sympy {sympy.__version__}, numpy {np.__version__}, torch {torch.__version__}"
    ]


@pytest.fixture(autouse=True)
def precision_is_left_alone() -> Iterator[None]:
    """Flint's precision is shared by the whole process: whatever a test does, it must find and leave the default."""
    assert flint.ctx.prec == DEFAULT_BITS
    yield
    assert flint.ctx.prec == DEFAULT_BITS


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread, for tests whose numbers or times depend on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
