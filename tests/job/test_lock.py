"""crawler.job.lock: one at a time, and nobody keeps a lock who is gone."""

from __future__ import annotations

import os
import stat

import pytest

from crawler.job.lock import Lock, LockedError, holder


def test_the_second_is_refused_and_told_by_whom(tmp_path):
    """Also within one process: two jobs in two threads are two."""
    lock = Lock(tmp_path / "lock")
    with pytest.raises(LockedError) as refused:
        Lock(tmp_path / "lock")
    assert refused.value.pid == os.getpid()
    lock.release()
    Lock(tmp_path / "lock").release()


def test_what_a_dead_process_left_is_no_lock(tmp_path):
    """The file may be there, with any number in it: only who has it open holds it."""
    (tmp_path / "lock").write_text("1\n")
    assert holder(tmp_path / "lock") is None
    lock = Lock(tmp_path / "lock")
    assert holder(tmp_path / "lock") == os.getpid()
    lock.release()
    assert holder(tmp_path / "lock") is None


def test_no_file_no_lock(tmp_path):
    """Asking creates nothing."""
    assert holder(tmp_path / "lock") is None
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_reads_it(tmp_path):
    """The lock file is as private as the rest of a job."""
    Lock(tmp_path / "lock").release()
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_lock_whose_holder_cannot_be_told(tmp_path):
    """Whatever is in the file, the answer is a number."""
    lock = Lock(tmp_path / "lock")
    (tmp_path / "lock").write_text("no number")
    assert holder(tmp_path / "lock") == 0
    lock.release()
