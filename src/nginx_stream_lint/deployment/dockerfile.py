"""Evaluate a Dockerfile: the base image, the files, the environment and the command."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.build_context import ignore_patterns, is_ignored
from nginx_stream_lint.deployment.images import base_files, server_image, system_of
from nginx_stream_lint.deployment.installed import Installed, installed
from nginx_stream_lint.deployment.instructions import (
    MAX_INSTRUCTIONS,
    MAX_TEXT,
    Instruction,
    command_words,
    instructions,
    is_url,
    shell_text_of,
    unquoted,
    words_of,
)
from nginx_stream_lint.deployment.interpolation import MAX_VALUE, substituted
from nginx_stream_lint.deployment.layers import Layers
from nginx_stream_lint.deployment.model import (
    DeployedAt,
    PlacedFile,
    is_known,
)
from nginx_stream_lint.deployment.names import mentions_nginx
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem, Unreadable

_MAX_VARIABLES = 1000  # of one command that are inserted
_ASSIGNED = re.compile(r"""([A-Za-z_][\w.-]*)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")


class BuiltImage(Struct, frozen=True):
    """The image that a Dockerfile builds; `base` is the external image that it starts from.

    `command` and `entrypoint` are None if it does not set them. `unknown` lists problems: what
    could not be determined. `triggers` are its `ONBUILD` instructions, which run in a build that
    starts from it.
    """

    base: str | None
    base_origin: DeployedAt
    files: tuple[PlacedFile, ...] = ()
    environment: Mapping[str, str | None] = {}
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    installed: Installed | None = None
    installed_at: DeployedAt | None = None
    workdir: str = "/"
    unknown: tuple[Problem, ...] = ()
    environment_at: Mapping[str, DeployedAt] = {}
    triggers: tuple[Instruction, ...] = ()


# From the name of an image to the result of its Dockerfile, if the repository builds it.
BuiltImages = Callable[[str], BuiltImage | None]


def build(
    workspace: Workspace,
    source: Source,
    context: str | None = None,
    arguments: Mapping[str, str | None] = {},
    target: str | None = None,
    is_nginx: bool = True,
    built: BuiltImages | None = None,
) -> BuiltImage:
    """Evaluate a Dockerfile, whose text may be part of another file.

    `context` is the folder that COPY reads from; None if it is unknown. `is_nginx` False: nothing
    outside the Dockerfile suggests that nginx runs there. If the Dockerfile does not mention nginx
    either, only its base image is evaluated, which is many times quicker. `built` returns images
    that other Dockerfiles of the repository build. Raises `Unreadable`.
    """
    found = instructions(source)
    is_nginx = is_nginx or mentions_nginx(source.text)
    made = _Build(workspace, source, found, context, arguments, built).image(target, is_nginx)
    if len(source.text) <= MAX_TEXT and len(found) < MAX_INSTRUCTIONS:
        return made
    message = "is too long for a Dockerfile; its end was not read"
    unknown = Problem(source.name, 1, 1, message, "split it")
    return replace(made, unknown=(*made.unknown, unknown))


class _Stage(Struct):
    name: str
    base: str
    origin: DeployedAt
    instructions: list[Instruction]


class _Build:
    def __init__(
        self,
        workspace: Workspace,
        source: Source,
        found: Sequence[Instruction],
        context: str | None,
        arguments: Mapping[str, str | None],
        images: BuiltImages | None = None,
    ) -> None:
        self.workspace = workspace
        self.images = images
        self.source = source
        self.context = context
        self.arguments = arguments
        self.globals: dict[str, str | None] = {}
        self.stages: list[_Stage] = []
        self.made: dict[int, BuiltImage] = {}
        for one in found:
            if one.name == "FROM":
                words = words_of(one.text)
                name = words[2].lower() if len(words) > 2 and words[1].upper() == "AS" else ""
                base = substituted(words[0], self.globals) if words else PLACEHOLDER
                self.stages.append(_Stage(name, base, one.origin, []))
            elif self.stages:
                self.stages[-1].instructions.append(one)
            elif one.name == "ARG":
                self._declare(one, self.globals, {})

    def image(self, target: str | None, is_nginx: bool) -> BuiltImage:
        """Evaluate the target stage, or the last one; without nginx only its base image."""
        if not self.stages:
            return BuiltImage(None, DeployedAt(self.source.name, 1))
        number = len(self.stages) - 1
        if target is not None:
            known = self._number(target, len(self.stages))
            if known is None:
                return BuiltImage(None, self.stages[-1].origin)
            number = known
        first = self.stages[self._chain(number)[-1]]
        if not is_nginx and server_image(first.base) is None:
            start = self._start(first)
            if start.base == first.base:
                return start  # not built here
        return self._image(number)

    def _number(self, name: str, before: int) -> int | None:
        """Find the number of a stage by its name or number, among the stages before one."""
        for number in range(before - 1, -1, -1):
            if name and self.stages[number].name == name.lower():
                return number
        if name.isdecimal() and len(name) < 5 and int(name) < before:
            return int(name)
        return None

    def _chain(self, number: int) -> list[int]:
        """A stage, the stage that it starts from, and so on."""
        chain = [number]
        while (before := self._number(self.stages[chain[-1]].base, chain[-1])) is not None:
            chain.append(before)
            if before in self.made:
                break
        return chain

    def _image(self, number: int) -> BuiltImage:
        # From the first stage of the chain on: a file may have thousands.
        for one in reversed(self._chain(number)):
            if one not in self.made:
                before = self._number(self.stages[one].base, one)
                start = self._start(self.stages[one]) if before is None else self.made[before]
                self.made[one] = _Run(self, one, start).image()
        return self.made[number]

    def _start(self, stage: _Stage) -> BuiltImage:
        """The image that a stage starts from, if it is built elsewhere."""
        built = self.images(stage.base) if self.images is not None else None
        if built is not None:
            return built
        row = server_image(stage.base)
        files = base_files(None if row is None else row.base, stage.origin)
        return BuiltImage(stage.base, stage.origin, tuple(files))

    def _declare(
        self, one: Instruction, values: dict[str, str | None], inherited: Mapping[str, str | None]
    ) -> None:
        for word in words_of(one.text):
            name, equals, default = word.partition("=")
            if name in self.arguments:
                values[name] = self.arguments[name]
            elif equals:
                value = substituted(default, values)
                values[name] = value if is_known(value) else None
            elif name in inherited:
                values[name] = inherited[name]
            # An argument without a default is unset: `${NAME:-default}` yields the default.

    @cached_property
    def ignored(self) -> list[tuple[str, bool]]:
        """The patterns of .dockerignore."""
        if self.context is None:
            return []
        return ignore_patterns(self.workspace, self.source.name, self.context)


class _Run:
    """Evaluates the instructions of one stage in order."""

    def __init__(self, build: _Build, number: int, start: BuiltImage) -> None:
        self.build = build
        self.number = number
        self.start = start
        self.layers = Layers(build.workspace, start.files)
        self.environment = dict(start.environment)
        self.environment_at = dict(start.environment_at)
        self.values: dict[str, str | None] = dict(start.environment)
        self.workdir = start.workdir
        self.command, self.entrypoint = start.command, start.entrypoint
        self.installed, self.installed_at = start.installed, start.installed_at
        self.unknown = list(start.unknown)
        self.is_other_source = False
        self.triggers: list[Instruction] = []

    def image(self) -> BuiltImage:
        """The image after the stage."""
        for one in self.start.triggers:
            self._apply(replace(one, is_trigger=False))
        for one in self.build.stages[self.number].instructions:
            self._apply(one)
        return BuiltImage(
            self.start.base,
            self.start.base_origin,
            tuple(self.layers.files),
            self.environment,
            self.command,
            self.entrypoint,
            self.installed,
            self.installed_at,
            self.workdir,
            tuple(self.unknown),
            self.environment_at,
            tuple(self.triggers),
        )

    def _apply(self, one: Instruction) -> None:
        if one.is_trigger:
            self.triggers.append(one)
            return
        evaluate = _EVALUATED.get(one.name)
        if evaluate is not None:
            evaluate(self, one)

    def _text(self, text: str) -> str:
        return substituted(text, self.values)

    def _inside(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.workdir, path))

    def _arg(self, one: Instruction) -> None:
        self.build._declare(one, self.values, self.build.globals)
        self.values |= self.environment  # ENV always wins over ARG

    def _env(self, one: Instruction) -> None:
        pairs = _ASSIGNED.findall(one.text)
        if not pairs or not one.text.startswith(f"{pairs[0][0]}="):
            name, _, value = one.text.partition(" ")
            pairs = [(name, value.strip())]
        before = dict(self.values)
        for name, value in pairs:
            plain = substituted(value, before)
            plain = unquoted(plain)
            is_certain = is_known(plain) and len(plain) <= MAX_VALUE
            self.environment[name] = self.values[name] = plain if is_certain else None
            self.environment_at[name] = one.origin

    def _workdir(self, one: Instruction) -> None:
        self.workdir = self._inside(self._text(unquoted(one.text)))
        self.layers.folders.add(self.workdir)

    def _cmd(self, one: Instruction) -> None:
        self.command = command_words(one.text)

    def _entrypoint(self, one: Instruction) -> None:
        self.entrypoint = command_words(one.text)
        # ENTRYPOINT resets the command of the base image, but not that of this file.
        if self.command is self.start.command:
            self.command = None

    def _run(self, one: Instruction) -> None:
        text = shell_text_of(one)
        if text is None:
            return
        # The shell's own variables stay as written: only the shell knows their values.
        known = {name: value for name, value in self.values.items() if value is not None}
        text = re.sub(
            r"\$(?:\{(\w+)\}|(\w+))",
            lambda match: known.get(match[1] or match[2], match[0]),
            text,
            count=_MAX_VARIABLES,
        )
        found = installed(text)
        self.is_other_source |= (
            re.search(r"nginx\.org/packages|ppa:|openresty\.org/package", text) is not None
        )
        if found is not None:
            own = found.is_own and not self.is_other_source
            system = system_of(self.start.base or "") if own else None
            if self.installed is None and system is not None:
                self.layers.files += base_files(system.base, one.origin)
            self.installed, self.installed_at = replace(found, is_own=own), one.origin
        self.layers.run(text, self.workdir, one.origin)

    def _copy(self, one: Instruction) -> None:
        words = [self._text(word) for word in words_of(one.text)]
        if len(words) < 2:
            return
        target = words[-1]
        inside = self._inside(target)
        is_folder = target.endswith(("/", "/.")) or target == "."
        is_folder = is_folder or len(words) > 2 or any(map(is_pattern, words[:-1]))
        is_folder = is_folder or self.layers.is_folder(inside)
        if PLACEHOLDER in target:
            self._unsure(
                one,
                "the target of this copy has a variable without a value",
                "give the variable a default",
            )
            return
        for word in words[:-1]:
            if word.startswith("<<"):
                name = word.lstrip("<-").strip("'\"")
                place = posixpath.join(inside, name) if is_folder else inside
                self.layers.add(
                    PlacedFile(place, self.build.source.name, "copy", one.origin, key=f"<<{name}")
                )
            elif is_url(word):
                name = posixpath.basename(word)
                place = posixpath.join(inside, name) if is_folder else inside
                self.layers.add(PlacedFile(place, None, "generated", one.origin))
            elif "from" in one.flags:
                self._from(one, word, inside, is_folder)
            else:
                self._from_context(one, word, inside, is_folder)

    def _from(self, one: Instruction, word: str, inside: str, is_folder: bool) -> None:
        name = self._text(one.flags["from"])
        number = self.build._number(name, self.number)
        path = posixpath.normpath(posixpath.join("/", word))
        made = None if number is None else self.build._image(number)
        known = None if made is None else Layers(self.build.workspace, made.files).at(path)
        if known is not None and (known.path is None or not self._exists(known.path)):
            known = None  # a command of the stage created it
        if known is None:
            how = "image" if number is None else "generated"
            if is_folder and posixpath.basename(path) and "." in posixpath.basename(path):
                inside = posixpath.join(inside, posixpath.basename(path))
            self.layers.add(
                PlacedFile(
                    inside,
                    None,
                    "image" if how == "image" else "generated",
                    one.origin,
                    is_folder=is_folder,
                )
            )
            return
        if is_folder and not known.is_folder:
            inside = posixpath.join(inside, posixpath.basename(path))
        self.layers.add(replace(known, inside=inside, origin=one.origin))

    def _exists(self, path: str) -> bool:
        return self.build.workspace.exists(path)

    def _from_context(self, one: Instruction, word: str, inside: str, is_folder: bool) -> None:
        workspace, context = self.build.workspace, self.build.context
        name = posixpath.normpath(word.lstrip("/") or ".")
        if context is None or PLACEHOLDER in word or name.startswith(".."):
            self.layers.add(PlacedFile(inside, None, "copy", one.origin, is_folder=is_folder))
            return
        path = os.path.normpath(os.path.join(context, name))
        try:
            paths = sorted(workspace.matching(path)) if is_pattern(name) else [path]
        except Unreadable:
            paths = []
        start = os.path.normpath(context)
        for found in paths:
            relative = found if start == os.curdir else os.path.relpath(found, start)
            relative = relative.replace(os.sep, "/")
            if relative != "." and is_ignored(relative, self.build.ignored):
                self._unsure(
                    one,
                    f"{relative} is excluded by .dockerignore",
                    "remove it from .dockerignore, or do not copy it",
                )
                continue
            if workspace.is_folder(found) and not workspace.is_file(found):
                self.layers.add(PlacedFile(inside, found, "copy", one.origin, is_folder=True))
            elif workspace.is_file(found):
                base = posixpath.basename(relative)
                place = posixpath.join(inside, base) if is_folder else inside
                name_there = posixpath.basename(place)
                # A command may have created a folder of that name; then the file is copied into it.
                is_sure = "." in base + name_there or base == name_there
                self.layers.add(PlacedFile(place, found if is_sure else None, "copy", one.origin))
            else:
                base = posixpath.basename(name)
                is_file = "." in base
                place = posixpath.join(inside, base) if is_folder and is_file else inside
                self.layers.add(PlacedFile(place, None, "copy", one.origin, is_folder=not is_file))

    def _unsure(self, one: Instruction, message: str, advice: str) -> None:
        place = one.origin
        self.unknown.append(Problem(place.file, place.line, place.column, message, advice))


_EVALUATED: Mapping[str, Callable[[_Run, Instruction], None]] = {
    "ADD": _Run._copy,
    "ARG": _Run._arg,
    "CMD": _Run._cmd,
    "COPY": _Run._copy,
    "ENTRYPOINT": _Run._entrypoint,
    "ENV": _Run._env,
    "RUN": _Run._run,
    "WORKDIR": _Run._workdir,
}
