from django.apps import AppConfig


class ComputeConfig(AppConfig):
    name = "apps.compute"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.compute import tasks  # noqa: F401  registers the tasks
