"""Addresses of releases."""

from django.urls import path

from apps.releases import past_views, replay_views, views

app_name = "releases"
urlpatterns = [
    path("qa/", views.inbox, name="inbox"),
    path("releases/", views.list_releases, name="list"),
    path("releases/open/<int:version_pk>/", views.open_release, name="open"),
    path("releases/policy/<slug:slug>/", views.policy, name="policy"),
    path("releases/policy/<slug:slug>/preview/", views.preview_metric, name="preview-metric"),
    path("releases/policy/<slug:slug>/withdraw/", views.withdraw_policy, name="withdraw-policy"),
    path("releases/team-policy/<slug:slug>/", views.team_policy, name="team-policy"),
    path("releases/<int:pk>/", views.detail, name="detail"),
    path("releases/<int:pk>/conclusion/<slug:verb>/", views.conclude, name="conclude"),
    path("releases/findings/", views.list_findings, name="findings"),
    path("releases/emergency/", views.emergency, name="emergency"),
    path("releases/emergency/<int:pk>/<slug:verb>/", views.settle_bypass, name="settle-bypass"),
    path("releases/history/<slug:slug>/", past_views.production_history, name="history"),
    path("releases/again/<uuid:request_id>/", past_views.run_again, name="run-again"),
    path("releases/reruns/<int:pk>/", past_views.rerun, name="rerun"),
    path("releases/replays/", replay_views.list_replays, name="replays"),
    path("releases/replays/<int:pk>/", replay_views.replay, name="replay"),
    path("releases/replays/<int:pk>/<slug:verb>/", replay_views.answer, name="answer-replay"),
    path("releases/<int:pk>/dossier.zip", views.dossier, name="dossier"),
    path("releases/<int:pk>/findings/", views.raise_finding, name="raise-finding"),
    path("releases/<int:pk>/findings/<int:finding>/", views.close_finding, name="close-finding"),
    path("releases/<int:pk>/sign/", views.sign, name="sign"),
    path("releases/<int:pk>/<slug:verb>/", views.steer, name="steer"),
]
