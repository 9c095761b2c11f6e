"""The page as a file."""

from __future__ import annotations

import json
import re

from elasticdl_like.window.report import make_report

DATA = re.compile(r'<script type="application/json" id="report-data">(.*?)</script>', re.DOTALL)


def test_carries_the_documents_in_the_page() -> None:
    documents = {"status": {"job": "digits", "loss": float("nan")}, "events": [{"id": 1}]}

    found = DATA.findall(make_report(documents))

    assert [json.loads(each) for each in found] == [
        {"status": {"job": "digits", "loss": None}, "events": [{"id": 1}]}
    ]


def test_what_a_job_says_cannot_leave_its_place() -> None:
    text = "</script><script>alert(1)</script><!-- \u2028 \ud800"

    page = make_report({"events": [{"text": text}]})

    (found,) = DATA.findall(page)
    assert "<" not in found
    assert json.loads(found) == {"events": [{"text": text}]}
    assert page.count("<script") == 2
    assert page.encode()
