from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    name = "apps.annotation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.annotation import announcing, navigation, rechecks, retraining, storefront, tasks  # noqa: F401  registers the tasks
        from apps.core import events

        navigation.register()
        announcing.register()
        storefront.register()
        events.on("compute.job_finished", retraining.on_job_finished)
        events.on("releases.released", rechecks.on_released)
