"""The page as it is sent: the file of the package, compressed, with the policy that it keeps."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib import resources

_SCRIPT = re.compile(r"<script\b[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """The page.

    Attributes:
        content: its HTML.
        compressed: the same by gzip.
        etag: changes when the content does.
        policy: the Content-Security-Policy: nothing from elsewhere, and no script but its own.
    """

    content: bytes
    compressed: bytes
    etag: str
    policy: str


def load_page() -> Page:
    """Returns the page of this version."""
    return make_page(resources.files(__package__).joinpath("page.html").read_bytes())


def make_page(content: bytes) -> Page:
    """Returns a page of this HTML."""
    hashes = [_hash(script) for script in _SCRIPT.findall(content.decode("utf-8"))]
    return Page(
        content,
        gzip.compress(content, mtime=0),
        f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',
        security_policy(" ".join(hashes) or "'none'"),
    )


def security_policy(scripts: str) -> str:
    """Returns a Content-Security-Policy that allows these scripts, and nothing from elsewhere."""
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
