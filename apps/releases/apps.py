from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReleasesConfig(AppConfig):
    name = "apps.releases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.core import events
        from apps.instances import guard
        from apps.releases import findings, navigation, rollout, signing, storefront, tasks  # noqa: F401  registers the tasks
        from apps.requests import kinds

        navigation.register()
        storefront.register()
        guard.register("sign-off", signing.may_take_production_traffic)
        guard.register_limit(findings.most_percent_of)
        kinds.register(
            signing.KIND,
            _("Release"),
            on_granted=signing.on_granted,
            on_rejected=signing.on_rejected,
            before_decision=signing.only_on_its_page,
        )
        events.on("instances.deployment_ready", rollout.on_deployment_settled)
        events.on("instances.deployment_failed", rollout.on_deployment_settled)
        events.on("releases.voided", rollout.on_voided)
