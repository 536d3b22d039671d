"""Measure the layout of a page in a real browser, with a script in a page around it."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

DESKTOP, PHONE = 1280, 390

# Measures the page in the frame, which has no scripts itself, and writes the result as text.
_SCRIPT = """
addEventListener('load', () => {
  const found = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const outside = [...page.querySelectorAll('svg text')].filter(text => {
      const box = text.getBBox(), view = text.ownerSVGElement.viewBox.baseVal;
      return box.x < 0 || box.x + box.width > view.width || box.y + box.height > view.height;
    }).map(text => text.textContent);
    const sizes = [...page.querySelectorAll('svg text')].map(text => {
      const box = text.getBoundingClientRect();
      return box.height;
    });
    return {
      width: root.clientWidth, content: root.scrollWidth, outside: outside,
      pictures: page.querySelectorAll('svg').length, text: root.innerText,
      smallest: Math.min(...sizes, 99),
      targets: [...page.querySelectorAll('a[href^="#"]')].every(
        one => page.getElementById(one.getAttribute('href').slice(1)) !== null),
    };
  });
  document.body.textContent = JSON.stringify(found);
});
"""


def laid_out(page: str, folder: Path, widths: tuple[int, ...] = (DESKTOP, PHONE)) -> list[Any]:
    """The layout of a page at each width, in CSS pixels."""
    frames = "".join(
        f'<iframe width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        for width in widths
    )
    around = folder / "around.html"
    around.write_text(
        f'<!doctype html><meta charset="utf-8"><body>{frames}<script>{_SCRIPT}</script></body>',
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=5000",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            around.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    match = re.search(r"<body>(\[.*\])</body>", done.stdout, re.DOTALL)
    assert match is not None, done.stdout[-500:]
    found: list[Any] = json.loads(html.unescape(match[1]))
    return found
