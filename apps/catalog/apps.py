from typing import Any

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.catalog import tasks  # noqa: F401  registers the tasks
        from apps.core import events

        events.on("compute.job_finished", _job_finished)


def _job_finished(key: str, facts: dict[str, Any]) -> None:
    from apps.catalog.services.packaging import JOB_KIND, take_packaging_result

    if facts.get("kind") == JOB_KIND:
        take_packaging_result(int(key))
