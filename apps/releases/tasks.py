"""What releases do in the background."""

from apps.core import background
from apps.releases import bypass, replays, reruns, rollout, signing
from apps.releases.models import Release


@background.every(2, "releases.proceed_all")
def proceed_all() -> None:
    """Judge the stages that are under way; end the bypasses that expired."""
    rollout.proceed_all()
    bypass.proceed_all()


@background.every(10, "releases.void_changed")
def void_changed() -> None:
    """Notice content that was changed behind a signature."""
    signing.void_changed(signing.CARRYING)


@background.every(60, "releases.void_unsigned")
def void_unsigned() -> None:
    """And behind those who are still asked to sign: there may be thousands, and signing looks again by itself."""
    signing.void_changed([Release.Status.SIGNING])


@background.every(2, "releases.replay")
def replay() -> None:
    """Ask candidates what subscribers asked before, and end the time of those who said nothing."""
    replays.work()


@background.every(2, "releases.run_again")
def run_again() -> None:
    """Ask versions that came up what somebody wants to see again."""
    reruns.proceed_all()
