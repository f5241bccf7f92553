"""Puts Coq files beside their certificates and lets `coqc` check them, where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from theorems.errors import InvalidInput
from verify.certificate.checker import shown
from verify.certificate.coq import MARK, CoqFile, coq_file

__all__ = ["INSTALL", "LIBRARY", "CoqAnswer", "Proofs"]

LIBRARY = ("Binomial", "Erf", "Enclosure", "Chain", "DeadNeuron")  # each needs only those before it
MOST_SECONDS = 1800
INSTALL = "install Coq 8.16 and coq-interval 4.6 or newer (Debian packages coq and libcoq-interval)"
PROVED, WRITTEN, CONTRADICTED = "proved", "written", "contradicted"


@dataclass(frozen=True)
class CoqAnswer:
    """What became of one certificate.

    Symbols: status = "proved", "written" (Coq did not decide) or "contradicted"; message = why it is not "proved".
    """

    path: Path
    made: CoqFile
    status: str
    seconds: float = 0.0
    message: str = ""

    @property
    def contradicts(self) -> bool:
        """Whether Coq refuses what the checker accepted."""
        return self.status == CONTRADICTED

    def lines(self) -> list[str]:
        """What is printed."""
        told = ", ".join(self.made.theorems) or "nothing"
        place, message = shown(str(self.path), 1000), shown(self.message, 1000)
        match self.status:
            case "proved":
                first = f"proved in Coq: {told} ({self.seconds:.1f} s, {place})"
            case "written":
                first = f"written for Coq: {told} ({place}); {message}"
            case _:
                first = f"COQ CONTRADICTS THE CHECKER ({place}): {message}"
        return [first, *(f"not in Coq: {item}" for item in self.made.omitted)]

    def to_json(self) -> dict[str, object]:
        """The member `coq` of `nonconv check --json --coq`."""
        found = {"file": str(self.path), "status": self.status, "theorems": list(self.made.theorems)}
        return found | {"omitted": list(self.made.omitted), "seconds": round(self.seconds, 1), "message": self.message}


@dataclass
class Proofs:
    """The Coq files of one command; the library is compiled once, when the first of them needs it.

    Symbols: out = the folder for the files, None: beside each certificate. Used as a context, for its temporary folder.
    """

    out: Path | None = None
    _folder: str = ""
    _hindrance: str | None = None  # why Coq cannot be asked; empty: it can
    _taken: dict[Path, Path] = field(default_factory=dict)

    def __enter__(self) -> Proofs:
        if self.out is not None and not self.out.is_dir():
            raise InvalidInput(f"--out={str(self.out)!r} is no folder; expected an existing one")
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def prove(self, certificate: Path) -> CoqAnswer:
        """Write the Coq file of a certificate that the checker accepts, and let Coq check it.

        Fails: InvalidInput if the file cannot be written, or holds something else than an earlier one.
        """
        try:
            made = coq_file(certificate.read_bytes())
        except OSError as error:
            raise InvalidInput(f"{str(certificate)!r} cannot be read: {error.strerror}") from error
        path = self._place(certificate)
        _save(made.text, path)
        hindrance = self.hindrance()
        if hindrance:
            return CoqAnswer(path, made, WRITTEN, message=hindrance)
        started = time.monotonic()
        try:
            message = self.refusal(made.text)
        except subprocess.TimeoutExpired:
            return CoqAnswer(path, made, WRITTEN, message=f"Coq was stopped after {MOST_SECONDS} seconds")
        status = PROVED if message is None else CONTRADICTED
        return CoqAnswer(path, made, status, time.monotonic() - started, message or "")

    def hindrance(self) -> str:
        """Why Coq cannot be asked here; empty if it can. The first call compiles the library."""
        if self._hindrance is None:
            self._hindrance = self._compile_library()
        return self._hindrance

    def refusal(self, text: str) -> str | None:
        """Let Coq read a file; its message if it does not accept it. Needs the library (`hindrance`)."""
        copy = Path(self._folder) / "Certificate.v"
        copy.write_text(text, encoding="ascii")
        return self._coqc(copy)

    def _place(self, certificate: Path) -> Path:
        """A file whose name is a name in Coq; two certificates never share one."""
        name = re.sub("[^A-Za-z0-9_]", "_", certificate.stem)
        name = name if name[:1].isalpha() else f"certificate_{name}"
        path = (certificate.parent if self.out is None else self.out) / f"{name}.v"
        other = self._taken.setdefault(path, certificate)
        if other != certificate:
            raise InvalidInput(
                f"{str(certificate)!r} and {str(other)!r} would both be written to {str(path)!r}; rename one"
            )
        return path

    def _compile_library(self) -> str:
        """Compile what all files use. Returns why this is not possible, an empty text if it is."""
        if shutil.which("coqc") is None:
            return f"it was not checked, as there is no coqc here: {INSTALL}"
        self._folder = tempfile.mkdtemp(prefix="nonconv-coq-")
        with as_file(files("verify.certificate") / "coq") as source:
            for name in LIBRARY:
                shutil.copy(source / f"{name}.v", self._folder)
        for name in LIBRARY:
            try:
                message = self._coqc(Path(self._folder) / f"{name}.v")
            except subprocess.TimeoutExpired:
                message = f"it was stopped after {MOST_SECONDS} seconds"
            if message is not None:
                return f"it was not checked, as the library does not compile with this coqc ({message}): {INSTALL}"
        return ""

    def _coqc(self, path: Path) -> str | None:
        """Compile a file; the message if that fails."""
        command = ["coqc", "-q", "-w", "none", "-Q", self._folder, "Nonconv", str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=MOST_SECONDS, check=False
        )
        if done.returncode == 0:
            return None
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return " ".join(lines)[-1000:] or f"coqc left with status {done.returncode}"


def _save(text: str, path: Path) -> None:
    """Write the file, unless something else is there."""
    try:
        if path.exists() and not path.read_bytes().startswith(MARK.encode("ascii")):
            raise InvalidInput(f"{str(path)!r} exists and is no Coq file from a certificate; move it or name --out")
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise InvalidInput(f"{str(path)!r} cannot be written: {error.strerror}") from error
