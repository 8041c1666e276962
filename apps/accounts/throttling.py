"""Login throttling: a few failures are free, then each try has to wait. Counted in the shared cache.

With the cache away logins still work, unthrottled: shutting everybody out would be worse, and the log says so.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING

from django.core.cache import cache

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)

FREE_FAILURES = 5
FREE_FAILURES_OF_ADDRESS = 30
WINDOW_S = 900
FIRST_PAUSE_S = 15
LONGEST_PAUSE_S = 300


def address_of(request: HttpRequest) -> str:
    """From where somebody asks."""
    return str(request.META.get("REMOTE_ADDR", ""))


def _keys(username: str, address: str) -> dict[str, int]:
    """Cache keys with how many failures each forgives: the pair of name and address, and the address alone."""
    pair = hashlib.sha256(f"{username.lower()}\n{address}".encode()).hexdigest()
    alone = hashlib.sha256(address.encode()).hexdigest()
    return {f"login:{pair}": FREE_FAILURES, f"login-from:{alone}": FREE_FAILURES_OF_ADDRESS}


def seconds_to_wait(username: str, address: str) -> int:
    """How long this name from this address has to wait before the next try; 0 when it may try now."""
    try:
        until = [cache.get(f"{key}:until", 0.0) for key in _keys(username, address)]
    except Exception:  # noqa: BLE001 - whatever is wrong with the cache, people must be able to log in
        log.warning("the cache is away: logins are not throttled")
        return 0
    return max(0, int(max(until) - time.time() + 0.999))


def note_failure(username: str, address: str) -> None:
    """Count a failed login; beyond the free ones each doubles the pause."""
    try:
        for key, free in _keys(username, address).items():
            cache.add(key, 0, WINDOW_S)
            failures = cache.incr(key)
            if failures >= free:
                pause = min(FIRST_PAUSE_S * 2 ** (failures - free), LONGEST_PAUSE_S)
                cache.set(f"{key}:until", time.time() + pause, pause)
    except Exception:  # noqa: BLE001 - whatever is wrong with the cache, people must be able to log in
        log.warning("the cache is away: a failed login is not counted")


def note_success(username: str, address: str) -> None:
    """Forget the failures of this name from this address."""
    pair = next(iter(_keys(username, address)))
    try:
        cache.delete_many([pair, f"{pair}:until"])
    except Exception:  # noqa: BLE001 - whatever is wrong with the cache, people must be able to log in
        log.warning("the cache is away: failures are not forgotten")
