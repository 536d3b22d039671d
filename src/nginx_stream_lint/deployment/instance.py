"""Find the nginx in a container that a deployment file describes."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config.deployed import ProxyInFront
from nginx_stream_lint.deployment.image_folders import is_configuration_path
from nginx_stream_lint.deployment.images import (
    app_of,
    base_files,
    installed_version,
    is_named_after_nginx,
    is_without_server,
    pinned_version,
    server_image,
    versions_of,
)
from nginx_stream_lint.deployment.layers import Layers
from nginx_stream_lint.deployment.model import (
    CommandLine,
    DeployedAt,
    Instance,
    NginxVersions,
    PlacedFile,
    Service,
    ServiceObject,
    is_known,
)
from nginx_stream_lint.deployment.shell import (
    NGINX,
    command_line,
    runs_nginx,
    script_of,
    shell_text,
)
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem, Unreadable

if TYPE_CHECKING:
    from nginx_stream_lint.deployment.dockerfile import BuiltImage

_ENTRYPOINT = "/docker-entrypoint.sh"
_MAIN = "/etc/nginx/nginx.conf"
_MAX_SCRIPTS = 20
# If an image or service has such a name, a mounted folder is enough evidence of nginx.
_NAMED = re.compile(r"(?i)nginx|openresty|angie|proxy|gateway|web|front")
_VERSION = "set nginx_version in the settings"


class Label(Struct, frozen=True):
    """The value of a label, None if it is unknown, and its place."""

    value: str | None
    origin: DeployedAt


class Container(Struct, frozen=True):
    """A container as described: its image, and the settings beside it.

    `built` is the image that a Dockerfile of the repository builds. `entrypoint` and `command` are
    None if those of the image are used. `mounts` are added at start. `addresses` and `selected_by`
    are as in `Service`. `is_rescaled`: it only changes the number of replicas of another container.
    `unknown` lists problems: what could not be determined. `are_mounts_complete` False: it may have
    more mounts. `depends_on` are the services that start before it. `in_front` are the
    proxies other than nginx that a manifest puts in front.
    """

    name: str
    project: str
    origin: DeployedAt
    image: str | None
    image_origin: DeployedAt
    built: BuiltImage | None = None
    build: str | None = None
    dockerfile: str | None = None
    mounts: tuple[PlacedFile, ...] = ()
    environment: Mapping[str, str | None] = {}
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()
    replicas: int | None = 1
    service_ports: tuple[tuple[int, int], ...] = ()
    in_front: tuple[ProxyInFront, ...] = ()
    labels: Mapping[str, Label] = {}
    depends_on: tuple[str, ...] = ()
    addresses: Mapping[str, int | None] = {}
    is_rescaled: bool = False
    environment_at: Mapping[str, DeployedAt] = {}
    unknown: tuple[Problem, ...] = ()
    are_mounts_complete: bool = True
    selected_by: tuple[ServiceObject, ...] = ()


def service_of(container: Container) -> Service:
    """The service that other containers reach."""
    base = container.built.base if container.built is not None else None
    return Service(
        container.name,
        container.project,
        container.origin,
        container.image,
        container.build,
        app_of(container.image) or app_of(base),
        container.names,
        container.replicas,
        container.addresses,
        container.selected_by,
    )


def instance_of(
    workspace: Workspace, container: Container, notes: list[Problem]
) -> Instance | None:
    """The nginx in a container; None without evidence of one."""
    return _Assembly(workspace, container, notes).instance()


class _Assembly:
    def __init__(self, workspace: Workspace, container: Container, notes: list[Problem]) -> None:
        self.workspace = workspace
        self.container = container
        self.notes = notes
        built = container.built
        self.base = built.base if built is not None else container.image
        self.base_origin = built.base_origin if built is not None else container.image_origin
        self.row = server_image(self.base) if self.base is not None else None
        if built is None:
            row_base = None if self.row is None else self.row.base
            self.layers = Layers(workspace, base_files(row_base, container.image_origin))
        else:
            self.layers = Layers(workspace, built.files)
        self.environment = dict(built.environment) if built is not None else {}
        self.environment.update(container.environment)
        self.layers.files += container.mounts

    def instance(self) -> Instance | None:
        """The instance, if this container runs nginx."""
        words, has_own_entrypoint = self._words()
        if not self._is_nginx(words):
            return None
        container, built = self.container, self.container.built
        self._start(words, has_own_entrypoint)
        if words and self.layers.nginx is not None and not runs_nginx(words):
            started = command_line(self.layers.nginx)
            command: CommandLine | None = replace(started, words=tuple(words))
        else:
            command = command_line(words) if words else None
        versions = self._versions()
        self._missing_files()
        unknown = (*container.unknown, *(built.unknown if built is not None else ()))
        self.notes += [one for one in dict.fromkeys(unknown) if one not in self.notes]
        return Instance(
            container.name,
            container.project,
            container.origin,
            self.base or container.image,
            None if self.row is None else self.row.product,
            versions,
            tuple(self.layers.files),
            tuple({**self.environment, **self.layers.exported}.items()),
            command,
            self._main(command),
            container.names,
            self._is_start_known(words),
            service_ports=container.service_ports,
            environment_at=self._environment_at(),
        )

    def _environment_at(self) -> dict[str, DeployedAt]:
        """The places that set the environment, except variables that the start changes."""
        built = self.container.built
        found = dict(built.environment_at) if built is not None else {}
        found.update(self.container.environment_at)
        return {name: at for name, at in found.items() if name not in self.layers.exported}

    def _is_start_known(self, words: Sequence[str]) -> bool:
        """Whether all effects of the container's start on files are known."""
        built = self.container.built
        if not self.container.are_mounts_complete:
            return False
        if self.layers.programs or (self.row is not None and self.row.controller):
            return False
        if self.container.entrypoint is None and (built is None or built.base is None):
            return self.row is not None and self.row.templates
        return self.layers.nginx is not None or runs_nginx(words)

    def _missing_files(self) -> None:
        """Add notes for configuration files that the repository does not have."""
        for one in self.layers.files:
            if one.path is not None or not is_configuration_path(one.inside):
                continue
            verb = {"mount": "mounted", "copy": "copied", "config": "mounted"}.get(one.how)
            if verb is not None and self.layers.at(one.inside) == one:
                where = f"{one.inside} in {self.container.name}"
                if one.is_folder:
                    message = f"the folder {verb} as {where} is not in the repository"
                    self._note(one.origin, message, "its files are unknown")
                else:
                    message = f"the file {verb} as {where} is not in the repository"
                    self._note(one.origin, message, "its content is unknown")

    def _words(self) -> tuple[list[str], bool]:
        """The words of the command, and whether the entrypoint differs from the base image's."""
        built, row = self.container.built, self.row
        entrypoint, command = self.container.entrypoint, self.container.command
        if entrypoint is None:
            entrypoint = built.entrypoint if built is not None else None
            if command is None:
                command = built.command if built is not None else None
        own = entrypoint is not None
        if entrypoint == (_ENTRYPOINT,) and self.layers.at(_ENTRYPOINT) is None:
            own = False
        if not own and command is None and row is not None and row.templates:
            command = ("nginx", "-g", "daemon off;")
        return [*(entrypoint or ()), *(command or ())], own

    def _is_nginx(self, words: Sequence[str]) -> bool:
        if self.row is not None or runs_nginx(words):
            return True
        built = self.container.built
        image = self.base or self.container.image
        if built is not None and built.installed is not None:
            return True
        if (
            (built is None or built.base is None)
            and image is not None
            and is_known(image)
            and is_named_after_nginx(image)
        ):
            return True
        if words and script_of(words) is None and shell_text(words) is None:
            return False  # it runs another program
        if image is not None and built is None and is_without_server(image):
            return False
        names = f"{self.base or ''} {self.container.name}"
        return any(
            one.path is not None
            and is_configuration_path(one.inside)
            and one.how != "image"
            and (not one.is_folder or _NAMED.search(names) is not None)
            for one in self.layers.files
        )

    def _start(self, words: list[str], has_own_entrypoint: bool) -> None:
        """Apply those effects of the container's start on files that are certain."""
        row, origin = self.row, self.container.origin
        text = shell_text(words)
        script = script_of(words)
        if has_own_entrypoint and words[0].endswith(".sh"):
            script = words[0]
        # The image's entrypoint renders templates only if it starts nginx.
        if row is not None and row.templates and not has_own_entrypoint:
            rest = words[1:] if words[:1] == [_ENTRYPOINT] else words
            if rest and posixpath.basename(rest[0]) in NGINX:
                self._fill_templates()
                for inside, one in sorted(self._files_below("/docker-entrypoint.d").items()):
                    is_script = inside.endswith(".sh") and one.how != "removed"
                    if is_script and not self._run_script(one):
                        self.layers.programs.append([inside])
        if text is not None:
            self.layers.run(text, "/", origin)
        elif script is not None and (has_own_entrypoint or script != _ENTRYPOINT):
            at = words.index(script) if script in words else 0
            self.layers.programs.append(words[at:] if words else [script])
        self._run_programs()
        if self.layers.programs:
            program = " ".join(self.layers.programs[0][:2])
            self._note(
                origin,
                f"the container of {self.container.name} starts {program}, which may write"
                " configuration files",
                "their contents are unknown",
            )

    def _run_programs(self) -> None:
        """Apply the scripts that the container starts, if they are files of the repository."""
        workdir = self.container.built.workdir if self.container.built is not None else "/"
        unknown: list[list[str]] = []
        for _ in range(_MAX_SCRIPTS):
            if not self.layers.programs:
                break
            program = self.layers.programs.pop(0)
            path = posixpath.normpath(posixpath.join(workdir, program[0]))
            known = None if path.endswith(".py") else self.layers.at(path)
            self.layers.arguments = program[1:]
            self.layers.variables.update({str(at): one for at, one in enumerate(program[1:], 1)})
            if known is None or not self._run_script(known):
                unknown.append(program)
        self.layers.programs[:0] = unknown

    def _run_script(self, one: PlacedFile) -> bool:
        """Apply a script's effects; returns whether it could be read."""
        if one.path is None or one.key is not None or not self.workspace.is_file(one.path):
            return False
        try:
            text = self.workspace.source(one.path).text
        except Unreadable:
            return False
        first = text.split("\n", 1)[0]
        if first.startswith("#!") and "sh" not in first:
            return False
        for name, value in self.environment.items():
            if value is not None:
                self.layers.variables.setdefault(name, value)
        self.layers.run(text, "/", DeployedAt(one.path, 1))
        return True

    def _fill_templates(self) -> None:
        """Add the files that the official image's entrypoint renders from templates."""
        folder = self._variable("NGINX_ENVSUBST_TEMPLATE_DIR", "/etc/nginx/templates")
        suffix = self._variable("NGINX_ENVSUBST_TEMPLATE_SUFFIX", ".template")
        target = self._variable("NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/conf.d")
        if folder is None or suffix is None or target is None:
            return
        for inside, file in self._files_below(folder).items():
            if inside.endswith(suffix) and file.how != "removed":
                place = posixpath.join(target, inside[len(folder) + 1 :].removesuffix(suffix))
                self.layers.add(replace(file, inside=place))

    def _files_below(self, folder: str) -> dict[str, PlacedFile]:
        """The files below a folder in the container, by path."""
        found: dict[str, PlacedFile] = {}
        for placed in self.layers.files:
            one = self._part_of(placed, folder)
            if one.inside == folder or one.inside.startswith(f"{folder}/"):
                for file in self._files_in(one):
                    found[file.inside] = file
        return found

    def _part_of(self, one: PlacedFile, folder: str) -> PlacedFile:
        """The part of a placed folder that is at a folder within it; otherwise what is placed."""
        outer = one.inside.rstrip("/")
        if not one.is_folder or one.path is None or one.key is not None:
            return one
        path = os.path.normpath(os.path.join(one.path, folder[len(outer) + 1 :]))
        is_within = folder.startswith(f"{outer}/") and self.workspace.is_folder(path)
        return replace(one, inside=folder, path=path) if is_within else one

    def _files_in(self, one: PlacedFile) -> list[PlacedFile]:
        """The files of a folder in a container; a file yields itself."""
        if not one.is_folder or one.path is None or one.key is not None:
            return [one]
        found: list[PlacedFile] = []
        waiting = [(one.path, one.inside)]
        while waiting:
            path, inside = waiting.pop()
            for name, is_folder in self.workspace.entries(path):
                entry = os.path.join(path, name), posixpath.join(inside, name)
                if is_folder:
                    waiting.append(entry)
                else:
                    found.append(replace(one, path=entry[0], inside=entry[1], is_folder=False))
        return sorted(found, key=lambda file: file.inside)

    def _variable(self, name: str, default: str) -> str | None:
        return self.environment.get(name, default)

    def _versions(self) -> NginxVersions | None:
        built = self.container.built
        base, origin = self.base, self.base_origin
        found: NginxVersions | None = None
        if base is not None and self.row is not None:
            found = versions_of(base, origin)
            if found is None and self.row.version != "never":
                self._note(origin, f"the version of nginx in {_shown(base)} is unknown", _VERSION)
        elif built is not None and built.installed is not None:
            at = built.installed_at or origin
            if built.installed.version is not None:
                return pinned_version(built.installed.version, at)
            if built.installed.is_own and base is not None:
                found = installed_version(base, at)
            if found is None:
                system = _shown(base) if base is not None else "the image"
                message = f"the version of nginx that is installed in {system} is unknown"
                self._note(at, message, _VERSION)
        else:
            what = _shown(base) if base is not None else f"the image of {self.container.name}"
            self._note(origin, f"the version of nginx in {what} is unknown", _VERSION)
        return found

    def _main(self, command: CommandLine | None) -> str | None:
        if command is not None and command.config is not None:
            if "$" in command.config or not is_known(command.config):
                return None
            if command.config.startswith("/"):
                return posixpath.normpath(command.config)
            return posixpath.join("/etc/nginx", command.config)
        if self.row is not None:
            return self.row.main
        return _MAIN if self.layers.at(_MAIN) is not None else None

    def _note(self, origin: DeployedAt, message: str, advice: str) -> None:
        note = Problem(origin.file, origin.line, origin.column, message, advice)
        if note not in self.notes:
            self.notes.append(note)


def _shown(image: str) -> str:
    return image if is_known(image) else "an image with an unknown variable"
