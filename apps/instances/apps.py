from django.apps import AppConfig


class InstancesConfig(AppConfig):
    name = "apps.instances"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.instances import confirmations, tasks  # noqa: F401  registers the tasks

        confirmations.register()
