"""The choice of a location, against real nginx: random trees of locations, random paths."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.location_match import find_location
from nginx_stream_lint.probe import Nginx, NginxBinary, free_ports

WORDS = ("a", "b", "ab", "abc", "v1", "chat", "x.php")
REGEXES = ("^/a", "/b", r"\\.php$", "chat$", "^/v1/(a|b)", "^/[ab]+/", "B", "/a/.*/b")
SERVERS, PATHS = 40, 60


class Tree:
    """A server with random locations, each answering with its own number."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = 0

    def path(self) -> str:
        """A path of up to four words, sometimes with a slash at the end."""
        parts = [self.random.choice(WORDS) for _ in range(self.random.randint(0, 4))]
        return "/" + "/".join(parts) + ("/" if parts and self.random.random() < 0.4 else "")

    def locations(self, prefix: str, depth: int) -> str:
        """Locations that may stand inside one with this prefix."""
        rows: list[str] = []
        seen: set[str] = set()
        for _ in range(self.random.randint(2, 6) if depth < 2 else 0):
            modifier = self.random.choice(("", "", "", "=", "^~", "~", "~*"))
            self.numbers += 1
            answer = f"return 200 {self.numbers};"
            if modifier in ("~", "~*"):
                pattern = self.random.choice(REGEXES)
                # Inside a regular expression only regular expressions may nest.
                rows.append(f'location {modifier} "{pattern}" {{ {answer} }}')
                continue
            pattern = prefix + self.path().lstrip("/")
            key = f"={pattern}" if modifier == "=" else pattern
            if key in seen:
                continue
            seen.add(key)
            inner = "" if modifier == "=" else self.locations(pattern, depth + 1)
            rows.append(f"location {modifier} {pattern} {{ {answer} {inner} }}")
        return "\n".join(rows)


async def ask(port: int, paths: list[str]) -> list[str]:
    """The bodies of the answers, over one connection; `none` for a 404."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers: list[str] = []
    for path in paths:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        body = (await reader.readexactly(length)).decode()
        answers.append(body if head.startswith("http/1.1 200") else "none")
    writer.close()
    await writer.wait_closed()
    return answers


def number(location: Level | None) -> str:
    """What a location answers; `none` where there is no location."""
    return "none" if location is None else location.rows["return"][0].args[1]


async def check(binary: NginxBinary, folder: Path) -> tuple[int, list[str]]:
    """How many paths were asked, and where nginx chose another location."""
    ports = free_ports(SERVERS)
    trees = [Tree(seed) for seed in range(SERVERS)]
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{port}; {tree.locations('/', 0)} }}"
        for port, tree in zip(ports, trees, strict=True)
    )
    text = f"events {{}}\nhttp {{\n{servers}\n}}\n"
    main = folder / "as-written.conf"
    main.write_text(text)
    configuration = read(str(main))
    assert configuration.problems == []
    http = build(configuration).first("http")
    assert http is not None
    wrong: list[str] = []
    asked = 0
    async with Nginx(binary, text, folder):
        for server, port, tree in zip(http.children, ports, trees, strict=True):
            paths = [tree.path() for _ in range(PATHS)]
            for path, answer in zip(paths, await ask(port, paths), strict=True):
                asked += 1
                ours = number(find_location(server, path))
                if ours != answer:
                    wrong.append(f"{path}: nginx {answer}, we {ours}")
    return asked, wrong


def test_the_same_location_as_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    asked, wrong = asyncio.run(asyncio.wait_for(check(binary, tmp_path), 60))
    assert asked == SERVERS * PATHS
    assert wrong == []
