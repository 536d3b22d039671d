"""Find the configurations for the user's paths: main files, fragments, dumps, documents.

A file that a main file includes is read through that main file; any other file is read on its own.
If the user names only a snippet, as a pre-commit hook does, this searches for its main files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct, field

from nginx_stream_lint.config.configuration import (
    Configuration,
    Note,
    read_all,
    read_from,
    without_repeats,
)
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.config.documents import is_markdown, is_yaml, may_embed_nginx
from nginx_stream_lint.config.fragments import is_main
from nginx_stream_lint.config.includes import IncludeResolver, Mount
from nginx_stream_lint.config.main_files import has_http, plain_name
from nginx_stream_lint.config.mapped_text import MappedText, Regions
from nginx_stream_lint.config.templates import yaml_reading
from nginx_stream_lint.config.templates.detect import may_be_template
from nginx_stream_lint.config.tree import Directive
from nginx_stream_lint.files.dump import split_dump
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem, Unreadable, unexpected

if TYPE_CHECKING:
    from nginx_stream_lint.config.embedded import EmbeddedBlock

STDIN = "<stdin>"
# Texts of one YAML file whose names other texts of it may include, if these names are not unique.
_MAX_SHARED = 100

# Translates one YAML file to configurations. Arguments: its source, its text with placeholders
# masked, its conditional spans, and an include resolver.
Manifests = Callable[[Source, str, Regions, IncludeResolver], list[Configuration]]

# Translates the YAML files of a run together. Arguments: their texts, the configurations from
# single files, and an include resolver. Returns the configurations from one or several files.
Together = Callable[
    [Sequence[MappedText], Sequence[Configuration], IncludeResolver], list[Configuration]
]

# Finds nginx text in a YAML file. Arguments: its path, a key, and the line and column of the key.
Blocks = Callable[[str, str, tuple[int, int]], MappedText | None]

# Finds the nginx that a repository runs, with notes about what is unknown of them. Arguments: the
# workspace, the folder of the repository, its files, those YAML files that contain nginx text, that
# nginx text, and whether controllers generate configurations of the run.
Deployments = Callable[
    [Workspace, str, Sequence[str], Sequence[str], Blocks, bool],
    tuple[Sequence[Deployed], Sequence[Note]],
]


class InputOptions(Struct, frozen=True):
    """The user's options about input files.

    `mains` are patterns of main files, whatever they contain, `servers` patterns of files that a
    main file elsewhere includes in its `http` block. Both are shell-style paths. `absent` are
    patterns of include arguments that are expected to be missing. `values` are template variables;
    `markdown` enables documents. If `within` is set, matches of the patterns must be in that
    folder, with all links followed. `mounts` map paths in production to parts of the repository.
    """

    mains: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    markdown: bool = False
    within: str | None = None
    mounts: tuple[Mount, ...] = ()


def configurations(
    workspace: Workspace,
    paths: Sequence[str],
    input_options: InputOptions | None = None,
    manifests: Manifests | None = None,
    deployments: Deployments | None = None,
    together: Together | None = None,
) -> list[Configuration]:
    """Read all configurations at paths (files and folders).

    `manifests` translates YAML as controllers do, one file at a time, `together` all files of the
    run. `deployments` finds the nginx instances of a repository.
    """
    input_options = input_options or InputOptions()
    files = IncludeResolver(
        workspace, input_options.values, input_options.absent, mounts=input_options.mounts
    )
    gathering = _Gathering(input_options, files, manifests, deployments, together)
    return gathering.read(list(dict.fromkeys(paths)))


class _YamlTexts:
    """The nginx texts of a YAML file by their keys: with the offset of the key, and without.

    A key that several texts have is only in the first of the two.
    """

    def __init__(self, source: Source, blocks: Sequence[EmbeddedBlock]) -> None:
        self.source = source
        self.by_place = {(one.name, one.place): one.reading for one in blocks}
        self.by_name: dict[str, MappedText | None] = {}
        for (name, _), reading in self.by_place.items():
            self.by_name[name] = None if name in self.by_name else reading


class _Gathering:
    """Collects the configurations of a run; see `configurations`."""

    def __init__(
        self,
        input_options: InputOptions,
        files: IncludeResolver,
        manifests: Manifests | None,
        deployments: Deployments | None,
        together: Together | None,
    ) -> None:
        self.input_options = input_options
        self.files = files
        self.manifests = manifests
        self.deployments = deployments
        self.together = together
        self.yaml: list[MappedText] = []
        self.made: list[Configuration] = []  # from single YAML files
        self.paths: list[str] = []
        self.deployed: list[Deployed] = []
        self.in_yaml: dict[str, _YamlTexts] = {}  # by key of the file
        self.beside: dict[str, _YamlTexts | None] = {}  # the same for other files
        self.found: list[Configuration] = []
        self.named: set[str] = set()  # keys of the files that the user names
        self.guessed: set[str] = set()  # keys of files that are nginx's by their text only

    def read(self, paths: list[str]) -> list[Configuration]:
        self.paths = paths
        mains: list[str] = []
        fragments: list[str] = []
        named: set[str] = set()
        folders: list[str] = []
        for path in paths:
            if self.files.workspace.is_folder(path) and not self.files.workspace.is_file(path):
                inside = self._inside(path)
                folders.append(path)
            else:
                inside = [path]
                named.add(path)
                self.named.add(self.files.key(path))
            for one in inside:
                try:
                    self._sort(one, mains, fragments)
                except Exception as error:
                    problem = unexpected(one, error)
                    self.found.append(Configuration(one, problems=[problem]))
        self._read_together()
        roots = self._existing(self.input_options.mains)
        self.named.update(map(self.files.key, roots))
        mains = self._unique([*roots, *mains])
        fragments = [one for one in self._unique(fragments) if one not in set(mains)]
        requested = frozenset(self.files.key(path) for path in (*mains, *fragments))
        requested |= self.in_yaml.keys()
        done = self._read_deployed(requested)
        for path in mains:
            if self.files.key(path) not in done:
                self.found += self._read(path)
        self._behind_servers(requested)
        included = self._included()
        wanted = {self.files.key(path) for path in fragments if path in named} - included
        if wanted:
            self._mains_of(wanted, set(mains), requested)
            included = self._included()
        rest = [path for path in fragments if self.files.key(path) not in included]
        alone = [one for path in rest for one in self._read(path)]
        # One fragment may include another.
        inner = {
            self.files.key(file.source.name)
            for one in alone
            for file in one.files
            if file is not one.root
        }
        self.found += [
            one for one in alone if self.files.key(one.path) not in inner or not one.context
        ]
        for configuration in self.found:
            self._judge_reading(configuration)
        for folder in folders:
            self._note_rejected(folder)
        self.found += [
            _noted(folder, message) for folder, message in self.files.workspace.notes.items()
        ]
        return self.found

    def _read_together(self) -> None:
        """Read the configurations that come from several YAML files."""
        if self.together is None or not self.yaml:
            self.found += self.made
            return
        try:
            self.found += self.together(self.yaml, self.made, self.files)
        except Exception as error:
            path = self.yaml[0].source.name
            self.found += [*self.made, Configuration(path, problems=[unexpected(path, error)])]

    def _read_deployed(self, requested: frozenset[str]) -> set[str]:
        """Read the requested files through each nginx of the deployment that uses them.

        Returns the keys of the main files read this way.
        """
        workspace, deployments = self.files.workspace, self.deployments
        if deployments is None or self.files.reads_as_nginx:
            return set()
        done: set[str] = set()
        readings: set[int] = set()
        made: list[Configuration] = []
        budget = workspace.budget.separate()
        with workspace.charged_to(budget), suppress(Unreadable):
            made += self._find_deployed(deployments, requested)
        for problem in budget.problems:
            message = f"the deployment was not read completely: {problem.message}"
            note = Note(problem.file, problem.line, problem.column, message)
            made.append(Configuration(problem.file, notes=[note]))
        for nginx in self.deployed:
            if nginx.main is None:
                continue
            files_there = self.files.of(nginx)
            for one in read_all(nginx.main, files_there):
                read = {files_there.key(file.source.name) for file in one.files}
                read |= {file.source.key for file in one.files}
                if not requested & read:
                    continue
                done.add(self.files.key(nginx.main))
                readings.update(id(file.reading) for file in one.files)
                if self.files.key(nginx.main) not in requested:
                    one.about = requested
                    one.problems = [
                        problem
                        for problem in one.problems
                        if workspace.key(problem.file) in requested
                    ]
                made.append(one)
        self.found = [
            one for one in self.found if one.root is None or id(one.root.reading) not in readings
        ]
        self.found += made
        return done

    def _find_deployed(
        self, deployments: Deployments, requested: frozenset[str]
    ) -> Iterator[Configuration]:
        """Find the nginx instances that use requested files; yields what is unknown of them."""
        yaml = [one.source.text for one in self.in_yaml.values()]
        is_generated = any(one.author is not None for one in self.found)
        for top, files in self._files_around().items():
            workspace = self.files.workspace
            found, notes = deployments(workspace, top, files, yaml, self._block, is_generated)
            for one in self.found:
                if one.author is not None:
                    one.beside = tuple(found)
            using = [nginx for nginx in found if any(map(nginx.has, requested))]
            self.deployed += using
            # Without any nginx, the notes say why.
            if using or (notes and not found):
                yield Configuration(top, notes=list(notes))

    def _read(self, path: str) -> list[Configuration]:
        """Read a file by its kind, once for each nginx of the deployment that has it."""
        key = self.files.key(path)
        having = [nginx for nginx in self.deployed if nginx.has(key)]
        if not having:
            return read_all(path, self.files)
        return [one for nginx in having for one in read_all(path, self.files.of(nginx))]

    def _files_around(self) -> dict[str, list[str]]:
        """The files that may describe what is named, by the root of their repository.

        They are those below the named folders, and those in each folder from there up to the root.
        """
        workspace = self.files.workspace
        found: dict[str, dict[str, None]] = {}
        seen: set[str] = set()  # keys of folders; the folders above are seen, too
        for path in self.paths:
            is_folder = workspace.is_folder(path) and not workspace.is_file(path)
            if path == STDIN and self.in_yaml.get(self.files.key(path)):
                found[STDIN] = {STDIN: None}  # manifests, such as from `helm template`
                continue
            if not is_folder and not workspace.is_file(path):
                continue  # standard input, or nothing
            root = workspace.root_of(path)
            here = found.setdefault(root, {})
            if is_folder:
                here.update(dict.fromkeys(self.files.repository(path).files))
            folder = path if is_folder else os.path.dirname(path) or os.curdir
            while not workspace.leads_out(folder) and workspace.key(folder) not in seen:
                seen.add(workspace.key(folder))
                for name, inner in workspace.entries(folder):
                    if not inner:
                        here[os.path.normpath(os.path.join(folder, name))] = None
                if workspace.key(folder) == workspace.key(root):
                    break
                folder = os.path.normpath(os.path.join(folder, os.pardir))
        return {root: sorted(files) for root, files in found.items()}

    def _block(self, path: str, name: str, at: tuple[int, int]) -> MappedText | None:
        """The nginx text of a YAML file with a key at a line and column.

        With a key elsewhere, it is the only text with such a key.
        """
        texts = self._texts_of(path)
        if texts is None:
            return None
        found = texts.by_place.get((name, texts.source.offset(*at)))
        return texts.by_name.get(name) if found is None else found

    def _texts_of(self, path: str) -> _YamlTexts | None:
        """The nginx texts of a YAML file, which the user may not have named."""
        key = self.files.key(path)
        if key not in self.in_yaml and key not in self.beside and is_yaml(path):
            from nginx_stream_lint.config.embedded import blocks_in_yaml

            self.beside[key] = None
            with suppress(Unreadable):
                source = self.files.source(path)
                source.is_yaml = True
                blocks, _ = blocks_in_yaml(yaml_reading(source))
                self.beside[key] = _YamlTexts(source, blocks)
        return self.in_yaml.get(key) or self.beside.get(key)

    def _existing(self, patterns: Iterable[str]) -> list[str]:
        """The paths that patterns of the settings match. Refuses paths outside their folder."""
        within, workspace = self.input_options.within, self.files.workspace
        found: list[str] = []
        for pattern in patterns:
            try:
                matching = workspace.matching(pattern, deep=True)
            except Unreadable as stop:
                self.found.append(Configuration(pattern, problems=[stop.problem]))
                continue
            for path in matching:
                if within is None or workspace.is_below(path, within):
                    found.append(path)
                else:
                    self._refuse(path, "leads out of the folder of the settings", "move it inside")
        return found

    def _inside(self, folder: str) -> list[str]:
        """The files in a folder that are worth reading."""
        found = self.files.repository(folder).candidates(self.input_options.markdown)
        self.guessed.update(self.files.key(path) for path, verdict in found if verdict == "guessed")
        if not found:
            self.found.append(_noted(folder, "no nginx configuration found in this folder"))
        return [path for path, _ in found]

    def _judge_reading(self, configuration: Configuration) -> None:
        """Decide which problems of a configuration to report, and find missing includes."""
        key = self.files.key(configuration.path)
        if key in self.named or self.files.workspace.is_dump:
            if key not in self.guessed and configuration.root is not None:
                self._refuse_without_locations(configuration)
            return
        configuration.guessed = key in self.guessed
        # nginx reads the rendered template. If its content is unknown, so is whether nginx would
        # refuse it.
        unclear = {
            file.source.name
            for file in configuration.files
            if file.reading.problems and file.templated and file.reading.author is None
        }
        if (
            configuration.root is None
            and configuration.problems
            and self._is_template(configuration.path)
        ):
            unclear.add(configuration.path)
        if not unclear:
            return
        for problem in configuration.problems:
            if problem.file in unclear:
                message = f"template skipped: {problem.message}; {problem.advice}"
                place = problem.file, problem.line, problem.column
                configuration.notes.append(Note(*place, message, f"template {problem.file}"))
        configuration.problems = [
            problem for problem in configuration.problems if problem.file not in unclear
        ]
        configuration.notes = without_repeats(configuration.notes)

    def _is_template(self, path: str) -> bool:
        """Whether a file is a template, which a program renders before nginx reads it."""
        if plain_name(path) != os.path.basename(path):
            return True
        return is_yaml(path) and may_be_template(self.files.repository_of(path).text(path))

    def _refuse_without_locations(self, configuration: Configuration) -> None:
        """Refuse a main file without locations if its includes are missing."""
        assert configuration.root is not None
        if (
            not configuration.missing
            or configuration.problems
            or not is_main(configuration.root.directives)
        ):
            return
        if not any(_has_location(file.directives) for file in configuration.files):
            directive = configuration.missing[0]
            problem = directive.source.problem(
                directive.start,
                f'there is no location to check: include "{directive.args[0]}" was not found',
                "name its folder with --mount PATH=FOLDER, or use --host if nginx runs on this"
                " machine",
            )
            configuration.problems.append(problem)

    def _note_rejected(self, folder: str) -> None:
        """List files that look like nginx files but were not read."""
        read = self._included()
        for path in self.files.repository(folder).rejected():
            if self.files.key(path) in read:
                continue
            message = "file skipped: only part of it looks like nginx configuration"
            note = Note(path, 1, 1, message, f"rejected {path}", detail=True)
            self.found.append(Configuration(path, notes=[note]))

    def _sort(self, path: str, mains: list[str], fragments: list[str]) -> None:
        """Read a file on its own, and sort the others by what includes them."""
        try:
            source = self.files.source(path)
        except Unreadable as stop:
            self.found.append(Configuration(path, problems=[stop.problem]))
            return
        dump = None if self.files.workspace.is_dump else split_dump(source.text)
        if dump is not None:
            main = next(iter(dump))
            self.found += read_all(
                main, IncludeResolver(self.files.workspace.of_dump(source, dump))
            )
        elif is_markdown(path):
            if self.input_options.markdown:
                from nginx_stream_lint.config.embedded import blocks_in_markdown

                self._blocks(path, blocks_in_markdown(source))
            else:
                self._refuse(
                    path, "Markdown file skipped", "use --markdown to check its nginx blocks"
                )
        elif is_yaml(path) or (path == STDIN and _looks_like_yaml(source.text)):
            self._yaml(path, source)
        else:
            (mains if has_http(source.text) else fragments).append(path)

    def _yaml(self, path: str, source: Source) -> None:
        from nginx_stream_lint.config.embedded import blocks_in_yaml, yaml_problem

        source.is_yaml = True
        reading = yaml_reading(source)
        self.yaml.append(reading)
        made: list[Configuration] = []
        try:
            blocks, mistake = blocks_in_yaml(reading)
            self._blocks(path, blocks)
            if blocks:
                self.in_yaml[self.files.key(path)] = _YamlTexts(source, blocks)
            if self.manifests is not None:
                made = self.manifests(source, reading.text, reading.conditional, self.files)
        except Unreadable as stop:
            self.found.append(Configuration(path, problems=[stop.problem]))
            return
        holds_nginx = bool(blocks) or may_embed_nginx(path, source.text)
        if mistake is not None and not holds_nginx and may_be_template(source.text):
            # The rendered result may be YAML, which is not relevant here.
            message = "template skipped: no readable nginx configuration in it"
            note = Note(path, 1, 1, message, f"template {path}", detail=True)
            self.found.append(Configuration(path, notes=[note]))
            return
        self.made += made
        problems = list(reading.problems) if blocks or made else []
        if mistake is not None and not any(one.problems for one in made):
            problems.append(yaml_problem(source, mistake).problem)
        if problems:
            self.found.append(Configuration(path, problems=problems))

    def _blocks(self, path: str, blocks: list[EmbeddedBlock]) -> None:
        folder = os.path.dirname(path)
        read = [
            read_from(one.reading, os.path.join(folder, one.name) if one.name else path, files)
            for one, files in self._beside(blocks)
        ]
        inner = {id(file.reading) for one in read for file in one.files if file is not one.root}
        self.found += [one for one in read if one.root is None or id(one.root.reading) not in inner]

    def _beside(
        self, blocks: list[EmbeddedBlock]
    ) -> Iterator[tuple[EmbeddedBlock, IncludeResolver]]:
        """The blocks of a file, each with the files that it may include: the other blocks.

        Of several with one name, that of the same document counts.
        """
        every = {one.name: one.reading for one in blocks if one.name}
        shared = self.files.with_blocks(every)
        by_document: dict[int, dict[str, MappedText]] = {}
        for one in blocks:
            if one.name:
                by_document.setdefault(one.document, {})[one.name] = one.reading
        made: dict[int, IncludeResolver] = {}
        for one in blocks:
            own = by_document.get(one.document, {})
            if one.document not in made:
                is_last = all(every[name] is reading for name, reading in own.items())
                others = every if len(every) < _MAX_SHARED else {}
                made[one.document] = (
                    shared if is_last else self.files.with_blocks({**others, **own})
                )
            yield one, made[one.document]

    def _behind_servers(self, requested: frozenset[str]) -> None:
        """Read the files named by the setting `servers` as the contents of one `http` block."""
        servers = self._unique(self._existing(self.input_options.servers))
        if not servers or not requested & {self.files.key(path) for path in servers}:
            return
        # Use relative paths: absolute ones would be looked for as paths in production.
        includes = "".join(f'include "{os.path.relpath(path)}";\n' for path in servers)
        source = Source("(servers in the settings)", f"http {{\n{includes}}}\n")
        configuration = read_from(MappedText(source, source.text), source.name, self.files)
        configuration.about = requested
        configuration.top = self.files.top(servers[0])
        self.found.append(configuration)

    def _mains_of(self, wanted: set[str], known: set[str], requested: frozenset[str]) -> None:
        """Read the main files around some files that include them."""
        tried = {self.files.key(path) for path in known}
        for path in sorted(wanted):
            for main in self.files.mains(path):
                if self.files.key(main) in tried:
                    continue
                tried.add(self.files.key(main))
                for one in read_all(main, self.files):
                    if wanted & {self.files.key(file.source.name) for file in one.files}:
                        one.about = requested
                        one.problems = [
                            problem
                            for problem in one.problems
                            if self.files.key(problem.file) in requested
                        ]
                        self.found.append(one)

    def _included(self) -> set[str]:
        return {
            self.files.key(file.source.name)
            for one in self.found
            for file in one.files
            if file is not one.root
        }

    def _unique(self, paths: Iterable[str]) -> list[str]:
        found: dict[str, str] = {}
        for path in paths:
            found.setdefault(self.files.key(path), path)
        return list(found.values())

    def _refuse(self, path: str, message: str, advice: str) -> None:
        problem = Problem(path, 1, 1, message, advice)
        self.found.append(Configuration(path, problems=[problem]))


def _noted(folder: str, message: str) -> Configuration:
    """No configuration, but a note about a folder."""
    return Configuration(folder, notes=[Note(folder, 1, 1, message, is_folder=True)])


def _has_location(directives: Iterable[Directive]) -> bool:
    """Whether there is a location, or a server with a handler."""
    work = list(directives)
    while work:
        one = work.pop()
        if one.name == "location" or one.name.endswith("_pass"):
            return True
        work += one.block or ()
    return False


def _looks_like_yaml(text: str) -> bool:
    """Whether the first line with content is a key, as in the output of `helm template`."""
    lines = (line.strip() for line in text.splitlines())
    first = next((one for one in lines if one.strip("-") and one[0] not in "#%"), "")
    return ":" in first and first.split(":")[0].strip("\"' ").isidentifier() and "{" not in first
