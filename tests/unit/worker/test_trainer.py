"""What a member of a round does on its own."""

import pytest

from elasticdl_like.config import DataConfig, JobConfig, TrainingConfig
from elasticdl_like.worker.trainer import member_batch_size


def job(**training: int) -> JobConfig:
    return JobConfig("job", DataConfig("data"), training=TrainingConfig(**training))


@pytest.mark.parametrize("num_members", range(1, 8))
def test_a_global_batch_is_shared_out_whole_and_evenly(num_members: int) -> None:
    sizes = [
        member_batch_size(job(global_batch_size=20), rank, num_members)
        for rank in range(num_members)
    ]
    assert sum(sizes) == 20
    assert max(sizes) - min(sizes) <= 1


def test_without_a_global_batch_each_has_a_minibatch() -> None:
    assert [member_batch_size(job(minibatch_size=8), rank, 3) for rank in range(3)] == [8, 8, 8]
