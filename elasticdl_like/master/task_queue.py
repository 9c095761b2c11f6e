"""The queue of tasks: a pure state machine over the epochs of a job.

Events in, answers out. It has no thread, no clock and no I/O; whoever owns it calls one method at
a time. Training epochs come one after the other and do not overlap. An evaluation is opened by
the first request that names it.
"""

from __future__ import annotations

from collections.abc import Sequence

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.epoch import Epoch, LedgerEntry
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, TaskType


class TaskQueue:
    """Leases out the tasks of a job and keeps its ledger.

    Args:
        training: the training data.
        validation: the validation data, or None when nothing is evaluated.
        num_epochs: trips over the training data; at least 1.
        shuffle_seed: decides the order of training, or None for the natural order.
    """

    def __init__(
        self,
        training: ShardTable,
        validation: ShardTable | None,
        num_epochs: int,
        shuffle_seed: int | None,
    ) -> None:
        self._training_table = training
        self._validation_table = validation
        self._num_epochs = num_epochs
        self._shuffle_seed = shuffle_seed
        self._next_token = 1
        self._stopped = False
        self._epochs: dict[EpochKey, Epoch] = {}
        self._open: set[EpochKey] = set()
        self._training_epoch = 0
        self._last_step = 0
        self._open_epoch(self._training_key(0), training, shuffle_seed)

    @property
    def training_epoch(self) -> int:
        """The epoch being trained; the number of epochs once all are."""
        return self._training_epoch

    @property
    def last_step(self) -> int:
        """The highest step committed in training; 0 before the first."""
        return self._last_step

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to train on."""
        return self._stopped or self._training_epoch == self._num_epochs

    def request(
        self, worker_id: int, key: EpochKey, max_leases: int
    ) -> tuple[Answer, Sequence[Lease]]:
        """Answers a worker that asks for leases of one epoch.

        Args:
            worker_id: a registered worker.
            key: the epoch that the worker is in.
            max_leases: how many it takes at most; a worker that takes none is not told to wait.

        Raises:
            InvalidRequestError: the worker is ahead of the job.
        """
        if key.type is TaskType.TRAINING:
            if self._stopped or key.epoch >= self._num_epochs:
                return Answer.END, ()
            if key.epoch > self._training_epoch:
                raise InvalidRequestError(
                    f"worker {worker_id} asks for {key}, but epoch {self._training_epoch} "
                    "has not ended"
                )
        elif key not in self._epochs:
            if key.type is not TaskType.EVALUATION or self._validation_table is None:
                return Answer.END, ()
            self._open_epoch(key, self._validation_table, None)
        if key not in self._open:
            return Answer.EPOCH_ENDED, ()
        leases = self._lease(self._epochs[key], worker_id, max_leases)
        if leases or max_leases == 0:
            return Answer.LEASED, leases
        return Answer.WAIT, ()

    def commit(self, worker_id: int, key: EpochKey, commit: Commit) -> bool:
        """Counts what a finished step used; returns False, and counts nothing, if it is fenced.

        Raises:
            InvalidRequestError: the commit does not fit its leases, or its epoch is not there.
        """
        epoch = self._epochs.get(key)
        if epoch is None:
            raise InvalidRequestError(f"worker {worker_id} commits in {key}, which never began")
        if not epoch.commit(worker_id, commit):
            return False
        if key.type is TaskType.TRAINING:
            self._last_step = max(self._last_step, commit.step)
        if epoch.ended and key in self._open:
            self._open.remove(key)
            if key.type is TaskType.TRAINING:
                self._training_epoch += 1
                if self._training_epoch < self._num_epochs:
                    self._open_epoch(
                        self._training_key(self._training_epoch),
                        self._training_table,
                        self._shuffle_seed,
                    )
        return True

    def take_back(self, worker_id: int, lost: bool) -> None:
        """Takes back every lease of a worker; what it committed stays committed.

        Args:
            worker_id: the worker.
            lost: whether it was lost, which is counted, or left by itself.
        """
        for key in self._open:
            self._epochs[key].take_back(worker_id, lost)

    def stop(self) -> None:
        """Ends training early: there are no more training leases for anybody."""
        self._stopped = True

    def ledger(self) -> list[LedgerEntry]:
        """Returns the account of every epoch begun so far, each before its evaluations."""
        keys = sorted(
            self._epochs,
            key=lambda key: (key.epoch, key.type is not TaskType.TRAINING, key.step),
        )
        return [self._epochs[key].ledger() for key in keys]

    def training_ledger(self) -> LedgerEntry:
        """Returns the account of the epoch being trained, or of the last one."""
        epoch = min(self._training_epoch, self._num_epochs - 1)
        return self._epochs[self._training_key(epoch)].ledger()

    def _lease(self, epoch: Epoch, worker_id: int, max_leases: int) -> list[Lease]:
        leases: list[Lease] = []
        while len(leases) < max_leases:
            lease = epoch.lease(worker_id, self._next_token)
            if lease is None:
                break
            self._next_token += 1
            leases.append(lease)
        return leases

    def _open_epoch(self, key: EpochKey, table: ShardTable, shuffle_seed: int | None) -> None:
        self._epochs[key] = Epoch(key, table, shuffle_seed)
        self._open.add(key)

    @staticmethod
    def _training_key(epoch: int) -> EpochKey:
        return EpochKey(TaskType.TRAINING, epoch)
