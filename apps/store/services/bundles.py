"""Taking a version away, to run it where there is no portal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.catalog.policy import may_build
from apps.core import audit
from apps.core.errors import Conflict
from apps.core.policy import require
from apps.instances.guard import may_take_production_traffic
from apps.store.bundles import bundle_of, onnx_path
from apps.store.policy import may_take_bundle

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version


def take_bundle(version: Version, *, by: User) -> Iterator[bytes]:
    """The device bundle of a version, in parts; each that is taken is in the audit log.

    Raises NotAllowed with the reason, Conflict where the version has no ONNX model.
    """
    require(may_take_bundle(by, version))
    if not may_build(by, version.capability):
        require(may_take_production_traffic(version))
    path = onnx_path(version)
    if path is None:
        raise Conflict(
            _("%(version)s is not served as ONNX, so nothing but its own framework can run it.")
            % {"version": version}
        )
    audit.record("store.bundle.taken", version, by=by, digest=version.digest)
    return bundle_of(version, path)
