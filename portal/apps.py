from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from apps.core import heartbeats, menu
        from apps.store import panels
        from portal import (
            celery,  # noqa: F401  makes it the current app, which core.background sends to
            health,
        )
        from portal.samples import progress, tasks  # noqa: F401  registers the tasks

        panels.register_preparation(progress.preparation)
        heartbeats.tell_states(health.states)
        rows = menu.MenuItem(
            _("Everything that is stored, to look at"),
            _("Database tables"),
            "admin:index",
            "table",
            order=999,
        )
        menu.register_administration(rows)
