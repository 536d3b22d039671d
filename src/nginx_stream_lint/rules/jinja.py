"""Jinja without its loaders and bytecode cache, which import 7 of its 23 ms.

That is a third of the time between our result and the slower of the linters beside which
`benchmarks/` measures ten locations with findings.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from threading import RLock


def prepare() -> None:
    """Let the package `jinja2` import its parts on demand, if nobody has imported it yet.

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
    lock = RLock()

    def complete(name: str) -> object:
        if find_spec(f"jinja2.{name}") is not None:
            raise AttributeError(name)  # a module of the package, which the caller then imports
        with lock:
            if vars(package).pop("__getattr__", None) is not None:
                loader.exec_module(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = complete
    sys.modules.setdefault("jinja2", package)
