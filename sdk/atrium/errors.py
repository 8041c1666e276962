"""What can go wrong for a caller of the portal or of a capability, one class per thing to do about it."""

from typing import Any


class AtriumError(Exception):
    """The base of all; `status` is the HTTP status, 0 when there was none; `document` the whole answer."""

    def __init__(self, message: str, status: int = 0, document: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.document = document

    @property
    def request_id(self) -> str | None:
        """The id to quote when asking about this call."""
        found = self.document.get("instance") if isinstance(self.document, dict) else None
        return str(found).removeprefix("urn:uuid:") if found else None


class Unauthorised(AtriumError):
    """The key or token is missing, unknown, revoked or expired."""


class Forbidden(AtriumError):
    """The key or person may not do this."""


class NotFound(AtriumError):
    """There is no such capability, version or object, or it may not be seen."""


class InvalidInput(AtriumError):
    """The call does not fit the signature; the message says where and what to send."""


class Conflict(AtriumError):
    """The object is in another state than the call needs."""


class Limited(AtriumError):
    """A limit of the plan is reached; try again after `retry_after` seconds."""

    retry_after: float = 1.0


class Unavailable(AtriumError):
    """It cannot be answered now; try again after `retry_after` seconds."""

    retry_after: float = 1.0


class Failed(AtriumError):
    """The portal or the model failed on this call."""


class ConnectionLost(AtriumError):
    """The server could not be reached, or the connection broke; then the call may have been answered."""


CLASSES: dict[int, type[AtriumError]] = {
    401: Unauthorised,
    403: Forbidden,
    404: NotFound,
    400: InvalidInput,
    413: InvalidInput,
    422: InvalidInput,
    409: Conflict,
    429: Limited,
    503: Unavailable,
}


def of_status(status: int, document: Any, retry_after: float | None) -> AtriumError:
    """The error for an answer of 400 and above."""
    kind = CLASSES.get(status, Failed if status >= 500 else AtriumError)
    error = kind(_message(status, document), status, document)
    if isinstance(error, Limited | Unavailable) and retry_after is not None:
        error.retry_after = retry_after
    return error


def _message(status: int, document: Any) -> str:
    if isinstance(document, dict):
        said = document.get("error") or document.get("detail") or document.get("title")
        fields = document.get("fields") or document.get("errors")
        text = str(said) if said else f"HTTP {status}"
        if isinstance(fields, dict):
            fields = "; ".join(f"{name}: {words}" for name, words in fields.items() if str(words) not in text)
        return f"{text} ({fields})" if fields else text
    text = str(document or "").strip()
    return f"HTTP {status}: {text[:300]}" if text else f"HTTP {status}"
