"""What tests of the compiled engines share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verify.simulation.fused import compiler, library

Plant = Callable[[str, str, str], None]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """Puts a wrong text for a right one in a source or header of the kernels, for the rest of a test."""
    sources = tmp_path / "sources"
    shutil.copytree(compiler.SOURCES, sources, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    caches = library.source, compiler._header

    def clear() -> None:
        for cache in caches:
            cache.cache_clear()

    def put(name: str, right: str, wrong: str) -> None:
        text = (sources / name).read_text(encoding="utf-8")
        assert right in text
        (sources / name).write_text(text.replace(right, wrong), encoding="utf-8")
        clear()

    with monkeypatch.context() as patched:
        patched.setattr(compiler, "SOURCES", sources)
        patched.setattr(library, "SOURCES", sources)
        clear()
        yield put
    clear()
