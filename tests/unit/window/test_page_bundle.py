"""The committed page is what its sources make; only `make page` needs npm."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from elasticdl_like import window

WINDOW = Path(window.__file__).parent
MOST_BYTES = 300_000


def test_the_page_is_made_of_its_sources() -> None:
    digest = hashlib.sha256()
    sources = [
        path
        for path in (WINDOW / "page").iterdir()
        if path.suffix in {".html", ".css", ".js", ".json"}
    ]
    for path in sorted(sources, key=lambda each: each.name):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    page = (WINDOW / "page.html").read_text(encoding="utf-8")

    assert f'name="page-sources" content="{digest.hexdigest()}"' in page, (
        "page.html was not made of these sources: make page"
    )


def test_the_page_is_one_small_file_with_the_licence_of_what_is_in_it() -> None:
    page = (WINDOW / "page.html").read_text(encoding="utf-8")

    assert len(page.encode()) < MOST_BYTES
    assert "Copyright (c) 2022 Leon Sorokin" in page
    assert "Permission is hereby granted, free of charge" in page
    assert not re.search(r"url\((?!['\"]?data:)|@import|sourceMappingURL", page)


def test_the_page_sets_texts_and_never_html() -> None:
    sources = "".join(path.read_text() for path in (WINDOW / "page").glob("*.js"))

    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", sources
    )
