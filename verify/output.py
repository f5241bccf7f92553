"""Writing an audit's folder: all of it or nothing, and never over something that is not an audit."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from theorems.errors import InvalidInput
from verify.certificate.names import FOLDER as CERTIFICATES
from verify.report import FORMATS, OWN_NAMES, PARTIAL, write_reports
from verify.results import Results

__all__ = ["OutputFolder", "PartialFolder", "results_json", "write_again"]

RESULTS, MANIFEST = "results.json", "manifest.json"
OWN = {RESULTS, MANIFEST, CERTIFICATES} | OWN_NAMES


def results_json(results: Results) -> str:
    """Write results as JSON text."""
    return msgspec.json.format(msgspec.json.encode(results), indent=1).decode()


@dataclass(frozen=True)
class PartialFolder:
    """A folder that is being filled and is not yet in its place."""

    path: Path

    def write_manifest(self, manifest: dict[str, object]) -> None:
        """Write what is fixed before sampling."""
        (self.path / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def write_certificates(self, texts: Mapping[str, bytes]) -> None:
        """Write certificates, by their file names."""
        folder = self.path / CERTIFICATES
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_bytes(text)

    def write_results(self, results: Results) -> None:
        """Write results and reports."""
        (self.path / RESULTS).write_text(results_json(results), encoding="utf-8")
        write_reports(results, self.path)


@dataclass(frozen=True)
class OutputFolder:
    """Where an audit goes. An earlier audit there is replaced as a whole; anything else there is left alone."""

    path: Path

    @contextmanager
    def writing(self) -> Iterator[PartialFolder]:
        """Give a folder beside the final one; it takes its place if the block ends well, and vanishes if not.

        Fails: InvalidInput if the place holds something that is not an audit, or cannot be written.
        """
        try:
            self._check_replaceable()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        except InvalidInput:
            raise
        except (OSError, ValueError) as error:
            raise _unwritable(self.path, error) from error
        try:
            yield PartialFolder(partial)
            self._put_in_place(partial)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _check_replaceable(self) -> None:
        if self.path.is_symlink():
            raise InvalidInput(f"output folder {str(self.path)!r} is a link; expected a folder or a new name")
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InvalidInput(f"output folder {str(self.path)!r} is a file; expected a folder or a new name")
        names = {entry.name for entry in self.path.iterdir()}
        foreign = sorted(name for name in names - OWN if not name.startswith(PARTIAL))
        if foreign or (names and RESULTS not in names):
            why = f"such as {foreign[0]!r}" if foreign else f"it has no {RESULTS}"
            raise InvalidInput(
                f"output folder {str(self.path)!r} holds something that is not an audit ({why}); "
                "expected an empty folder, an earlier audit or a new name"
            )

    def _put_in_place(self, partial: Path) -> None:
        """Swap folders by renaming; the earlier audit is removed only once the new one is in its place."""
        partial.chmod(0o777 & ~_umask())
        if not self.path.exists():
            os.rename(partial, self.path)
            return
        earlier = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        os.rename(self.path, earlier)
        try:
            os.rename(partial, self.path)
        except BaseException:
            if not self.path.exists():
                os.rename(earlier, self.path)
            raise
        shutil.rmtree(earlier, ignore_errors=True)


def _unwritable(path: Path, error: OSError | ValueError) -> InvalidInput:
    reason = error.strerror if isinstance(error, OSError) else error
    return InvalidInput(f"output folder {str(path)!r} cannot be written: {reason}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_again(results: Results, folder: Path, formats: Sequence[str] = FORMATS) -> list[str]:
    """Write the reports of existing results into a folder; return the files. Fails: InvalidInput."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from error
    try:
        return write_reports(results, folder, formats)
    except OSError as error:
        raise _unwritable(folder, error) from error
