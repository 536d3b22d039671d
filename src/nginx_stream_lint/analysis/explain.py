"""Make an explainer for the nginx that the user names, alone or in a chain of proxies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from nginx_stream_lint.analysis.explainer import Explainer, Explanation
from nginx_stream_lint.analysis.explainers import Explainers
from nginx_stream_lint.analysis.lint import (
    Options,
    read,
)
from nginx_stream_lint.analysis.stream_paths import (
    ProductPosition,
)
from nginx_stream_lint.config import Configuration, IncludeResolver, Problem
from nginx_stream_lint.config.configuration import read_all
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.tiers.in_front import named_tier
from nginx_stream_lint.tiers.products import product_names
from nginx_stream_lint.util.budget import spending
from nginx_stream_lint.util.problems import Unreadable, nearest_words


class NoServer(Unreadable):
    """The configuration has no server; `problems` say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[-1])
        self.problems = tuple(problems)


def explain(
    workspace: Workspace,
    conf: str,
    urls: Sequence[str],
    options: Options | None = None,
    *,
    method: str = "GET",
    documents: str | None = None,
    through: Sequence[str] = (),
) -> list[Explanation]:
    """Explain which location handles each URL in a configuration, and what happens there.

    `conf` is the main file, or any input of `lint`; `documents` a folder of the workspace to use as
    every `root`; `through` are the configurations of the nginx in front of it, and the names of
    other proxies there, nearest first. The last nginx gets the request. Raises `BadUrl`, and
    `NoServer` if a configuration has no server.

    >>> from nginx_stream_lint import Workspace, explain
    >>> text = "server { location /api/ { proxy_pass http://127.0.0.1:8000; } }"
    >>> [one] = explain(Workspace.in_memory({"nginx.conf": text}), "nginx.conf", ["/api/chat"])
    >>> one.route.location.label
    'location /api/'
    >>> one.read_timeout_s
    60.0
    """
    requests = [(url, parse_url(url, method.upper())) for url in urls]
    options = options or Options()
    explainers = make_explainers(workspace, conf, options, documents, through=through)
    return [one for _, one in explainers.explain_all(requests)]


def make_explainers(
    workspace: Workspace,
    conf: str,
    options: Options,
    documents: str | None = None,
    streams: bool = False,
    through: Sequence[str] = (),
) -> Explainers:
    """Return the explainers for the configurations of a path.

    With other nginx in front (`through`), there is one: that of the last nginx of the chain. Of
    several configurations for a path of a chain, it uses the first one with a server. Raises
    `NoServer`.
    """
    files = None if documents is None else DocumentRoot(workspace, documents)
    chain: list[Explainer] = []
    products: list[ProductPosition] = []
    explainers: Explainers | None = None
    for path in _chain(workspace, conf, options, through):
        product = None if workspace.exists(path) else named_tier(path)
        if product is not None:
            products.append(ProductPosition(product, chain[-1].nginx if chain else None))
        else:
            explainers = _explainers(workspace, path, options, files, streams, chain)
            chain.append(explainers.first)
    if explainers is None:
        raise NoServer([Problem(conf, 1, 1, "is not an nginx configuration", "name one as CONF")])
    if not through:
        products += _declared_products(workspace, options, chain)
    explainers.first.products = tuple(products)
    return explainers if len(chain) == 1 and not products else Explainers(explainers.first)


def _declared_products(
    workspace: Workspace, options: Options, chain: Sequence[Explainer]
) -> Iterable[ProductPosition]:
    """The products that the settings name, in front of the nginx of a chain."""
    for proxy in options.proxies:
        tier = named_tier(proxy.product)
        if tier is None:
            continue
        place = proxy.place
        tier = replace(tier, file=place.file, line=place.line, because="named in the settings")
        if proxy.behind is None:
            front = None if options.tiers else chain[-1].nginx
            yield ProductPosition(tier, front)
            continue
        key = workspace.key(proxy.behind)
        for one in chain:
            if workspace.key(one.nginx.name) == key:
                yield ProductPosition(tier, one.nginx)


def _chain(
    workspace: Workspace, conf: str, options: Options, through: Sequence[str]
) -> Sequence[str]:
    """The configurations to explain, nearest the app first: those of the settings or `through`.

    Products are named among them. Raises `NoServer` for a name that is no file and no product.
    """
    known = {workspace.key(path) for path in options.tiers}
    if not through and workspace.key(conf) in known:
        return options.tiers
    for name in through:
        is_path = os.path.dirname(name) != ""
        if not is_path and not workspace.exists(name) and named_tier(name) is None:
            near = nearest_words(name, product_names()).removeprefix("; ")
            message = "there is no such file, and no product of this name"
            raise NoServer([Problem(name, 1, 1, message, near or "check the name")])
    return (conf, *through)


def _explainers(
    workspace: Workspace,
    conf: str,
    options: Options,
    files: DocumentRoot | None,
    streams: bool,
    behind: Sequence[Explainer],
) -> Explainers:
    with spending(workspace.budget):
        found = read(workspace, [conf], options.input_options, behind=True)

    def explainers(behind: Sequence[Explainer]) -> Iterator[Explainer]:
        for one in found:
            if one.root is not None:
                with spending(workspace.budget):
                    explainer = _explainer(workspace, one, options, files, streams, behind)
                if explainer.servers:
                    explainer.other_nginx = _others_that_read(one, found)
                    yield explainer

    # A copy: the caller adds to the chain.
    made = explainers(tuple(behind))
    first = next(made, None)
    if first is not None:
        return Explainers(first, made if len(found) > 1 else ())
    problems = [problem for one in found for problem in one.problems]
    if not problems or any(one.root is not None for one in found):
        advice = "name a file with a server or location"
        problems.append(Problem(conf, 1, 1, "there is no server in it", advice))
    raise NoServer(problems)


def _others_that_read(one: Configuration, found: Sequence[Configuration]) -> list[Deployed]:
    """The other nginx of the deployment that read a file, or a text in one, of a configuration."""
    if one.deployed is None:
        return []
    own = set(_texts(one))
    others = {each.deployed: each for each in found if each.deployed is not one.deployed}
    return [
        nginx
        for nginx, each in others.items()
        if nginx is not None and any(text in own for text in _texts(each))
    ]


def _texts(configuration: Configuration) -> Iterator[tuple[str, tuple[int, int]]]:
    """The files of a configuration, with the spans of their texts, except an image's own."""
    for file in configuration.files:
        if not file.source.is_from_image:
            yield file.source.key, file.reading.region


def _explainer(
    workspace: Workspace,
    configuration: Configuration,
    options: Options,
    files: DocumentRoot | None,
    streams: bool,
    behind: Sequence[Explainer],
) -> Explainer:
    def read_other(nginx: Deployed) -> Configuration | None:
        return _configuration_of(workspace, nginx, options)

    return Explainer(configuration, options, files, streams, workspace.budget, behind, read_other)


def explainer_in_front(
    workspace: Workspace, configuration: Configuration, options: Options, behind: Sequence[str]
) -> Explainer:
    """Return an explainer for a configuration in front of other nginx, nearest the app first.

    Raises `NoServer`.
    """
    chain: list[Explainer] = []
    for path in behind:
        chain.append(_explainers(workspace, path, options, None, False, chain).first)
    with spending(workspace.budget):
        return _explainer(workspace, configuration, options, None, False, chain)


def named_chain(
    workspace: Workspace, conf: str, options: Options, through: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The nginx of a named chain, nearest the app first, and the names of its other proxies."""
    found = _chain(workspace, conf, options, through)
    others = [one for one in found if not workspace.exists(one) and named_tier(one) is not None]
    others += [one.product for one in options.proxies if not through]
    return [one for one in found if one not in others], others


def _configuration_of(
    workspace: Workspace, nginx: Deployed, options: Options
) -> Configuration | None:
    """The configuration of another nginx of the deployment; None if it cannot be read."""
    if nginx.main is None:
        return None
    input_options = options.input_options
    files = IncludeResolver(
        workspace, input_options.values, input_options.absent, mounts=input_options.mounts
    )
    found = read_all(nginx.main, files.of(nginx))
    return next((one for one in found if one.root is not None), None)
