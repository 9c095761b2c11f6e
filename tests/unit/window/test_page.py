"""The page as it is sent."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re

from elasticdl_like.window.page import load_page, make_page


def test_the_policy_allows_the_scripts_of_the_page_and_no_others() -> None:
    script = "let a = '<b>';\n"
    page = make_page(f"<html><script type=module>{script}</script></html>".encode())

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page.policy
    assert "default-src 'none'" in page.policy


def test_another_content_has_another_tag() -> None:
    one, other = make_page(b"<p>1"), make_page(b"<p>2")

    assert one.etag != other.etag
    assert one.etag == make_page(b"<p>1").etag
    assert gzip.decompress(one.compressed) == one.content
    assert "script-src 'none';" in one.policy


def test_the_page_of_the_package_loads_nothing_from_elsewhere() -> None:
    page = load_page().content.decode()

    assert "<html" in page
    for attribute, address in re.findall(r"""<[^<>]*\s(src|href)=["']?([^"'\s>]+)""", page):
        assert address.startswith(("data:", "#")), f"{attribute}={address}"
