from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING: _ClassVar[TaskType]
    EVALUATION: _ClassVar[TaskType]
    PREDICTION: _ClassVar[TaskType]

class AgentPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STARTING: _ClassVar[AgentPhase]
    IDLE: _ClassVar[AgentPhase]
    TRAINING_IN_ROUND: _ClassVar[AgentPhase]
    DONE: _ClassVar[AgentPhase]
TRAINING: TaskType
EVALUATION: TaskType
PREDICTION: TaskType
STARTING: AgentPhase
IDLE: AgentPhase
TRAINING_IN_ROUND: AgentPhase
DONE: AgentPhase

class EpochKey(_message.Message):
    __slots__ = ("type", "epoch", "step")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    type: TaskType
    epoch: int
    step: int
    def __init__(self, type: _Optional[_Union[TaskType, str]] = ..., epoch: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("shard_name", "start", "end", "epoch", "type", "version", "locator", "index_records", "index_offsets")
    SHARD_NAME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOCATOR_FIELD_NUMBER: _ClassVar[int]
    INDEX_RECORDS_FIELD_NUMBER: _ClassVar[int]
    INDEX_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    shard_name: str
    start: int
    end: int
    epoch: int
    type: TaskType
    version: str
    locator: bytes
    index_records: _containers.RepeatedScalarFieldContainer[int]
    index_offsets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, shard_name: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., epoch: _Optional[int] = ..., type: _Optional[_Union[TaskType, str]] = ..., version: _Optional[str] = ..., locator: _Optional[bytes] = ..., index_records: _Optional[_Iterable[int]] = ..., index_offsets: _Optional[_Iterable[int]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("token", "task", "start_position", "end_position", "order_key")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    START_POSITION_FIELD_NUMBER: _ClassVar[int]
    END_POSITION_FIELD_NUMBER: _ClassVar[int]
    ORDER_KEY_FIELD_NUMBER: _ClassVar[int]
    token: int
    task: Task
    start_position: int
    end_position: int
    order_key: int
    def __init__(self, token: _Optional[int] = ..., task: _Optional[_Union[Task, _Mapping]] = ..., start_position: _Optional[int] = ..., end_position: _Optional[int] = ..., order_key: _Optional[int] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("token", "start_position", "end_position")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_POSITION_FIELD_NUMBER: _ClassVar[int]
    END_POSITION_FIELD_NUMBER: _ClassVar[int]
    token: int
    start_position: int
    end_position: int
    def __init__(self, token: _Optional[int] = ..., start_position: _Optional[int] = ..., end_position: _Optional[int] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("step", "intervals", "problem", "mark", "sums", "part")
    STEP_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    step: int
    intervals: _containers.RepeatedCompositeFieldContainer[Interval]
    problem: str
    mark: bool
    sums: _containers.RepeatedScalarFieldContainer[float]
    part: str
    def __init__(self, step: _Optional[int] = ..., intervals: _Optional[_Iterable[_Union[Interval, _Mapping]]] = ..., problem: _Optional[str] = ..., mark: bool = ..., sums: _Optional[_Iterable[float]] = ..., part: _Optional[str] = ...) -> None: ...

class Caller(_message.Message):
    __slots__ = ("worker_id", "incarnation", "round")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    worker_id: int
    incarnation: str
    round: int
    def __init__(self, worker_id: _Optional[int] = ..., incarnation: _Optional[str] = ..., round: _Optional[int] = ...) -> None: ...

class RegisterRequest(_message.Message):
    __slots__ = ("incarnation", "worker_id", "description")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    incarnation: str
    worker_id: int
    description: str
    def __init__(self, incarnation: _Optional[str] = ..., worker_id: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class RegisterReply(_message.Message):
    __slots__ = ("worker_id", "job_config_json", "start")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    worker_id: int
    job_config_json: str
    start: StartPoint
    def __init__(self, worker_id: _Optional[int] = ..., job_config_json: _Optional[str] = ..., start: _Optional[_Union[StartPoint, _Mapping]] = ...) -> None: ...

class StartPoint(_message.Message):
    __slots__ = ("epoch", "step", "checkpoint", "evaluated", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    checkpoint: str
    evaluated: EpochKey
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., checkpoint: _Optional[str] = ..., evaluated: _Optional[_Union[EpochKey, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class CommitAndLeaseRequest(_message.Message):
    __slots__ = ("caller", "sequence", "epoch", "commits", "max_leases", "loss", "returned", "step")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    MAX_LEASES_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    sequence: int
    epoch: EpochKey
    commits: _containers.RepeatedCompositeFieldContainer[Commit]
    max_leases: int
    loss: float
    returned: _containers.RepeatedScalarFieldContainer[int]
    step: int
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., sequence: _Optional[int] = ..., epoch: _Optional[_Union[EpochKey, _Mapping]] = ..., commits: _Optional[_Iterable[_Union[Commit, _Mapping]]] = ..., max_leases: _Optional[int] = ..., loss: _Optional[float] = ..., returned: _Optional[_Iterable[int]] = ..., step: _Optional[int] = ...) -> None: ...

class CommitAndLeaseReply(_message.Message):
    __slots__ = ("answer", "leases", "fenced_steps", "recalled", "firm_step")
    class Answer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LEASED: _ClassVar[CommitAndLeaseReply.Answer]
        WAIT: _ClassVar[CommitAndLeaseReply.Answer]
        EPOCH_ENDED: _ClassVar[CommitAndLeaseReply.Answer]
        END: _ClassVar[CommitAndLeaseReply.Answer]
    LEASED: CommitAndLeaseReply.Answer
    WAIT: CommitAndLeaseReply.Answer
    EPOCH_ENDED: CommitAndLeaseReply.Answer
    END: CommitAndLeaseReply.Answer
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    FENCED_STEPS_FIELD_NUMBER: _ClassVar[int]
    RECALLED_FIELD_NUMBER: _ClassVar[int]
    FIRM_STEP_FIELD_NUMBER: _ClassVar[int]
    answer: CommitAndLeaseReply.Answer
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    fenced_steps: _containers.RepeatedScalarFieldContainer[int]
    recalled: int
    firm_step: int
    def __init__(self, answer: _Optional[_Union[CommitAndLeaseReply.Answer, str]] = ..., leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., fenced_steps: _Optional[_Iterable[int]] = ..., recalled: _Optional[int] = ..., firm_step: _Optional[int] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("caller", "answered_sequence", "held", "seconds_spent", "num_retries")
    class SecondsSpentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SECONDS_SPENT_FIELD_NUMBER: _ClassVar[int]
    NUM_RETRIES_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    answered_sequence: int
    held: _containers.RepeatedScalarFieldContainer[int]
    seconds_spent: _containers.ScalarMap[str, float]
    num_retries: int
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., answered_sequence: _Optional[int] = ..., held: _Optional[_Iterable[int]] = ..., seconds_spent: _Optional[_Mapping[str, float]] = ..., num_retries: _Optional[int] = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReportEvaluationRequest(_message.Message):
    __slots__ = ("caller", "epoch", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CALLER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    epoch: EpochKey
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., epoch: _Optional[_Union[EpochKey, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ReportEvaluationReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FinishEpochRequest(_message.Message):
    __slots__ = ("caller", "epoch")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    epoch: EpochKey
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., epoch: _Optional[_Union[EpochKey, _Mapping]] = ...) -> None: ...

class FinishEpochReply(_message.Message):
    __slots__ = ("finish", "sums")
    class Finish(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WAIT: _ClassVar[FinishEpochReply.Finish]
        FINISH: _ClassVar[FinishEpochReply.Finish]
        DONE: _ClassVar[FinishEpochReply.Finish]
    WAIT: FinishEpochReply.Finish
    FINISH: FinishEpochReply.Finish
    DONE: FinishEpochReply.Finish
    FINISH_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    finish: FinishEpochReply.Finish
    sums: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, finish: _Optional[_Union[FinishEpochReply.Finish, str]] = ..., sums: _Optional[_Iterable[float]] = ...) -> None: ...

class BeginOutputRequest(_message.Message):
    __slots__ = ("caller", "state")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    state: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., state: _Optional[str] = ...) -> None: ...

class BeginOutputReply(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: str
    def __init__(self, state: _Optional[str] = ...) -> None: ...

class ReportOutputRequest(_message.Message):
    __slots__ = ("caller", "epoch")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    epoch: EpochKey
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., epoch: _Optional[_Union[EpochKey, _Mapping]] = ...) -> None: ...

class ReportOutputReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("caller", "written_path", "published_path")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_PATH_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_PATH_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    written_path: str
    published_path: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., written_path: _Optional[str] = ..., published_path: _Optional[str] = ...) -> None: ...

class PublishReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PublishCheckpointRequest(_message.Message):
    __slots__ = ("caller", "written_path", "step", "files")
    class File(_message.Message):
        __slots__ = ("size_bytes", "sha256")
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        SHA256_FIELD_NUMBER: _ClassVar[int]
        size_bytes: int
        sha256: str
        def __init__(self, size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
    class FilesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: PublishCheckpointRequest.File
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[PublishCheckpointRequest.File, _Mapping]] = ...) -> None: ...
    CALLER_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_PATH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    written_path: str
    step: int
    files: _containers.MessageMap[str, PublishCheckpointRequest.File]
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., written_path: _Optional[str] = ..., step: _Optional[int] = ..., files: _Optional[_Mapping[str, PublishCheckpointRequest.File]] = ...) -> None: ...

class PublishCheckpointReply(_message.Message):
    __slots__ = ("published_path",)
    PUBLISHED_PATH_FIELD_NUMBER: _ClassVar[int]
    published_path: str
    def __init__(self, published_path: _Optional[str] = ...) -> None: ...

class StopTrainingRequest(_message.Message):
    __slots__ = ("caller", "reason")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    reason: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class StopTrainingReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("caller", "failure")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    failure: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., failure: _Optional[str] = ...) -> None: ...

class LeaveReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("details",)
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    details: bool
    def __init__(self, details: bool = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("status_json",)
    STATUS_JSON_FIELD_NUMBER: _ClassVar[int]
    status_json: str
    def __init__(self, status_json: _Optional[str] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("worker_id", "agent_address", "trainer_address")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRAINER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    worker_id: int
    agent_address: str
    trainer_address: str
    def __init__(self, worker_id: _Optional[int] = ..., agent_address: _Optional[str] = ..., trainer_address: _Optional[str] = ...) -> None: ...

class RoundPlan(_message.Message):
    __slots__ = ("number", "members", "start", "holders")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    number: int
    members: _containers.RepeatedCompositeFieldContainer[Member]
    start: StartPoint
    holders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., start: _Optional[_Union[StartPoint, _Mapping]] = ..., holders: _Optional[_Iterable[str]] = ...) -> None: ...

class StepUse(_message.Message):
    __slots__ = ("step", "intervals")
    STEP_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    step: int
    intervals: _containers.RepeatedCompositeFieldContainer[Interval]
    def __init__(self, step: _Optional[int] = ..., intervals: _Optional[_Iterable[_Union[Interval, _Mapping]]] = ...) -> None: ...

class AgentReport(_message.Message):
    __slots__ = ("phase", "agent_address", "trainer_address", "round", "step", "holds_state", "uses", "problem", "exchanging_s", "leaving")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    AGENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRAINER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    HOLDS_STATE_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    EXCHANGING_S_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    phase: AgentPhase
    agent_address: str
    trainer_address: str
    round: int
    step: int
    holds_state: bool
    uses: _containers.RepeatedCompositeFieldContainer[StepUse]
    problem: str
    exchanging_s: float
    leaving: bool
    def __init__(self, phase: _Optional[_Union[AgentPhase, str]] = ..., agent_address: _Optional[str] = ..., trainer_address: _Optional[str] = ..., round: _Optional[int] = ..., step: _Optional[int] = ..., holds_state: bool = ..., uses: _Optional[_Iterable[_Union[StepUse, _Mapping]]] = ..., problem: _Optional[str] = ..., exchanging_s: _Optional[float] = ..., leaving: bool = ...) -> None: ...

class RoundOrder(_message.Message):
    __slots__ = ("order", "round", "plan")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WAIT: _ClassVar[RoundOrder.Order]
        TRAIN: _ClassVar[RoundOrder.Order]
        STOP: _ClassVar[RoundOrder.Order]
        END: _ClassVar[RoundOrder.Order]
        LEAVE: _ClassVar[RoundOrder.Order]
    WAIT: RoundOrder.Order
    TRAIN: RoundOrder.Order
    STOP: RoundOrder.Order
    END: RoundOrder.Order
    LEAVE: RoundOrder.Order
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    order: RoundOrder.Order
    round: int
    plan: RoundPlan
    def __init__(self, order: _Optional[_Union[RoundOrder.Order, str]] = ..., round: _Optional[int] = ..., plan: _Optional[_Union[RoundPlan, _Mapping]] = ...) -> None: ...

class RendezvousRequest(_message.Message):
    __slots__ = ("caller", "report", "known")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    report: AgentReport
    known: RoundOrder
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., report: _Optional[_Union[AgentReport, _Mapping]] = ..., known: _Optional[_Union[RoundOrder, _Mapping]] = ...) -> None: ...

class RendezvousReply(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: RoundOrder
    def __init__(self, order: _Optional[_Union[RoundOrder, _Mapping]] = ...) -> None: ...

class ScaleRequest(_message.Message):
    __slots__ = ("num_workers",)
    NUM_WORKERS_FIELD_NUMBER: _ClassVar[int]
    num_workers: int
    def __init__(self, num_workers: _Optional[int] = ...) -> None: ...

class ScaleReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FetchStateRequest(_message.Message):
    __slots__ = ("step", "offset")
    STEP_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    step: int
    offset: int
    def __init__(self, step: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class StateChunk(_message.Message):
    __slots__ = ("data", "crc", "size_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    crc: int
    size_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., crc: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...
