"""Methods of one's own: ``module:attribute`` of any importable module, in a study's ``methods``."""

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dspy

from magnet.core.errors import UsageError
from programs.asking import why_not
from programs.counselor import Counselor
from programs.profile import Profile

_FORM = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<attribute>[A-Za-z_]\w*)")
#: What a counselor is called with (see ``programs.play``).
_GIVEN = {"seed", "history", "plan", "draw"}


def is_own(method: str) -> bool:
    """Whether an entry of a study's ``methods`` is of the form ``module:attribute``."""
    return _FORM.fullmatch(method) is not None


def name_of(method: str) -> str:
    """A method's name in sessions and tables: what stands behind the colon."""
    return method.rpartition(":")[2]


def look_in(folders: Iterable[Path]) -> None:
    """Puts folders at the end of the import path: what is installed comes first."""
    for folder in map(str, map(Path.absolute, folders)):
        if folder not in sys.path:
            sys.path.append(folder)


def source_sha256(method: str) -> str:
    """Hex sha256 of the file a method's module is in; that of nothing where it has no file."""
    spec = importlib.util.find_spec(method.partition(":")[0])
    path = Path(spec.origin) if spec and spec.origin else None
    return hashlib.sha256(path.read_bytes() if path and path.is_file() else b"").hexdigest()


def _load(method: str) -> Any:
    """What ``module:attribute`` names."""
    module, attribute = method.split(":")
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _failed(method, "its module fails on import", error) from None
        raise UsageError(
            f"methods: {method!r}: no module named {module!r}",
            "It is looked up among installed packages, in the working directory and next to the "
            "study.",
        ) from None
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise _failed(method, "its module fails on import", error) from None
    if not hasattr(loaded, attribute):
        raise UsageError(
            f"methods: {method!r}: {loaded.__file__ or module} has no {attribute!r}",
            "After the colon, name a class or function that creates the counselor.",
        )
    return getattr(loaded, attribute)


def _failed(method: str, when: str, error: Exception) -> UsageError:
    frames = traceback.extract_tb(error.__traceback__)
    path, line = getattr(error, "filename", None), getattr(error, "lineno", None)
    if path is None and frames:  # else a SyntaxError, which names its own place
        path, line = frames[-1].filename, frames[-1].lineno
    first = str(error).splitlines()[0] if str(error) else ""
    return UsageError(
        f"methods: {method!r}: {when}: {type(error).__name__}: {first}", f"At {path}, line {line}."
    )


def make_own(method: str, prompts: str, profile: Profile) -> dspy.Module:
    """The program of a method of one's own.

    Args:
        method: ``module:attribute``.
        prompts: a prompt set; the attribute is called with it, and with
        profile: what agents see and how they are read.

    Raises:
        UsageError: there is no such thing, or it makes no counselor.
    """
    make = _load(method)
    if not callable(make) or isinstance(make, dspy.Module):
        kind = type(make).__name__
        raise UsageError(
            f"methods: {method!r} is not a class or function but {kind!r}",
            "Name what creates the counselor; it is called with a prompt set and a profile.",
        )
    try:
        program = make(prompts, profile)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise _failed(method, "it cannot be called with (prompts, profile)", error) from None
    why = why_not(program, _GIVEN)
    if why is None and isinstance(program, Counselor) and type(program).reply is Counselor.reply:
        why = "is a Counselor that defines no reply"
    if why is not None:
        raise UsageError(
            f"methods: {method!r}: what it makes {why}",
            "A counselor is a dspy.Module that is called with seed, history, plan and draw, or "
            "those of them it names, and returns dspy.Prediction(reply=...).",
        )
    return program
