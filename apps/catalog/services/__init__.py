"""The writes of the catalog: descriptions, versions, packaging."""

from apps.catalog.services.capabilities import (
    create_capability,
    deprecate_capability,
    edit_capability,
    publish_capability,
    withdraw_capability,
)
from apps.catalog.services.packages import materialise
from apps.catalog.services.packaging import package_version, reconcile_packaging, take_packaging_result
from apps.catalog.services.versions import create_int8_version, create_version, retire_version

__all__ = [
    "create_capability",
    "create_int8_version",
    "create_version",
    "deprecate_capability",
    "edit_capability",
    "materialise",
    "package_version",
    "publish_capability",
    "reconcile_packaging",
    "retire_version",
    "take_packaging_result",
    "withdraw_capability",
]
