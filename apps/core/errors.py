"""What can go wrong, in words of the domain. HTTP enters only in `core.problems`."""

from __future__ import annotations

from collections.abc import Mapping


class PortalError(Exception):
    """Something a person asked for cannot be done. The message says what, with which value, and what to do."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message if isinstance(message, str) else str(message)
        self.facts = facts


class NotAllowed(PortalError):
    """The person lacks the right; the message is the verdict's reason."""


class NotFound(PortalError):
    """No such thing, or none that this person may know of."""


class Invalid(PortalError):
    """The input cannot be accepted. `fields` maps a field's name to what is wrong with it."""

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None, **facts: object) -> None:
        super().__init__(message, **facts)
        self.fields = dict(fields or {})


class Conflict(PortalError):
    """The thing is in a state that does not admit this."""


class IllegalMove(Conflict):
    """The lifecycle has no such step from the present status."""


class StaleWrite(Conflict):
    """Somebody else changed the thing first; look again and repeat."""


class Unavailable(PortalError):
    """A part that is needed is away. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int | None = None, **facts: object) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after
