"""The writes of compute: jobs, their attempts, and workloads that other apps run for long."""

from apps.compute.services.jobs import cancel_job, retry_job, submit_job, submit_script
from apps.compute.services.workloads import (
    observe,
    remove_workload,
    start_workload,
    stop_workload,
    workload_log,
    workload_socket,
)

__all__ = [
    "cancel_job",
    "observe",
    "remove_workload",
    "retry_job",
    "start_workload",
    "stop_workload",
    "submit_job",
    "submit_script",
    "workload_log",
    "workload_socket",
]
