"""Read a whole configuration: the main file and everything that it includes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.config.fragments import fragment_level, is_main, other_level
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.config.main_files import plain_name
from nginx_stream_lint.config.mapped_text import Author, MappedText, has_placeholder
from nginx_stream_lint.config.stock_files import stock_directives
from nginx_stream_lint.config.tree import (
    Context,
    Directive,
    File,
    enter,
    fits,
    has_commands,
    misuse,
    parse,
)
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.escaping import printable
from nginx_stream_lint.util.problems import (
    Absent,
    LeadsOut,
    NotAFile,
    Problem,
    Unreadable,
    unexpected,
)

if TYPE_CHECKING:
    from nginx_stream_lint.config.inputs import InputOptions

# Directives with more words than this count as several.
_USUAL_WORDS = 4
_BLOCK = 10  # rows that cost as much as a block, which usually is a location to judge
_PART = 1024 * 1024  # characters whose words are counted at once

# nginx stops at the first mistake. Further ones are mostly repetitions.
_MAX_PROBLEMS = 100

# All nginx modules, third-party ones included, name their directives like this.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Blocks of rows, in which nginx accepts any first word but no nested block.
_DATA_BLOCKS = frozenset({"charset_map", "geo", "map", "split_clients", "types"})


class Note(Struct, frozen=True):
    """A note for the user about how a file was read; `line` and `column` count from 1.

    Notes with equal `subject` are shown once. A `detail` is shown only with -v. A note about a
    whole folder is shown without line and column.
    """

    file: str
    line: int
    column: int
    message: str
    subject: str = ""
    detail: bool = False
    is_folder: bool = False

    def __str__(self) -> str:
        place = self.file if self.is_folder else f"{self.file}:{self.line}:{self.column}"
        return f"{place}: note: {self.message}"


def without_repeats(notes: Iterable[Note]) -> list[Note]:
    """Keep the first note about each subject."""
    return list({one.subject or str(one): one for one in reversed(list(notes))}.values())[::-1]


class Configuration(Struct, eq=False):
    """A main file and everything that it includes.

    `context` is the level of the main file: `()` is a complete nginx.conf, `("http",)`, `("http",
    "server")` … a fragment that other files include. `elsewhere` has the fragment's statements that
    fit another level, by that level. `files` are the files read, in the order of their first use.
    `problems` are unreadable inputs; `notes` are assumptions. `about` are the keys of the requested
    files, None if all files count. `top` is the folder that the configuration belongs to, as an
    absolute path: the names of that folder and of those above are no evidence. `missing` are
    includes without a file, which may set anything. `guessed`: only its text suggests that it is an
    nginx file. `deployed` is the nginx of the deployment that reads it; `beside` are all of the
    deployment, if a controller generates this configuration. `is_for_comparison`: the user
    did not name it; the linter only compares named ones with it.
    """

    path: str
    context: Context = ()
    root: File | None = None
    elsewhere: dict[Context, list[Directive]] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    about: frozenset[str] | None = None
    top: str = ""
    missing: list[Directive] = field(default_factory=list)
    guessed: bool = False
    deployed: Deployed | None = None
    is_for_comparison: bool = False
    beside: Sequence[Deployed] = ()

    @property
    def author(self) -> Author | None:
        """The controller that generates it; None for a text that people write."""
        return None if self.root is None else self.root.reading.author


def read(
    path: str, workspace: Workspace | None = None, input_options: InputOptions | None = None
) -> Configuration:
    """Read the configuration whose main file is `path`; for a template, its first reading.

    See `read_all`. `workspace` defaults to the disk around the file. Only options about includes
    are used.
    """
    workspace = workspace or Workspace.on_disk(path)
    if input_options is None:
        return read_all(path, IncludeResolver(workspace))[0]
    files = IncludeResolver(
        workspace, input_options.values, input_options.absent, mounts=input_options.mounts
    )
    return read_all(path, files)[0]


def read_all(path: str, files: IncludeResolver) -> list[Configuration]:
    """Read the configurations whose main file is `path`: one for each reading of a template.

    Includes are resolved as in nginx, relative to the main file's folder. Nothing is raised: an
    unreadable file becomes a problem of the configuration, and the other files are read.
    """
    try:
        return [read_from(one, path, files) for one in files.readings(path)]
    except Unreadable as stop:
        return [Configuration(path, problems=[stop.problem])]
    except Exception as error:
        return [Configuration(path, problems=[unexpected(path, error)])]


def read_from(reading: MappedText, path: str, files: IncludeResolver) -> Configuration:
    """Read the configuration from a main text, as if it were in the file `path`."""
    configuration = Configuration(path, top=files.top(path), deployed=files.deployed)
    reader = _IncludeReader(configuration, os.path.dirname(path), files)
    try:
        root = reader.parse(reading)
    except Unreadable as stop:
        configuration.problems.append(stop.problem)
        return configuration
    if not reading.source.text.strip():
        configuration.problems.append(
            root.source.problem(0, "the file is empty", "name a configuration to check")
        )
        return configuration
    root.uses = 1
    configuration.root = root
    configuration.problems += root.problems
    configuration.files.append(root)
    reader.files[files.key(path)] = [root]
    try:
        configuration.context = fragment_level(reader.outline(root))
    except Unreadable as stop:
        return Configuration(path, problems=[*configuration.problems, stop.problem])
    own = _without_misplaced(configuration, root)
    try:
        reader.follow(root, configuration.context, (root,), own)
        # Included files may add more.
        followed: dict[Context, int] = {}
        while rest := [
            (context, directives[followed.get(context, 0) :])
            for context, directives in configuration.elsewhere.items()
            if len(directives) > followed.get(context, 0)
        ]:
            for context, directives in rest:
                followed[context] = followed.get(context, 0) + len(directives)
                reader.follow(directives[0].file, context, (root,), directives)
    except Unreadable as stop:
        return Configuration(path, problems=[*configuration.problems, stop.problem])
    # A file that was only tried belongs to no configuration and is still read on its own.
    configuration.files = [file for file in configuration.files if file.uses]
    configuration.problems = list(dict.fromkeys(configuration.problems))
    configuration.notes = without_repeats(configuration.notes)
    _mark_shared(configuration.files)
    return configuration


def _without_misplaced(configuration: Configuration, root: File) -> list[Directive]:
    """Move statements that belong to another level to `elsewhere`; return the others.

    nginx refuses a main file with such statements. In fragments from documentation they are common.
    """
    context = configuration.context
    is_whole = not context and is_main(root.directives)
    own: list[Directive] = []
    for directive in root.directives:
        other = other_level(directive, context)
        if other is None:
            own.append(directive)
            continue
        configuration.elsewhere.setdefault(other, []).append(directive)
        if is_whole:
            directive.unknown = "it is a mistake"
            configuration.problems.append(
                directive.source.problem(
                    directive.start,
                    f'"{directive.name}" directive is not allowed here',
                    "correct it, because nginx rejects this configuration",
                )
            )
    return own


class _IncludeReader:
    """Follows includes and checks that nginx accepts each directive in its context."""

    def __init__(self, configuration: Configuration, prefix: str, files: IncludeResolver) -> None:
        self.configuration = configuration
        self.prefix = prefix
        self.provider = files
        self.files: dict[str, list[File]] = {}
        self._absent: dict[str, Absent] = {}
        self._led: dict[Directive, list[File]] = {}  # the files of each include
        self._followed: set[tuple[int, Context]] = set()
        self._budget = files.workspace.budget
        # The cost of a file, with its includes counted once per use.
        self._costs: dict[File, int] = {}
        # The known uses of directives that nginx accepts, by context.
        self._accepted = files.accepted
        self._guessed: set[Directive] = set()

    def parse(self, reading: MappedText) -> File:
        """Parse one file to a tree. Raises `Unreadable` if the run has too many directives."""
        size = _size(reading.text, self._budget.limits.directives)
        cost = size + _BLOCK * reading.text.count("{")
        if self.provider.is_new(reading.source):
            self._budget.spend("directives", size, reading.source.name)
        else:
            self._budget.spend("repeats", cost, reading.source.name)
        file = parse(reading)
        self._costs[file] = cost
        return file

    def outline(self, root: File) -> list[Directive]:
        """The directives of a file, with its includes replaced by their contents."""
        found: list[Directive] = []
        seen = {root}
        work = list(reversed(root.directives))
        while work:
            directive = work.pop()
            if directive.name == "include" and len(directive.args) == 1:
                files = [one for one in self._included(directive) if one not in seen]
                seen.update(files)
                work += [one for file in reversed(files) for one in reversed(file.directives)]
            else:
                found.append(directive)
        return found

    def follow(
        self,
        file: File,
        context: Context,
        trail: tuple[File, ...],
        directives: list[Directive] | None = None,
    ) -> None:
        """Resolve the includes of a file used in a context and check its directives there.

        `directives` are those to check; default: all of the file.
        """
        key = (id(file), context)
        if directives is None and key in self._followed:
            return
        self._followed.add(key)
        work = [(file.directives if directives is None else directives, context)]
        while work:
            block, context = work.pop()
            commands = has_commands(context)
            accepted = self._accepted.setdefault(context, set())
            data = context[-1:] and context[-1] in _DATA_BLOCKS and context[0] in ("http", "stream")
            for directive in block:
                if len(self.configuration.problems) >= _MAX_PROBLEMS:
                    self._give_up(directive)
                    return
                if commands:
                    args = directive.args
                    # Only the argument of a flag matters here.
                    is_flag = len(args) == 1 and args[0].lower() in ("on", "off")
                    use = (directive.name, len(args), is_flag, directive.block is None)
                    if use not in accepted:
                        if not self._accepts(directive, context):
                            continue
                        # A placeholder's value is assumed to fit.
                        if not directive.file.templated or not any(map(has_placeholder, args)):
                            accepted.add(use)
                if data and directive.block is not None:
                    self._no_block(directive)
                    continue
                if directive.name == "include" and len(directive.args) == 1:
                    self._include(directive, context, trail)
                elif directive.block is not None:
                    work.append((directive.block, enter(directive, context)))

    def _accepts(self, directive: Directive, context: Context) -> bool:
        if has_placeholder(directive.name):
            directive.unknown = "it stands for other statements"
            return directive.block is not None
        reason = misuse(directive, context)
        advice = "correct it, because nginx rejects this configuration"
        if reason is None and not _NAME.fullmatch(directive.name):
            reason = f'unknown directive "{printable(directive.name, 60)}"'
            if "}" in directive.name:
                advice = "a regular expression with { or } must be quoted"
            elif not directive.name.isascii():
                advice = "a character in it only looks like a space or letter"
        if reason is None:
            return True
        self._problem(directive, reason, advice)
        # The missing semicolon may belong to the directive before.
        directive.unknown = "it is a mistake"
        directive.may_set = frozenset((directive.name, *directive.args))
        return False

    def _give_up(self, directive: Directive) -> None:
        if len(self.configuration.problems) == _MAX_PROBLEMS:
            self._problem(
                directive,
                f"more than {_MAX_PROBLEMS} errors",
                "correct the errors above; the rest was not checked",
            )

    def _no_block(self, directive: Directive) -> None:
        self.configuration.problems.append(
            directive.source.problem(
                directive.end - 1, 'unexpected "{"', "a block is not allowed here; use ; instead"
            )
        )

    def _include(self, directive: Directive, context: Context, trail: tuple[File, ...]) -> None:
        first_time = not directive.included
        if first_time:
            directive.included = tuple(self._fitting(directive, context))
        for file in directive.included:
            if file in trail:
                names = " -> ".join(step.source.name for step in (*trail, file))
                self._problem(directive, f"include cycle: {names}", "remove one of the includes")
                directive.included = ()
                return
            most = self._budget.limits.include_depth
            if len(trail) >= most:
                self._problem(
                    directive,
                    f"includes nest deeper than {most}",
                    "reduce the nesting; deeper files were not checked",
                )
                directive.included = ()
                return
            if first_time:
                file.uses += 1
            self.follow(file, context, (*trail, file))
            if first_time:
                self._use(file, directive)

    def _use(self, file: File, directive: Directive) -> None:
        """Charge an include's contents to the budget. Raises `Unreadable`.

        A few files that include one another twice would exceed the memory of any machine.
        """
        cost = self._costs[file]
        self._costs[directive.file] += cost
        if file.uses > 1:
            place = directive.source.name, directive.line, directive.column
            self._budget.spend("repeats", cost, *place)

    def _fitting(self, directive: Directive, context: Context) -> list[File]:
        """The files of an include that fit a context.

        A guessed file that does not fit is dropped: reporting it would blame a correct include.
        """
        found = self._included(directive)
        if directive not in self._guessed:
            return found
        if has_commands(context) and not all(
            fits(one.name, context) for file in found for one in file.directives
        ):
            return self._missing(directive)
        name = directive.args[0]
        names = ", ".join(dict.fromkeys(file.source.name for file in found))
        self._note(directive, f'include "{name}" not found; using {names} instead', names)
        return found

    def _included(self, directive: Directive) -> list[File]:
        """The files of an include."""
        if directive not in self._led:
            self._led[directive] = self._looked_for(directive)
        return self._led[directive]

    def _looked_for(self, directive: Directive) -> list[File]:
        name = directive.args[0]
        if has_placeholder(name):
            directive.unknown = "its name is a placeholder"
            return []
        try:
            mounted = self.provider.mounted(name)
            deployed = self.provider.deployed_paths(name) if mounted is None else None
            if deployed is not None and (deployed.paths or deployed.is_complete):
                directive.may_match_more = is_pattern(name) and not deployed.is_complete
                if not deployed.paths:
                    directive.may_set = frozenset()
                return [file for one in deployed.paths for file in self._parsed(one, directive)]
            is_text = self.provider.is_text(directive.source.name)
            if mounted is None and (is_text or self.provider.is_elsewhere(name)):
                directive.may_match_more = is_pattern(name)
                return self._meant(directive) or self._missing(directive)
            path = os.path.join(self.prefix, name) if mounted is None else mounted
            if is_pattern(path):
                return self._matching(directive, path)
            return self._named(directive, path, is_mounted=mounted is not None)
        except LeadsOut as stop:
            return self._missing(directive, stop, is_refused=True)
        except Unreadable as stop:
            self.configuration.problems.append(stop.problem)
            directive.unknown = "its files could not be read"
            return []

    def _matching(self, directive: Directive, pattern: str) -> list[File]:
        """The files that match a pattern, or their templates. Raises as `Workspace.matching`."""
        paths = self.provider.workspace.matching(pattern) or self.provider.templates_of(pattern)
        found = [file for one in paths for file in self._parsed(one, directive)]
        for one in paths:
            absent = self._absent.get(self.provider.key(one))
            if isinstance(absent, LeadsOut):
                self._refuse_absent(directive, one, absent)
        return found if paths else self._missing(directive)

    def _named(self, directive: Directive, path: str, is_mounted: bool) -> list[File]:
        """The readings of the file at a path without wildcards, or of its templates."""
        found = self._parsed(path, directive)
        absent = None if found else self._absent.get(self.provider.key(path))
        if absent is not None and not isinstance(absent, LeadsOut):
            templates = self.provider.templates_of(path)
            if templates:
                found = [file for one in templates for file in self._parsed(one, directive)]
                absent = self._absent.get(self.provider.key(templates[0]))
        if absent is None:
            return found
        leads_out = isinstance(absent, LeadsOut)
        if is_mounted:
            return self._missing(directive, absent, is_refused=leads_out)
        if self._is_in_place or self.provider.reads_as_nginx:
            return self._missing(directive, absent, is_refused=True)
        return self._meant(directive) or self._missing(directive, absent, is_refused=leads_out)

    @property
    def _is_in_place(self) -> bool:
        """Whether relative paths start from the main file's folder in the repository.

        That is not so for a fragment, nor for a template, whose main file is generated elsewhere.
        """
        root = self.configuration.root
        assert root is not None
        name = os.path.basename(self.configuration.path)
        return is_main(root.directives) and not root.templated and plain_name(name) == name

    def _meant(self, directive: Directive) -> list[File]:
        """The repository files that an include most likely means, by the end of its path."""
        name = directive.args[0]
        near = directive.source.name
        meant = self.provider.meant(name, near, self.configuration.path)
        if stock_directives(name) is not None and not meant.same:
            return []  # nginx's own file, not one of the same name elsewhere
        found = [file for one in meant.paths for file in self._parsed(one, directive)]
        if found and not meant.same:
            self._guessed.add(directive)
        return found

    def _missing(
        self, directive: Directive, stop: Absent | None = None, *, is_refused: bool = False
    ) -> list[File]:
        """Report a missing include with the reason `stop`; a problem if nginx would refuse it too.

        Otherwise the file may exist in production.
        """
        name = directive.args[0]
        if self.provider.may_be_absent(name):
            return []
        directive.may_set = stock_directives(name)
        if is_pattern(name) and stop is None:
            if self.provider.reads_as_nginx:
                directive.may_set = frozenset()  # nginx will find no file either
            if directive.may_set is None and not self.provider.reads_as_nginx:
                self.configuration.missing.append(directive)
                self._note(
                    directive,
                    f'no file here matches include "{name}", so it counts as empty',
                )
            return []
        directive.unknown = "it was not found"
        if directive.may_set is not None or directive.is_conditional:
            return []  # a template may omit it
        self.configuration.missing.append(directive)
        if is_refused and stop is not None:
            self._refuse_absent(directive, name, stop)
        else:
            self._note(
                directive,
                f'include "{name}" is not in this repository, so its contents are unknown;'
                " copy it, name its folder with --mount, or list it under absent_includes in the"
                " settings",
            )
        return []

    def _parsed(self, path: str, directive: Directive) -> list[File]:
        """The readings of an included file; empty, with a problem, if it cannot be read.

        If there is no such file, that is only recorded in `_absent`.
        """
        key = self.provider.key(path)
        if key in self.files:
            return self.files[key]
        if key in self.provider.workspace.left_out:
            return []
        parsed: list[File] = []
        try:
            for reading in self.provider.readings(path):
                file = self.parse(reading)
                self.configuration.files.append(file)
                self.configuration.problems += file.problems
                if reading.is_definition:  # a definition is not in the including file
                    file.uses = 1
                    own = self.configuration.elsewhere.setdefault(
                        fragment_level(file.directives), []
                    )
                    own += file.directives
                else:
                    parsed.append(file)
        except Absent as stop:
            site = self.provider.available_site(path)
            if site is None:
                self._absent[key] = stop
            else:
                parsed = self._parsed(site, directive)
        except NotAFile as stop:
            self._refuse(directive, stop.problem)
        except Unreadable as stop:
            self.configuration.problems.append(stop.problem)
        self.files[key] = parsed
        return parsed

    def _refuse_absent(self, directive: Directive, name: str, stop: Absent) -> None:
        if not isinstance(stop, LeadsOut):
            self._refuse(directive, stop.problem)
            return
        self._problem(
            directive,
            f'include "{name}" leads out of the repository, so it was not read',
            "copy it into the repository, list it under absent_includes in"
            " .nginx-stream-lint.yaml, or use --host if nginx runs on this machine",
        )

    def _refuse(self, directive: Directive, problem: Problem) -> None:
        self._problem(
            directive,
            f'included file "{problem.file}": {problem.message}',
            "correct the path, or list it under absent_includes in .nginx-stream-lint.yaml",
        )

    def _note(self, directive: Directive, message: str, subject: str = "") -> None:
        """Add a note about an included name once, however many lines include it."""
        place = directive.source.name, directive.line, directive.column
        subject = f"include {directive.args[0]} {subject}"
        self.configuration.notes.append(Note(*place, printable(message), subject))

    def _problem(self, directive: Directive, message: str, advice: str) -> None:
        problem = directive.source.problem(directive.start, message, advice)
        self.configuration.problems.append(problem)


def _size(text: str, most: int) -> int:
    """Estimate the number of directives in a text, including those in comments and quotes."""
    directives = sum(map(text.count, ";{"))
    if directives > most or len(text) < 2 * _USUAL_WORDS * most:
        return directives  # enough, or too short for so many words
    parts = (text[at : at + _PART] for at in range(0, len(text), _PART))
    return max(directives, sum(len(part.split()) for part in parts) // _USUAL_WORDS)


def _mark_shared(files: list[File]) -> None:
    work = [file for file in files if file.uses > 1 and not file.reading.is_inlined]
    while work:
        file = work.pop()
        if file.shared:
            continue
        file.shared = True
        blocks = [file.directives]
        while blocks:
            for directive in blocks.pop():
                work += directive.included
                if directive.block is not None:
                    blocks.append(directive.block)
