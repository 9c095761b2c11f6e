"""Opens the status page in a real browser, and looks at it as a person does."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from elasticdl_command import RunningCommand, eventually

# Machines may be slow and busy; what is waited for comes sooner or never.
PATIENCE_S = 90.0
SCREENSHOTS = Path(__file__).parent / "screenshots"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
_NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")

# The pixels of a canvas that have about a colour of the style sheet.
_COUNT_PIXELS = """([selector, name]) => {
  const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  probe.fillRect(0, 0, 1, 1);
  const wanted = probe.getImageData(0, 0, 1, 1).data;
  const canvas = document.querySelector(selector);
  if (!canvas || !canvas.width || !canvas.height) return 0;
  probe.canvas.width = canvas.width;
  probe.canvas.height = canvas.height;
  probe.drawImage(canvas, 0, 0);
  const pixels = probe.getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    const near = [0, 1, 2].every((part) => Math.abs(pixels[at + part] - wanted[part]) < 12);
    if (near && pixels[at + 3] > 200) found += 1;
  }
  return found;
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Runs the browser of this machine, without a window."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    assert path, "there is no Chromium: apt-get install chromium, or set CHROMIUM"
    arguments = ["--disable-dev-shm-usage", "--disable-gpu"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # it refuses to have one for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class OpenPage:
    """A status page that is open in a browser.

    Attributes:
        page: playwright's.
        problems: errors and warnings of the console, and uncaught errors.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._hear)

    def open(self, link: str) -> None:
        self.page.goto(link)

    def text(self, name: str) -> str:
        """Returns the text of the element with an id."""
        return self.page.locator(f"#{name}").inner_text()

    def banner(self) -> str:
        """Returns the text across the page, or "" when there is none."""
        banner = self.page.locator("#banner")
        return banner.inner_text() if banner.is_visible() else ""

    def number(self, name: str) -> int:
        """Returns the first number in the text of the element with an id; -1 for none."""
        found = re.search(r"\d[\d,]*", self.text(name))
        return int(found[0].replace(",", "")) if found else -1

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def wait_for(
        self, attempt: Callable[[], object], while_running: RunningCommand | None = None
    ) -> None:
        """Waits until the page shows something."""
        eventually(lambda: attempt() or None, PATIENCE_S, while_running)

    def pixels(self, selector: str, colour: str) -> int:
        """Returns how many pixels of a canvas have about a colour of the style sheet."""
        return int(self.page.evaluate(_COUNT_PIXELS, [selector, colour]))

    def is_wider_than_the_window(self) -> bool:
        return bool(
            self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
        )

    def screenshot(self, name: str) -> None:
        """Keeps a picture of the whole page for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def _hear(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind in ("error", "warning"):
            self.problems.append(text)
