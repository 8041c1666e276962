from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from apps.store import panels
        from portal import celery  # noqa: F401  makes it the current app, which core.background sends to
        from portal.samples import progress, tasks  # noqa: F401  registers the tasks

        panels.register_preparation(progress.preparation)
