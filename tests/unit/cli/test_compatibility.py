import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, ModelName, Verdict
from elasticdl_like.cli.compatibility.flags import FLAGS
from elasticdl_like.cli.compatibility.model_names import MODEL_NAMES

GENERATOR = Path(__file__).parents[3] / "docs" / "generate.py"
FLAG = {flag.name: flag for flag in FLAGS}
ENTRIES: tuple[ElasticdlFlag | ModelName, ...] = (*FLAGS, *MODEL_NAMES)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_no_name_is_there_twice() -> None:
    for table in (FLAGS, MODEL_NAMES):
        counts = Counter(entry.name for entry in table)
        assert [name for name, count in counts.items() if count > 1] == []


def test_what_does_not_work_has_a_note() -> None:
    assert [
        entry.name for entry in ENTRIES if entry.verdict is not Verdict.WORKS and not entry.note
    ] == []


def test_notes_are_sentences() -> None:
    for entry in ENTRIES:
        assert entry.note == "" or re.fullmatch(r"\S(?!.*  ).*\.", entry.note), entry.name


def test_flags_are_well_formed() -> None:
    for flag in FLAGS:
        assert re.fullmatch(r"--[a-z]+(_[a-z]+)*", flag.name)
        assert flag.commands, flag.name
        assert flag.verdict is Verdict.REFUSED or not flag.harmless_values, flag.name
        if flag.is_boolean:
            assert set(flag.harmless_values) <= {"true", "false"}, flag.name


def test_a_note_never_points_to_a_flag_that_does_not_work() -> None:
    for entry in ENTRIES:
        for name in re.findall(r"`(--[a-z_]+)`", entry.note):
            assert FLAG[name].verdict is Verdict.WORKS, entry.name


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("--num_epochs", "3", Verdict.WORKS),
        ("--get_model_steps", "4", Verdict.WARNING),
        ("--image_base", "elasticdl:ci", Verdict.REFUSED),
        ("--num_ps_pods", "0", Verdict.WORKS),
        ("--num_ps_pods", "2", Verdict.REFUSED),
        ("--use_async", None, Verdict.REFUSED),
        ("--use_async", "True", Verdict.REFUSED),
        ("--use_async", "False", Verdict.WORKS),
        ("--need_task_manager", None, Verdict.WORKS),
        ("--need_task_manager", "Yes", Verdict.WORKS),
        ("--need_task_manager", "no", Verdict.REFUSED),
        ("--lr_staleness_modulation", "true", Verdict.WARNING),
    ],
)
def test_a_value_that_asks_for_what_happens_anyway_is_let_through(
    name: str, value: str | None, verdict: Verdict
) -> None:
    assert FLAG[name].verdict_of(value) is verdict


def test_messages_name_the_flag() -> None:
    assert FLAG["--num_epochs"].message == ""
    assert FLAG["--use_go_ps"].message == (
        "--use_go_ps has no effect. There are no parameter servers."
    )
    assert FLAG["--use_async"].message == (
        "--use_async is not supported. Training is always synchronous."
    )


def test_documentation_is_fresh(generator: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


def test_generator_names_a_stale_file_and_rewrites_it(
    generator: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- generated: part -->\nold\n<!-- end -->\n\nafter\n")
    monkeypatch.setattr(generator, "DOCS", tmp_path)
    monkeypatch.setattr(generator, "PARTS", [generator.Part("page.md", "part", lambda: "new")])

    assert generator.main(["--check"]) == 1
    assert str(page) in capsys.readouterr().err
    assert "old" in page.read_text()

    assert generator.main([]) == 0
    assert page.read_text() == (
        "before\n\n<!-- generated: part -->\n\nnew\n\n<!-- end -->\n\nafter\n"
    )
    assert generator.main(["--check"]) == 0


def test_generator_refuses_a_file_without_markers(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("nothing here\n")
    monkeypatch.setattr(generator, "DOCS", tmp_path)
    monkeypatch.setattr(generator, "PARTS", [generator.Part("page.md", "part", lambda: "new")])
    with pytest.raises(SystemExit, match="lacks <!-- generated: part -->"):
        generator.main([])
