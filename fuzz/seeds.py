"""What mutation starts from: small inputs of every kind, the smallest first.

They are the files below `fuzz/seeds`, fixtures and examples of the shipped rules, and real
configurations where they lie beside the checkout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.kubernetes.manifests import every_annotation, ingress, value_of

from nginx_stream_lint.kubernetes.controllers import ingress_nginx, nginx_org
from nginx_stream_lint.rules.shipped import builtin_folder, shipped_rules

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
# Beside the checkout, or beside the folder of its worktrees.
_CORPORA = [folder / "shared" / "corpus" / "files" for folder in _ROOT.parents[:2]]
_SHOWN_BYTES = 4000
_MAX_BYTES = 8 * 1024  # larger files only make each case slower

_TOGETHER = 5

# Kinds of configuration, which lint and explain read; the folders below `fuzz/seeds` are named so.
CONFIGURATIONS = ("nginx", "template", "yaml", "markdown", "dump")


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """One input: a file. Its name decides how it is read, as it does for users."""

    name: str
    data: bytes

    def __repr__(self) -> str:
        more = len(self.data) - _SHOWN_BYTES
        dots = f" and {more} bytes more" if more > 0 else ""
        return f"{self.name}: {self.data[:_SHOWN_BYTES]!r}{dots}"

    @property
    def text(self) -> str:
        """The content; bytes that are not UTF-8 become lone surrogates."""
        return self.data.decode("utf-8", "surrogateescape")


def case(name: str, text: str) -> Case:
    """The case with this text; a surrogate that stands for no byte becomes a question mark."""
    try:
        return Case(name, text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return Case(name, text.encode("utf-8", "replace"))


@cache
def seeds(kind: str, with_corpus: bool = False) -> tuple[Case, ...]:
    """The seeds of a kind, the smallest first. `with_corpus`: real configurations, too."""
    found = [Case(path.name, path.read_bytes()) for path in _files(_HERE / "seeds" / kind)]
    found += _MORE.get(kind, _nothing)()
    if with_corpus and kind in CONFIGURATIONS:
        found += [one for one in _corpus() if _kind(one.name) == kind]
    found = [one for one in found if len(one.data) <= _MAX_BYTES]
    assert found, f"no seeds for {kind}"
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (len(one.data), one.data)))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _nothing() -> Iterator[Case]:
    yield from ()


def _nginx() -> Iterator[Case]:
    for path in _files(_ROOT / "fixtures" / "demo"):
        yield Case("nginx.conf", path.read_bytes())
    for text in _examples():
        if not text.startswith("apiVersion:"):
            # nginx only takes a whole main file.
            yield case("nginx.conf", f"events {{}}\nhttp {{\n{text}}}\n")


def _yaml() -> Iterator[Case]:
    for path in _files(_ROOT / "fixtures" / "kubernetes"):
        yield Case("ingress.yaml", path.read_bytes())
    for text in (*_examples(), *_annotated()):
        if text.startswith("apiVersion:"):
            yield case("ingress.yaml", text)


def _annotated() -> Iterator[str]:
    """Every annotation that we know, a few in each manifest."""
    for controller in (ingress_nginx(), nginx_org()):
        known = every_annotation(controller)
        for start in range(0, len(known), _TOGETHER):
            names = known[start : start + _TOGETHER]
            values = {f"{controller.prefixes[0]}{n}": value_of(controller, n) for n in names}
            yield ingress(values, tls=start == 0)


def _rules() -> Iterator[Case]:
    for path in sorted(builtin_folder().glob("*.yaml")):
        yield Case(path.name, path.read_bytes())


def _examples() -> Iterator[str]:
    for rule in shipped_rules():
        for example in rule.examples:
            yield from filter(None, (example.bad, example.fixed, example.good))


_MORE = {"nginx": _nginx, "yaml": _yaml, "rule": _rules}


@cache
def _corpus() -> tuple[Case, ...]:
    return tuple(
        Case(path.name, path.read_bytes())
        for folder in _CORPORA
        for path in _files(folder)
        if path.stat().st_size <= _MAX_BYTES
    )


def _kind(name: str) -> str:
    """The kind of configuration that a file's name says it is."""
    if name.endswith((".yaml", ".yml", ".json")):
        return "yaml"
    if name.endswith((".md", ".mdx", ".rst")):
        return "markdown"
    return "nginx" if name.endswith(".conf") else "template"
