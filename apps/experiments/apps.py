from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExperimentsConfig(AppConfig):
    name = "apps.experiments"
    verbose_name = _("experiments")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.core import events, statuses
        from apps.experiments import marks, navigation, picture, reactions, tasks  # noqa: F401  registers the tasks
        from apps.gateway import actions, pictured

        statuses.register("good", "trending-up", "better")
        statuses.register("bad", "trending-down", "worse")
        statuses.register("idle", "equal", "alike")
        navigation.register()
        actions.register_marks("experiments", marks.arms_of_call)
        pictured.register("experiments", picture.added)
        events.on("instances.weights_changed", reactions.on_weights_changed)
        events.on("releases.voided", reactions.on_voided)
