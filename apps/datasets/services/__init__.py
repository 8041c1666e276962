"""Changes to data sets: versions, which never change once they are made, splits, tags, comparisons and readers."""

from apps.datasets.services.comparisons import compare_versions, work_out
from apps.datasets.services.sharing import share_dataset, stop_sharing
from apps.datasets.services.splits import FOLDER, split_version
from apps.datasets.services.tags import drop_tag, tag_version
from apps.datasets.services.versions import create_dataset, create_version, edit_dataset

__all__ = [
    "FOLDER",
    "compare_versions",
    "create_dataset",
    "create_version",
    "drop_tag",
    "edit_dataset",
    "share_dataset",
    "split_version",
    "stop_sharing",
    "tag_version",
    "work_out",
]
