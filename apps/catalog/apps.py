from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.catalog import tasks  # noqa: F401  registers the tasks
        from apps.catalog.finding import find_capabilities
        from apps.catalog.selectors import named_versions
        from apps.core import events, menu, naming, search

        events.on("compute.job_finished", _job_finished)
        search.register("capabilities", find_capabilities)
        naming.register("catalog.version", _("version"), named_versions)
        builders = frozenset({"developer", "qa", "operator"})
        menu.register(
            menu.MenuItem(_("Develop"), _("Capabilities"), "catalog:list", "cube", builders, order=25)
        )
        menu.register_landing("developer", "catalog:list")


def _job_finished(key: str, facts: dict[str, Any]) -> None:
    from apps.catalog.services import locking
    from apps.catalog.services.packaging import JOB_KIND, take_lock_result, take_packaging_result

    if facts.get("kind") == JOB_KIND:
        take_packaging_result(int(key))
    elif facts.get("kind") == locking.JOB_KIND:
        take_lock_result(int(key))
