"""The writes of the catalog: descriptions, versions, packaging."""

from apps.catalog.services.capabilities import (
    create_capability,
    deprecate_capability,
    edit_capability,
    publish_capability,
    withdraw_capability,
)
from apps.catalog.services.composites import create_composite
from apps.catalog.services.deprecation import deprecate_version, keep_version
from apps.catalog.services.locking import build_soon, environment_to_serve
from apps.catalog.services.packages import collect_packages, materialise
from apps.catalog.services.packaging import (
    package_in_base,
    package_version,
    reconcile_packaging,
    take_lock_result,
    take_packaging_result,
)
from apps.catalog.services.parsing import Failed, check_rules, note_failures, set_parsing_rules
from apps.catalog.services.versions import (
    create_derived_version,
    create_int8_version,
    create_version,
    retire_version,
)

__all__ = [
    "Failed",
    "build_soon",
    "check_rules",
    "collect_packages",
    "create_capability",
    "create_composite",
    "create_derived_version",
    "create_int8_version",
    "create_version",
    "deprecate_capability",
    "deprecate_version",
    "edit_capability",
    "environment_to_serve",
    "keep_version",
    "materialise",
    "note_failures",
    "package_in_base",
    "package_version",
    "publish_capability",
    "reconcile_packaging",
    "retire_version",
    "set_parsing_rules",
    "take_lock_result",
    "take_packaging_result",
    "withdraw_capability",
]
