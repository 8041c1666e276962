from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    name = "apps.annotation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.annotation import announcing, marks, navigation, pulling, rechecks, retraining, storefront
        from apps.annotation import tasks as _registered  # noqa: F401
        from apps.core import events
        from apps.gateway import actions

        navigation.register()
        announcing.register()
        storefront.register()
        actions.register_marks("annotation", marks.tasks_of_call)
        events.on("compute.job_finished", retraining.on_job_finished)
        events.on("releases.released", rechecks.on_released)
        events.on("releases.released", pulling.on_release)
        events.on("releases.rolling", pulling.on_release)
