from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.job_directory import JobDirectory


def leave_a_job(path: Path) -> None:
    directory = JobDirectory(path)
    with directory.own():
        for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"):
            (path / name).write_text("journal")
        directory.make_token()
        directory.save_quarantine([{"shard": "a"}])
        (directory.logs / "worker-0.log").write_text("hello")
        (directory.workers / "0.json").write_text("{}")
        directory.checkpoints.mkdir()
        (directory.checkpoints / "checkpoint-1").write_text("weights")


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path / "a" / "b")
    assert not directory.in_use()
    with directory.own():
        assert directory.logs.is_dir()
        assert directory.workers.is_dir()
        assert directory.in_use()
        assert not directory.has_job()
    assert not directory.in_use()


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    leave_a_job(tmp_path)
    before = contents(tmp_path)
    with JobDirectory(tmp_path).own():
        with (
            pytest.raises(JobDirectoryError, match="in use by a running job"),
            JobDirectory(tmp_path).own(),
        ):
            pytest.fail("two owners")
        assert JobDirectory(tmp_path).in_use()
        assert contents(tmp_path) == before
    with JobDirectory(tmp_path).own():
        pass


def test_an_owner_in_another_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            """
import sys
from pathlib import Path
from elasticdl_like.job_directory import JobDirectory
with JobDirectory(Path(sys.argv[1])).own():
    print("mine", flush=True)
    sys.stdin.read()
""",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    try:
        assert owner.stdout.readline() == b"mine\n"
        assert JobDirectory(tmp_path).in_use()
    finally:
        owner.kill()
        owner.wait()
        owner.stdin.close()
        owner.stdout.close()
    assert not JobDirectory(tmp_path).in_use()
    with JobDirectory(tmp_path).own():
        pass


def test_an_owner_that_fails_lets_go(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)

    def fail() -> None:
        with directory.own():
            directory.save_endpoint("host:1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not directory.in_use()
    assert not (tmp_path / "endpoint").exists()


def test_clear_removes_the_job_and_leaves_other_files_alone(tmp_path: Path) -> None:
    leave_a_job(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "logs" / "notes.txt").write_text("mine")
    directory = JobDirectory(tmp_path)
    assert directory.has_job()
    with directory.own():
        directory.clear()
        assert not directory.has_job()
        assert contents(tmp_path) == {
            "lock": b"",
            "logs/notes.txt": b"mine",
            "notes.txt": b"mine",
            "workers/0.json": b"{}",  # that process may live, and has to be ended
        }
        directory.clear()


def test_the_token_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    with pytest.raises(JobDirectoryError, match="token cannot be read"):
        directory.token()
    old = os.umask(0)
    try:
        token = directory.make_token()
    finally:
        os.umask(old)
    assert len(token) == 64
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert directory.make_token() == JobDirectory(tmp_path).token() == token


@pytest.mark.parametrize("body", [b"\xff\xfe", "ö".encode()])
def test_a_token_that_is_none(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "token").write_bytes(body)
    with pytest.raises(JobDirectoryError, match="token cannot be read"):
        JobDirectory(tmp_path).token()


def test_the_endpoint_is_that_of_a_live_master(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    assert directory.endpoint() is None
    with directory.own():
        assert directory.endpoint() is None
        directory.save_endpoint("host:1234")
        assert JobDirectory(tmp_path).endpoint() == "host:1234"
    assert directory.endpoint() is None
    # Killed: nobody removed the file.
    directory.save_endpoint("host:1234")
    assert directory.endpoint() is None


def test_the_link_to_the_page_is_that_of_the_running_master(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    with directory.own():
        directory.save_status_page("http://host:1234/")
        assert JobDirectory(tmp_path).status_page() == "http://host:1234/"
    assert directory.status_page() is None
    # Killed, and the next one has no page.
    directory.save_status_page("http://host:1234/")
    assert directory.status_page() is None
    with directory.own():
        assert directory.status_page() is None


def test_the_command_that_goes_on_outlives_the_master_and_not_the_job(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    assert directory.resume_command() == ""
    with directory.own():
        directory.save_resume_command("cd 'mein Häuschen' && elasticdl train")
    assert JobDirectory(tmp_path).resume_command() == "cd 'mein Häuschen' && elasticdl train"
    with directory.own():
        directory.clear()
    assert directory.resume_command() == ""


def test_the_quarantine_is_one_range_a_line(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    ranges = [{"shard": "a", "start": 1, "end": 2}, {"shard": "two\nlines", "start": 5, "end": 9}]
    for saved in (ranges, ranges[:1]):
        directory.save_quarantine(saved)
        lines = (tmp_path / "quarantine.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == saved


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path / "gone")
    for write in (lambda: directory.save_endpoint("host:1"), directory.make_token):
        with pytest.raises(JobDirectoryError, match="cannot be written: No such file"):
            write()


def test_a_path_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(JobDirectoryError, match="cannot be written to"),
        JobDirectory(tmp_path / "file" / "job").own(),
    ):
        pytest.fail("a directory inside a file")
