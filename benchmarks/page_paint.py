"""How soon is something to be seen of the status page, and how large is it?

The page of a real master with a job of a million tasks, on loopback, in Chromium without a window;
each load is in a fresh profile, without a cache. First paint is the browser's own "first contentful
paint", from the beginning of the navigation; the picture is there when the job's coverage is drawn.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

from comparison import Figure, figure_table
from masters import START_TIMEOUT_S, running_master, synthetic_data
from playwright.sync_api import Browser, sync_playwright

from elasticdl_like.job_directory import JobDirectory

TASKS = 1_000_000
LOADS = 9
MOST_PAINT_MS = 500
MOST_KB = 300
# Not playwright's own way of waiting for a condition, which the page's policy forbids.
WHEN_DRAWN = """() => new Promise(done => {
  const paint = () => performance.getEntriesByName("first-contentful-paint")[0];
  const picture = document.getElementById("coverage-canvas");
  const look = () => paint() && picture.style.height !== ""
    ? done([paint().startTime, performance.now()]) : requestAnimationFrame(look);
  look();
})"""


def link_of(directory: JobDirectory) -> str:
    """Returns the link to the page of a master, which opens it just after its own address."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_s:
        if link := directory.status_page():
            return link
        time.sleep(0.05)
    raise RuntimeError(f"the master of {directory.path} has no status page")


def size_kb(link: str, encoding: str) -> float:
    request = urllib.request.Request(link, headers={"Accept-Encoding": encoding})
    with urllib.request.urlopen(request) as reply:
        return len(reply.read()) / 1000


def load(browser: Browser, link: str) -> tuple[float, float]:
    """Returns the milliseconds to the first paint, and to the picture of the job."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(link)
        paint_ms, drawn_ms = page.evaluate(WHEN_DRAWN)
        return float(paint_ms), float(drawn_ms)
    finally:
        context.close()


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("there is no Chromium: apt-get install chromium, or set CHROMIUM")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        job_directory = Path(name) / "job"
        with running_master(job_directory, *synthetic_data(TASKS)):
            link = link_of(JobDirectory(job_directory))
            sandbox = [] if os.geteuid() else ["--no-sandbox"]
            browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
            load(browser, link)
            loads = [load(browser, link) for _ in range(LOADS)]
            browser.close()
            figures = [
                Figure("first paint, ms", [paint for paint, _ in loads], at_most=MOST_PAINT_MS),
                Figure("picture of the job, ms", [drawn for _, drawn in loads]),
                Figure("page, kB", [size_kb(link, "identity")], at_most=MOST_KB),
                Figure("page as it is sent, kB", [size_kb(link, "gzip")]),
            ]
    print(figure_table(figures))


if __name__ == "__main__":
    main()
