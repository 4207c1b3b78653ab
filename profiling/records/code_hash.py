"""A hash of the code that makes a value: of a module, and of every own module that it imports."""

import functools
import hashlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec

# Names are taken to be imported inside functions and texts as well: one too many costs a measurement.
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([\w.]+)", re.MULTILINE)
_OWN = __name__.partition(".")[0]


def code_hash(made_by: Callable[..., object]) -> str:
    """Return a hash of the source of a function's module and of all that it imports from these packages."""
    return _hash(made_by.__module__)


@functools.cache
def _hash(module: str) -> str:
    packages = {_OWN, module.partition(".")[0]}
    digest = hashlib.sha256()
    for name in sorted(_imported(module, packages)):
        digest.update(f"{name} {hashlib.sha256(_source(name)).hexdigest()}\n".encode())
    return digest.hexdigest()[:32]


def _imported(module: str, packages: set[str]) -> set[str]:
    """Return a module and every module of some packages that it imports, directly or through others."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        imported = (match.decode() for match in _IMPORT.findall(_source(name)))
        own = {one for other in imported if other.partition(".")[0] in packages for one in _modules(other)}
        waiting |= own - found
    return found


def _modules(name: str) -> Iterator[str]:
    """Yield a module, or a package with all modules in it: which of them are imported is not looked at."""
    yield name
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        for below in pkgutil.iter_modules(spec.submodule_search_locations):
            yield from _modules(f"{name}.{below.name}")


@functools.cache
def _source(module: str) -> bytes:
    """Return a module's file, wherever it was installed: from a folder or a wheel, as source or compiled."""
    spec = find_spec(module)
    get_data = None if spec is None else getattr(spec.loader, "get_data", None)
    if spec is None or spec.origin is None or get_data is None:
        return b""
    return bytes(get_data(spec.origin))
