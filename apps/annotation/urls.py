"""Addresses of annotation."""

from django.urls import path

from apps.annotation.views import feedback, labelling, projects, retraining_rule

app_name = "annotation"
urlpatterns = [
    path("annotation/", projects.list_projects, name="list"),
    path("feedback/", feedback.list_feedback, name="feedback"),
    path("feedback/<int:pk>/ask/", feedback.ask_again, name="ask-again"),
    path("annotation/new/", projects.create, name="create"),
    path("annotation/-/capabilities/", projects.capabilities, name="capabilities"),
    path("annotation/preview/", labelling.preview, name="preview"),
    path("annotation/<int:pk>/", projects.detail, name="detail"),
    path("annotation/<int:pk>/rules/", projects.add_rule, name="add-rule"),
    path("annotation/<int:pk>/rules/preview/", projects.preview_rule, name="preview-rule"),
    path("annotation/<int:pk>/rules/<int:rule_pk>/", projects.switch_rule, name="switch-rule"),
    path("annotation/<int:pk>/notebook/", projects.notebook, name="notebook"),
    path("annotation/<int:pk>/label/", labelling.label, name="label"),
    path("annotation/<int:pk>/slots/<int:slot_pk>/", labelling.submit, name="submit"),
    path("annotation/<int:pk>/ahead/", labelling.look_ahead, name="ahead"),
    path("annotation/<int:pk>/slots/<int:slot_pk>/let-go/", labelling.let_go, name="let-go"),
    path("annotation/<int:pk>/slots/<int:slot_pk>/heartbeat/", labelling.heartbeat, name="heartbeat"),
    path("annotation/<int:pk>/undo/<int:task_pk>/", labelling.undo, name="undo"),
    path("annotation/<int:pk>/labels/", projects.change_labels, name="labels"),
    path("annotation/<int:pk>/settings/", projects.settings_of, name="settings"),
    path("annotation/<int:pk>/status/", projects.set_status, name="status"),
    path("annotation/<int:pk>/transfers/", projects.transfers_of, name="transfers"),
    path(
        "annotation/<int:pk>/transfers/<int:transfer_pk>/file/", projects.transfer_file, name="transfer-file"
    ),
    path("annotation/<int:pk>/queue/", projects.queue_of, name="queue"),
    path("annotation/<int:pk>/adjudicate/", labelling.adjudicate, name="adjudicate"),
    path("annotation/<int:pk>/quality/", projects.quality, name="quality"),
    path("annotation/<int:pk>/accept/", projects.accept, name="accept"),
    path("annotation/<int:pk>/bulks/", projects.bulks, name="bulks"),
    path("annotation/<int:pk>/export/", projects.export, name="export"),
    path("annotation/<int:pk>/retrain/", projects.retrain, name="retrain"),
    path("annotation/retraining/<slug:slug>/", retraining_rule.rule_of, name="retraining-rule"),
    path("annotation/tasks/<int:task_pk>/", labelling.review, name="review"),
]
