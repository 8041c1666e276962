"""The writes of compute: jobs, their attempts, and workloads that other apps run for long."""

from apps.compute.services.egress import allow_host, remove_host, set_host_enabled
from apps.compute.services.jobs import (
    cancel_job,
    end_job,
    retry_job,
    silent_cells,
    submit_job,
    submit_script,
)
from apps.compute.services.locks import Lock, have_lock, lock_of, submit_lock, why_no_lock
from apps.compute.services.nodes import drain_node, label_node, remove_node, resume_node
from apps.compute.services.workloads import (
    grow_reservation,
    observe,
    remove_workload,
    start_workload,
    stop_workload,
    workload_log,
    workload_socket,
)

__all__ = [
    "Lock",
    "allow_host",
    "cancel_job",
    "drain_node",
    "end_job",
    "grow_reservation",
    "have_lock",
    "label_node",
    "lock_of",
    "observe",
    "remove_host",
    "remove_node",
    "remove_workload",
    "resume_node",
    "retry_job",
    "set_host_enabled",
    "silent_cells",
    "start_workload",
    "stop_workload",
    "submit_job",
    "submit_lock",
    "submit_script",
    "why_no_lock",
    "workload_log",
    "workload_socket",
]
