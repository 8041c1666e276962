"""Where a version came from, as its author says it: checked the same way for the page, the API and the command."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.compute.selectors import job_visible_to
from apps.core.errors import Invalid, NotFound
from apps.core.texts import require_kept, texts_in
from apps.core.urns import urn
from apps.datasets.selectors import version_by_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.accounts.models import User
    from apps.datasets.models import DatasetVersion

LARGEST_PARAMETERS = 64_000
_CODE = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Origin:
    """A version's data, code, training job and parameters; what is unknown is empty."""

    dataset_version: DatasetVersion | None = None
    code_digest: str = ""
    training_job_urn: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


def read_origin(
    *,
    by: User,
    dataset_version: str = "",
    code_digest: str = "",
    training_job: str = "",
    parameters: Any = None,
) -> Origin:
    """The origin that these words mean. Raises Invalid with a reason for each field that is wrong.

    The data set version is <data set>/<number>, the job its number, and both must be such that `by` may see them;
    the code is a git commit or a SHA-256; the parameters are a JSON object, or its text.
    """
    wrong: dict[str, str] = {}
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[], Any]] = {
        "dataset_version": lambda: (
            version_by_name(dataset_version, user=by) if dataset_version.strip() else None
        ),
        "code_digest": lambda: _code(code_digest.strip().lower()),
        "training_job": lambda: _job(training_job.strip().removeprefix("#"), by),
        "parameters": lambda: _parameters(parameters),
    }
    for name, read in readers.items():
        try:
            found[name] = read()
        except (Invalid, NotFound) as error:
            wrong[name] = error.message
    if wrong:
        raise Invalid(" ".join(wrong.values()), fields=wrong)
    return Origin(found["dataset_version"], found["code_digest"], found["training_job"], found["parameters"])


def _code(digest: str) -> str:
    if digest and not _CODE.fullmatch(digest):
        raise Invalid(
            _("“%(code)s” is no code version. Give a git commit (7 to 40 hex digits) or a SHA-256 (64).")
            % {"code": digest[:80]}
        )
    return digest


def _job(number: str, by: User) -> str:
    if not number:
        return ""
    if not number.isdecimal() or len(number) > 15:
        raise Invalid(_("“%(number)s” is no job. Give the number of a job.") % {"number": number[:80]})
    return urn(job_visible_to(by, int(number)))


def _parameters(given: Any) -> dict[str, Any]:
    if given in (None, "", {}):
        return {}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise Invalid(_("The parameters are no JSON: %(why)s.") % {"why": error}) from error
    if not isinstance(given, dict):
        raise Invalid(_('The parameters must be a JSON object, such as {"trees": 50}.'))
    require_kept(texts_in(given))
    if len(json.dumps(given)) > LARGEST_PARAMETERS:
        raise Invalid(_("The parameters are longer than %(most)d characters.") % {"most": LARGEST_PARAMETERS})
    return given
