"""Brings the sample content forward in the background: every few seconds, and at the end of each job."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings

from apps.core import background, events
from apps.core.errors import PortalError
from portal.samples.retries import Broken
from portal.samples.steps import SAMPLES, Sample, advance_alone, unfinished, wanted

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
    """What a kill or a lost message left behind goes on here; the later samples once no other can go on."""
    if not settings.ATRIUM.samples or len(_done) == len(wanted()):
        return
    remaining = unfinished()
    _done.update({sample.slug for sample in wanted()} - {sample.slug for sample in remaining})
    under_way = [_advance(sample) for sample in remaining if not sample.later]
    if not any(under_way):
        for sample in remaining:
            if sample.later:
                _advance(sample)


def _advance(sample: Sample) -> bool:
    """Whether the sample is still on its way: neither done nor stuck."""
    try:
        return not advance_alone(sample)
    except Broken as error:
        log.error("the sample %s is stuck: %s", sample.slug, error)  # noqa: TRY400  its text says it all
        return False
    except PortalError as error:
        log.warning("the sample %s waits: %s", sample.slug, error.message)
        return True


def _anything_finished(key: str, facts: dict[str, Any]) -> None:
    if settings.ATRIUM.samples and len(_done) < len(wanted()):
        remaining = unfinished()
        early = [sample for sample in remaining if not sample.later]
        for sample in early or remaining:
            background.enqueue(ADVANCE, sample.slug)


for _event in ("compute.job_finished", "catalog.version_packaged", "instances.deployment_ready"):
    events.on(_event, _anything_finished)
