"""What a deployment says of the files of one nginx: where they lie there, and what is in them.

`deployment/` reads that from compose files, Dockerfiles and manifests. Here it is an interface, so
that reading configurations does not depend on how a repository describes its deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from nginx_stream_lint.config.mapped_text import MappedText


class DeployedPaths(Struct, frozen=True):
    """The files at a path or pattern of a container, by their paths here.

    `is_complete` False: others may be there that the repository does not have.
    """

    paths: tuple[str, ...] = ()
    is_complete: bool = False


class Deployed(Protocol):
    """One nginx of a deployment."""

    @property
    def name(self) -> str:
        """Its name, such as that of its service in a compose file."""

    @property
    def origin(self) -> str:
        """Where it is described: `file:line`."""

    @property
    def product(self) -> str:
        """What runs there: nginx, OpenResty …"""

    @property
    def versions(self) -> tuple[tuple[int, int, int], ...]:
        """The versions of nginx that may run there; none where they are unknown."""

    @property
    def version_text(self) -> str:
        """The version as the deployment gives it, with its place: `1.27 (compose.yaml:4)`."""

    @property
    def values(self) -> Mapping[str, str]:
        """The environment's variables, for templates."""

    @property
    def texts(self) -> Mapping[str, MappedText]:
        """Texts that are no files here, by the paths that `paths_of` gives them."""

    @property
    def main(self) -> str | None:
        """The path here of its main file; None where it is not known."""

    def paths_of(self, argument: str) -> DeployedPaths:
        """The files that an include's argument leads to there."""

    def has(self, key: str) -> bool:
        """Whether a file is there, by its `Workspace.key`."""

    def app_of(self, host: str) -> str | None:
        """The catalogued app that a host's name leads to; None where it is not known."""

    def replicas_of(self, host: str) -> int | None:
        """How many containers a host's name stands for; None where it is not known."""
