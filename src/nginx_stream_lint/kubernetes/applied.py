"""Resources of controllers as kustomizations apply them: with their patches.

Without a kustomization that changes any, the resources of each file stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nginx_stream_lint.config.configuration import Configuration
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.templates import yaml_reading
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.author import ControllerAuthor
from nginx_stream_lint.kubernetes.conversion import Writer
from nginx_stream_lint.kubernetes.gateway_api import ApiObject, objects
from nginx_stream_lint.kubernetes.gateway_reading import repositories_of
from nginx_stream_lint.kubernetes.kustomized import Applied, Kustomize, with_patches
from nginx_stream_lint.kubernetes.manifest import Document, documents
from nginx_stream_lint.kubernetes.nginx_text import NginxText
from nginx_stream_lint.kubernetes.resources import CONTROLLED, Resource, classes, resources_of
from nginx_stream_lint.kubernetes.translate import (
    authors,
    concerns,
    converter,
    read_written,
    reading_of,
    written,
)
from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.problems import Unreadable

_KINDS = frozenset(kind for kinds in CONTROLLED.values() for kind in kinds)


def as_applied(
    made: Sequence[Configuration],
    named: Sequence[MappedText],
    files: IncludeResolver,
    kustomize: Kustomize,
) -> list[Configuration]:
    """Replace the configurations of resources by those with patches, if any patch changes some.

    `made` are the configurations of the resources in the named YAML texts, of each file alone.
    """
    own = [one for one in named if concerns(one.text)]
    kept = list(made)
    for top in repositories_of(own, files):
        applied = kustomize(files.workspace, files.repository(top).files)
        if applied.sets or applied.patches:
            kept = _Patching(applied, named, files).replaced(kept)
    return kept


class _Patching:
    """Applies the kustomizations of a repository to the resources of its files."""

    def __init__(
        self, applied: Applied, named: Sequence[MappedText], files: IncludeResolver
    ) -> None:
        self.applied = applied
        self.files = files
        self.texts = {one.source.key: one for one in named}
        self.named = frozenset(self.texts)
        self.documents: dict[str, list[Document]] = {}  # of the files read, by their keys

    def replaced(self, made: Sequence[Configuration]) -> list[Configuration]:
        """See `as_applied`."""
        sources = {one.key: one for one in self._sources()}
        every = [one for source in sources.values() for one in self._objects(source)]
        applied = with_patches(every, self.applied)
        left = {_place(one.document, one.span.start) for one in applied if one.project is None}
        gone = {_place(one.document, one.span.start) for one in every} - left
        gone |= self.applied.read - self._places()  # what patches delete
        found = [one for one in made if not self._is_replaced(one, gone)]
        by_file: dict[tuple[str, str], list[ApiObject]] = {}
        for one in applied:
            if one.project is not None:
                by_file.setdefault((one.project, one.path), []).append(one)
        most = in_force().left("made")
        is_first = True
        try:
            for several in by_file.values():
                if not is_first and in_force().left("made") < most // 2:
                    break  # many overlays of one base: those before stand for it
                if any(map(self._is_named, several)):
                    found += self._configurations(several)
                    is_first = False
        except Unreadable as stop:
            # The run may generate no more text.
            found.append(Configuration(stop.problem.file, problems=[stop.problem]))
        return found

    def _sources(self) -> Iterator[Source]:
        """The files with resources that a kustomization changes, and those with the patches."""
        for group in self.applied.sets:
            own = [
                one
                for one in group.objects
                if (kind := one.root.word("kind")) is not None and kind.text in _KINDS
            ]
            if group.is_reduced or any(one.others for one in own):
                for one in own:
                    yield one.source
                    yield from (source for _, source in one.others.values() if source.key)

    def _places(self) -> set[tuple[str, int]]:
        """Where the objects are that any kustomization applies."""
        return {
            (one.source.key, one.root.span.start)
            for group in self.applied.sets
            for one in group.objects
        }

    def _objects(self, source: Source) -> list[ApiObject]:
        if source.key not in self.texts:
            self.texts[source.key] = yaml_reading(source)
        found, _ = documents(source, self.texts[source.key].text)
        self.documents[source.key] = found
        return objects(found, CONTROLLED)

    def _is_replaced(self, one: Configuration, gone: set[tuple[str, int]]) -> bool:
        """Whether a configuration is that of a patch, or of a resource with others in `gone`."""
        author = one.author
        if not isinstance(author, ControllerAuthor):
            return False
        resource = author.resource
        place = _place(resource.document, resource.span.start)
        return place in gone or place[0] in self.applied.patches

    def _is_named(self, one: ApiObject) -> bool:
        """Whether a part of an object is in one of the named files."""
        written_in = [one.document, *(origin.document for origin in one.origins.values())]
        return any(document.source.key in self.named for document in written_in)

    def _configurations(self, several: Sequence[ApiObject]) -> Iterator[Configuration]:
        """The configurations of the objects of one file that a kustomization applies."""
        known = self.documents.get(self.files.key(several[0].path), ())
        controllers = dict(pair for document in known for pair in classes(document))
        every: list[Resource] = [one for each in several for one in resources_of(each)]
        for author in authors(every, controllers):
            maker = written(converter(author.controller, author.resource, author.settings))
            conditional = self.texts[maker.document.source.key].conditional

            def reading(
                part: Writer,
                text: NginxText,
                author: ControllerAuthor = author,
                conditional: tuple[tuple[int, int], ...] = conditional,
            ) -> MappedText:
                return reading_of(author, part, text, conditional)

            yield read_written(maker, [maker], reading, self.files)


def _place(document: Document, offset: int) -> tuple[str, int]:
    return document.source.key, offset
