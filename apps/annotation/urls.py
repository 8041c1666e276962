"""Addresses of annotation."""

from django.urls import path

from apps.annotation import views

app_name = "annotation"
urlpatterns = [
    path("annotation/", views.list_projects, name="list"),
    path("feedback/", views.feedback, name="feedback"),
    path("annotation/new/", views.create, name="create"),
    path("annotation/preview/", views.preview, name="preview"),
    path("annotation/<int:pk>/", views.detail, name="detail"),
    path("annotation/<int:pk>/rules/", views.add_rule, name="add-rule"),
    path("annotation/<int:pk>/rules/preview/", views.preview_rule, name="preview-rule"),
    path("annotation/<int:pk>/rules/<int:rule_pk>/", views.switch_rule, name="switch-rule"),
    path("annotation/<int:pk>/label/", views.label, name="label"),
    path("annotation/<int:pk>/slots/<int:slot_pk>/", views.submit, name="submit"),
    path("annotation/<int:pk>/slots/<int:slot_pk>/heartbeat/", views.heartbeat, name="heartbeat"),
    path("annotation/<int:pk>/undo/<int:task_pk>/", views.undo, name="undo"),
    path("annotation/<int:pk>/labels/", views.change_labels, name="labels"),
    path("annotation/<int:pk>/status/", views.set_status, name="status"),
    path("annotation/<int:pk>/transfers/", views.transfers_of, name="transfers"),
    path("annotation/<int:pk>/transfers/<int:transfer_pk>/file/", views.transfer_file, name="transfer-file"),
    path("annotation/<int:pk>/queue/", views.queue_of, name="queue"),
    path("annotation/<int:pk>/adjudicate/", views.adjudicate, name="adjudicate"),
    path("annotation/<int:pk>/quality/", views.quality, name="quality"),
    path("annotation/<int:pk>/accept/", views.accept, name="accept"),
    path("annotation/<int:pk>/export/", views.export, name="export"),
    path("annotation/<int:pk>/retrain/", views.retrain, name="retrain"),
    path("annotation/tasks/<int:task_pk>/", views.review, name="review"),
]
