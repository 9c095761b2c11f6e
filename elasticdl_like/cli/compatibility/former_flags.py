"""Flags that ElasticDL itself renamed or gave up."""

from __future__ import annotations

from collections.abc import Mapping

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, refused
from elasticdl_like.cli.compatibility.reasons import NO_EVALUATORS


def _part_of(name: str, flag: str, example: str) -> ElasticdlFlag:
    return refused(name, f"It is part of `{flag}` now, as in `{example}`.")


def _renamed(
    name: str, new_name: str, note: str = "", *, commands: tuple[str, ...] = ("train",)
) -> ElasticdlFlag:
    return refused(name, f"Its present name is `{new_name}`. {note}".strip(), commands=commands)


FORMER_FLAGS: Mapping[str, tuple[ElasticdlFlag, ...]] = {
    "Names that ElasticDL gave up": (
        _renamed("--model_file", "--model_def", "It takes the form `package.module.function`."),
        _renamed("--model_class", "--model_def", "It takes the form `package.module.Class`."),
        _renamed("--input_fn", "--feed", "The function takes and returns a `tf.data.Dataset`."),
        refused("--codec_type", "Decode the records in `feed`."),
        refused("--codec_file", "Decode the records in `feed`."),
        refused(
            "--learning_rate_scheduler",
            "Give the optimizer a schedule of `keras.optimizers.schedules`.",
        ),
        _renamed("--num_epoch", "--num_epochs"),
        _renamed("--num_worker", "--num_workers"),
        refused(
            "--record_per_task",
            "Use `--num_minibatches_per_task`: the records of a task, divided by the minibatch "
            "size.",
        ),
        refused(
            "--records_per_task",
            "Use `--num_minibatches_per_task`: the records of a task, divided by the minibatch "
            "size.",
        ),
        _renamed("--train_data_dir", "--training_data"),
        _renamed("--training_data_dir", "--training_data"),
        _renamed("--evaluation_data", "--validation_data"),
        _renamed("--evaluation_data_dir", "--validation_data"),
        _renamed("--prediction_data_dir", "--prediction_data", commands=("predict",)),
        _renamed("--evaluate_steps", "--evaluation_steps"),
        _renamed(
            "--init_from_checkpoint", "--checkpoint_dir_for_init", "It takes a folder, not a file."
        ),
        _renamed(
            "--checkpoint_filename_for_init",
            "--checkpoint_dir_for_init",
            "It takes a folder, not a file.",
        ),
        _part_of("--volume_name", "--volume", "claim_name=data,mount_path=/data"),
        _part_of("--volumn_name", "--volume", "claim_name=data,mount_path=/data"),
        _part_of("--mount_path", "--volume", "claim_name=data,mount_path=/data"),
        _part_of("--master_cpu_request", "--master_resource_request", "cpu=1"),
        _part_of("--master_cpu_limit", "--master_resource_limit", "cpu=1"),
        _part_of("--master_memory_request", "--master_resource_request", "memory=4Gi"),
        _part_of("--master_memory_limit", "--master_resource_limit", "memory=4Gi"),
        _part_of("--worker_cpu_request", "--worker_resource_request", "cpu=1"),
        _part_of("--worker_cpu_limit", "--worker_resource_limit", "cpu=1"),
        _part_of("--worker_memory_request", "--worker_resource_request", "memory=4Gi"),
        _part_of("--worker_memory_limit", "--worker_resource_limit", "memory=4Gi"),
        refused("--eval_cpu_request", NO_EVALUATORS),
        refused("--eval_cpu_limit", NO_EVALUATORS),
        refused("--eval_memory_request", NO_EVALUATORS),
        refused("--eval_memory_limit", NO_EVALUATORS),
        refused("--eval_pod_priority", NO_EVALUATORS),
    ),
}
"""By theme."""
