"""Brings the sample content forward in the background: every few seconds, and at the end of each job."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings

from apps.core import background, events
from apps.core.errors import PortalError
from portal.samples.retries import Broken
from portal.samples.steps import SAMPLES, Sample, advance_alone, unfinished

log = logging.getLogger(__name__)
ADVANCE = "portal.advance_sample"
_done: set[str] = set()


@background.task(ADVANCE)
def advance_sample(slug: str) -> None:
    """Work on one sample."""
    for sample in SAMPLES:
        if sample.slug == slug:
            _advance(sample)


@background.every(2, "portal.advance_samples")
def advance_samples() -> None:
    """What a kill or a lost message left behind goes on here."""
    if not settings.ATRIUM.samples or len(_done) == len(SAMPLES):
        return
    remaining = unfinished()
    _done.update({sample.slug for sample in SAMPLES} - {sample.slug for sample in remaining})
    for sample in remaining:
        _advance(sample)


def _advance(sample: Sample) -> None:
    try:
        advance_alone(sample)
    except Broken as error:
        log.error("the sample %s is stuck: %s", sample.slug, error)  # noqa: TRY400  its text says it all
    except PortalError as error:
        log.warning("the sample %s waits: %s", sample.slug, error.message)


def _anything_finished(key: str, facts: dict[str, Any]) -> None:
    if settings.ATRIUM.samples and len(_done) < len(SAMPLES):
        for sample in unfinished():
            background.enqueue(ADVANCE, sample.slug)


for _event in ("compute.job_finished", "catalog.version_packaged", "instances.deployment_ready"):
    events.on(_event, _anything_finished)
