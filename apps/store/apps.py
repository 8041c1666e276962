from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StoreConfig(AppConfig):
    name = "apps.store"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.catalog import uses
        from apps.compute import repeats
        from apps.core import events, menu, search, statuses
        from apps.requests import kinds
        from apps.store import announcing, asked, selectors, services, tasks, usage_report

        kinds.register(
            services.SUBSCRIPTION_REQUEST,
            _("Subscription"),
            before_decision=services.check_still_on_offer,
            on_granted=services.grant_requested,
            on_rejected=services.reject_requested,
            on_closed=services.close_requested,
            facts=asked.of_subscription,
        )
        kinds.register(
            services.CHANGE_REQUEST,
            _("Change of a subscription"),
            on_granted=services.grant_change,
            on_rejected=services.close_change,
            facts=asked.of_change,
        )
        menu.register(menu.MenuItem(_("Store"), _("Store"), "store:list", "building-store", order=10))
        menu.register(menu.MenuItem(_("Store"), _("Subscriptions"), "store:subscriptions", "key", order=20))
        menu.register(menu.MenuItem(_("Store"), _("Wanted"), "store:demands", "bulb", order=25))
        menu.register_landing("consumer", "store:list")
        search.register("store", selectors.search_hits, first=True)
        announcing.register()
        repeats.register(services.why_not_repeated)
        uses.register(usage_report.uses_of_version)
        statuses.register("busy", "hammer", "taken")
        statuses.register("good", "circle-check", "answered")
        statuses.register("idle", "circle-off", "ended")
        for name, handler in tasks.HANDLERS:
            events.on(name, handler)
