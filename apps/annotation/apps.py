from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AnnotationConfig(AppConfig):
    name = "apps.annotation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.annotation import announcing, marks, navigation, pulling, rechecks, retraining, storefront
        from apps.annotation import tasks as _registered  # noqa: F401
        from apps.annotation.selectors import projects_named, pseudonyms_named, rules_named
        from apps.core import events, naming
        from apps.gateway import actions

        navigation.register()
        naming.register_rows(
            "annotation.project", _("annotation project"), projects_named, "annotation:detail"
        )
        naming.register("annotation.pullrule", _("pull rule"), rules_named)
        naming.register("annotation.pseudonym", _("person"), pseudonyms_named)
        announcing.register()
        storefront.register()
        actions.register_marks("annotation", marks.tasks_of_call)
        events.on("compute.job_finished", retraining.on_job_finished)
        events.on("releases.released", rechecks.on_released)
        events.on("releases.released", pulling.on_release)
        events.on("releases.rolling", pulling.on_release)
