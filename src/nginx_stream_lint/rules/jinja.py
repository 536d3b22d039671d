"""Import Jinja without its loaders and bytecode cache.

They take 7 of 23 ms. Ten locations with findings took 136 ms in all, and should not take longer
than gixy-ng's 109 ms (docs/benchmarks.md).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec


def prepare() -> None:
    """Let the package `jinja2` import its parts on demand, if it was not imported before.

    `from jinja2.sandbox import …` then imports that module and what it needs. The first use of a
    name of the package itself, by anyone in this process, imports all of it as usual.
    """
    if "jinja2" in sys.modules:
        return
    spec = find_spec("jinja2")
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    package = module_from_spec(spec)

    def complete(name: str) -> object:
        if find_spec(f"jinja2.{name}") is not None:
            return import_module(f"jinja2.{name}")
        # Two threads may do this at once: the second assigns the same names again.
        loader.exec_module(package)
        vars(package).pop("__getattr__", None)
        return getattr(package, name)

    vars(package)["__getattr__"] = complete
    sys.modules.setdefault("jinja2", package)
