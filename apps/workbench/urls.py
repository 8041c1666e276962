"""Addresses of the workbench's pages."""

from django.urls import path

from apps.workbench.views import environments, experiments, notebooks, placing, recipes, recordings, sweeps
from apps.workbench.views import workspaces as views

app_name = "workbench"

urlpatterns = [
    path("workspaces/", views.workspaces, name="workspaces"),
    path("workspaces/new/", views.new_workspace, name="new_workspace"),
    path("workspaces/notebook-of-calls/", placing.calls_notebook, name="calls_notebook"),
    path("workspaces/<int:pk>/", views.workspace, name="workspace"),
    path("workspaces/<int:pk>/terminal/", views.terminal, name="terminal"),
    path("workspaces/<int:pk>/run/", views.run, name="run"),
    path("workspaces/<int:pk>/register/", views.register, name="register_files"),
    path("workspaces/<int:pk>/state/", views.state, name="state"),
    path("workspaces/<int:pk>/enter/", views.enter, name="enter"),
    path("workspaces/<int:pk>/start/", views.start, name="start"),
    path("workspaces/<int:pk>/stop/", views.stop, name="stop"),
    path("workspaces/<int:pk>/archive/", views.archive, name="archive"),
    path("workspaces/<int:pk>/restore/", views.restore, name="restore"),
    path("workspaces/<int:pk>/renew/", views.renew, name="renew"),
    path("workspaces/<int:pk>/facts/", views.facts, name="facts"),
    path("workspaces/<int:pk>/notebooks/", notebooks.notebook_list, name="notebooks"),
    path("workspaces/<int:pk>/notebooks/<path:path>", notebooks.notebook, name="notebook"),
    path(
        "workspaces/<int:pk>/snapshots/<int:snapshot>/restore/",
        notebooks.restore_snapshot,
        name="restore_snapshot",
    ),
    path("workspaces/<int:pk>/settings/", views.settings_page, name="settings"),
    path("workspaces/<int:pk>/clone/", views.clone, name="clone"),
    path("workspaces/<int:pk>/environment/", views.save_environment, name="save_environment"),
    path("environments/", environments.environments, name="environments"),
    path("environments/new/", environments.new_environment, name="new_environment"),
    path("environments/<int:pk>/", environments.environment, name="environment"),
    path("environments/<int:pk>/state/", environments.environment_state, name="environment_state"),
    path("environments/<int:pk>/log/", environments.environment_log, name="environment_log"),
    path("environments/<int:pk>/retry/", environments.retry_environment, name="retry_environment"),
    path("recordings/", recordings.recording_list, name="recordings"),
    path("recordings/<int:pk>/", recordings.recording, name="recording"),
    path("recordings/<int:pk>/cast/", recordings.recording_file, name="recording_file"),
    path("administration/recording/", recordings.recording_rules, name="recording_rules"),
    path(
        "administration/recording/<int:pk>/remove/",
        recordings.remove_recording_rule,
        name="remove_recording_rule",
    ),
    path("sweeps/", sweeps.sweep_list, name="sweeps"),
    path("sweeps/from-job/<int:pk>/", sweeps.new_sweep, name="new_sweep"),
    path("sweeps/<int:pk>/", sweeps.sweep, name="sweep"),
    path("sweeps/<int:pk>/cancel/", sweeps.cancel_sweep, name="cancel_sweep"),
    path("recipes/", recipes.recipe_list, name="recipes"),
    path("models-to-refine/", recipes.models_to_refine, name="models_to_refine"),
    path("recipes/from-job/<int:pk>/", recipes.publish, name="publish_recipe"),
    path("recipes/<slug:slug>/", recipes.recipe, name="recipe"),
    path("experiments/", experiments.experiments, name="experiments"),
    path("experiments/runs/<slug:team>/<str:run_id>/", experiments.run, name="tracked_run"),
    path("experiments/runs/<slug:team>/<str:run_id>/register/", experiments.register, name="register"),
    path(
        "experiments/registrations/<int:pk>/retry/", experiments.retry_registration, name="retry_registration"
    ),
    path("experiments/jobs/<int:pk>/metrics/", experiments.job_metrics, name="job_metrics"),
    path("experiments/mlflow/", experiments.mlflow, name="mlflow"),
    path("experiments/enter/", experiments.enter_mlflow, name="enter_mlflow"),
]
