"""Lifecycles: a table of allowed moves beside the model, and the one function that writes a status."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.utils.translation import gettext as _

from apps.core import audit
from apps.core.errors import IllegalMove, StaleWrite

if TYPE_CHECKING:
    from apps.accounts.models import User


class Lifecycle:
    """The allowed moves of a model's `status`; each keyword names a status and the statuses that may follow.

    A class attribute of the model: `lifecycle = Lifecycle(draft={"submitted"}, submitted=set())`.
    """

    def __init__(self, **moves: set[str]) -> None:
        unknown = {target for targets in moves.values() for target in targets} - set(moves)
        if unknown:
            raise ValueError(f"moves lead to statuses that are not in the table: {sorted(unknown)}")
        self.moves = moves

    def can(self, obj: models.Model, to: str) -> bool:
        """Whether the table has a step from the object's status, as loaded, to `to`."""
        return to in self.moves.get(obj.status, set())  # type: ignore[attr-defined]

    @property
    def final(self) -> set[str]:
        """Statuses that nothing follows."""
        return {status for status, targets in self.moves.items() if not targets}

    def move(self, obj: models.Model, to: str, *, by: User | None, **fields: Any) -> None:
        """Set the status and the named fields if the row still has the status that `obj` was loaded with.

        Writes the audit row `<app>.<model>.<to>` in the same transaction and updates `obj` in place.
        Raises IllegalMove when the table has no such step, StaleWrite when somebody else moved it first; either leaves
        nothing to undo, so whoever has a transaction open pays for no savepoint.
        """
        open_already = transaction.get_connection().in_atomic_block
        with nullcontext() if open_already else transaction.atomic():
            self._move(obj, to, by, fields)

    def _move(self, obj: models.Model, to: str, by: User | None, fields: dict[str, Any]) -> None:
        seen: str = obj.status  # type: ignore[attr-defined]
        name = obj._meta.verbose_name
        if to not in self.moves.get(seen, set()):
            raise IllegalMove(
                _("%(name)s %(pk)s is %(seen)s; it cannot become %(to)s.")
                % {"name": name, "pk": obj.pk, "seen": _words(obj, seen), "to": _words(obj, to)},
                status=seen,
            )
        changed = type(obj)._base_manager.filter(pk=obj.pk, status=seen).update(status=to, **fields)
        if not changed:
            raise StaleWrite(
                _("%(name)s %(pk)s was changed by somebody else meanwhile. Reload and look again.")
                % {"name": name, "pk": obj.pk}
            )
        obj.status = to  # type: ignore[attr-defined]
        for field, value in fields.items():
            setattr(obj, field, value)
        audit.record(f"{obj._meta.label_lower}.{to}", obj, by=by, before=seen)


def _words(obj: models.Model, status: str) -> str:
    """A status as people read it; as it is kept where the model gives it no words."""
    words = dict(obj._meta.get_field("status").flatchoices)  # type: ignore[union-attr]
    return str(words.get(status, status)).lower()
