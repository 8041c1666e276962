"""Tells the data plane that routes changed, inside the transaction that changed them."""

from __future__ import annotations

from collections.abc import Callable

from apps.core.events import publish

Callback = Callable[[int], None]
_callbacks: list[Callback] = []


def on_change(callback: Callback) -> None:
    """Register what to do inside the transaction whenever replicas, health, deployments or weights change.

    It is given the id of the capability that they belong to.
    """
    if callback not in _callbacks:
        _callbacks.append(callback)


def changed(capability_id: int) -> None:
    """Tell it. Call it inside the transaction that makes the change."""
    for callback in _callbacks:
        callback(capability_id)
    publish("instances.routes_changed", capability_id)
