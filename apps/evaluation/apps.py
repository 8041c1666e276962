from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "apps.evaluation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.compute import repeats
        from apps.core import events
        from apps.evaluation import navigation, runs, tasks  # noqa: F401  registers the tasks

        navigation.register()
        repeats.register(runs.why_not_repeated)
        events.on("compute.job_finished", runs.on_job_finished)
        events.on("instances.deployment_ready", runs.on_deployment_settled)
        events.on("instances.deployment_failed", runs.on_deployment_settled)
