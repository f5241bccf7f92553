"""Puts a certificate into a file: all of it or nothing, and never over something that is not a certificate."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from theorems.errors import InvalidInput
from verify.certificate.checker import check_file

__all__ = ["check_place", "save_certificate"]

NO_CERTIFICATE = 2


def check_place(path: Path) -> None:
    """See that a certificate may be put there, before it is made.

    Fails: InvalidInput if the place holds something that is not a certificate, or its folder does not exist.
    """
    try:
        taken = os.path.lexists(path) and check_file(str(path)).code == NO_CERTIFICATE
        folder = path.parent.is_dir()
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    if taken:
        raise InvalidInput(
            f"--certificate={str(path)!r} holds something that is not a certificate; expected a new name or an "
            "earlier certificate"
        )
    if not folder:
        raise InvalidInput(f"--certificate={str(path)!r}: there is no folder {str(path.parent)!r}; expected one")


def save_certificate(text: bytes, path: Path) -> None:
    """Write a certificate; an earlier one is replaced. Fails: InvalidInput if that is not possible."""
    check_place(path)
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(text)
            os.chmod(partial, 0o666 & ~_umask())
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError | ValueError) -> InvalidInput:
    reason = error.strerror if isinstance(error, OSError) else error
    return InvalidInput(f"--certificate={str(path)!r} cannot be written: {reason}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
