from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from apps.core import menu
        from apps.store import panels
        from portal import celery  # noqa: F401  makes it the current app, which core.background sends to
        from portal.samples import progress, tasks  # noqa: F401  registers the tasks

        panels.register_preparation(progress.preparation)
        rows = menu.MenuItem(
            _("Tables without a page of their own, to look at"), _("Rows"), "admin:index", "table", order=999
        )
        menu.register_administration(rows)
