from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReleasesConfig(AppConfig):
    name = "apps.releases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.core import events, statuses
        from apps.evaluation import demands, evidence
        from apps.gateway import actions
        from apps.instances import guard
        from apps.releases import (  # noqa: F401  registers the tasks
            announcing,
            call_actions,
            findings,
            navigation,
            order,
            policies,
            proofs,
            rollout,
            signing,
            storefront,
            tasks,
        )
        from apps.requests import kinds

        statuses.register("wait", "clock", "asked")
        statuses.register("good", "circle-check", "consented", "same", "success", "agreed")
        statuses.register("bad", "hand-stop", "objected", "different")
        statuses.register("idle", "clock-off", "lapsed", "ended")
        statuses.register("wait", "arrows-move-horizontal", "moved")
        navigation.register()
        announcing.register()
        evidence.register("releases", proofs.of_version)
        demands.register("releases", policies.demanded)
        storefront.register()
        actions.register("run-again", call_actions.run_again)
        actions.register("run-on-another", call_actions.run_on_another)
        guard.register("sign-off", signing.may_take_production_traffic)
        guard.register_limit(findings.most_percent_of)
        guard.register_order("releases", guard.Order(order.may_divide_by_hand, order.has_gone_the_whole_way))
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
