"""The workbench: workspaces with a Web IDE and terminals, experiments."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from apps.core import menu, statuses


class WorkbenchConfig(AppConfig):
    """IDE, terminals, training runs, experiments."""

    name = "apps.workbench"
    verbose_name = _("Workbench")

    def ready(self) -> None:
        from apps.accounts import sessions
        from apps.compute import job_data, job_environment, panels
        from apps.compute.environments import offered
        from apps.core import events
        from apps.gateway import actions
        from apps.workbench import (
            entry,
            job_tokens,
            mounted,
            packages,
            placing,
            recipes,
            registering,
            selectors,
            sweeps,
            tasks,  # noqa: F401  registers the background work
            tracking,
        )

        sessions.register("workbench", entry.follow_session)
        job_environment.register(job_tokens.variables_of)
        job_data.register(mounted)
        events.on("compute.job_finished", job_tokens.revoke_tokens)
        events.on("compute.job_finished", packages.when_locked)
        events.on("compute.job_finished", recipes.when_finished)
        events.on("compute.job_finished", sweeps.when_finished)
        panels.register(tracking.panel_of)
        actions.register_for_list("notebook", placing.of_these_calls)
        events.on("catalog.version_uploaded", registering.note_origin)
        offered.register(selectors.environments_offered_to)
        develop = frozenset({"developer"})
        menu.register(
            menu.MenuItem(_("Develop"), _("Workspaces"), "workbench:workspaces", "code", develop, order=20)
        )
        menu.register(
            menu.MenuItem(
                _("Develop"), _("Experiments"), "workbench:experiments", "chart-line", develop, order=22
            )
        )
        menu.register(
            menu.MenuItem(
                _("Develop"), _("Environments"), "workbench:environments", "package", develop, order=21
            )
        )
        menu.register(
            menu.MenuItem(_("Develop"), _("Recipes"), "workbench:recipes", "chef-hat", develop, order=23)
        )
        menu.register(
            menu.MenuItem(_("Develop"), _("Sweeps"), "workbench:sweeps", "adjustments", develop, order=24)
        )
        menu.register(
            menu.MenuItem(
                *(_("Administration"), _("Recording"), "workbench:recording_rules", "player-record"),
                frozenset({"admin"}),
                order=952,
            )
        )
        statuses.register("busy", "loader", "locking", "building")
        statuses.register("good", "circle-check", "finished")
        statuses.register("idle", "circle-minus", "killed")
        statuses.register("wait", "clock", "scheduled", "waiting")
        statuses.register("idle", "archive", "archived")
