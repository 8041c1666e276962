"""Addresses of evaluations, reports and suites."""

from django.urls import path

from apps.evaluation import score_views, views

app_name = "evaluation"
urlpatterns = [
    path("evaluations/", views.list_runs, name="list"),
    path("evaluations/new/<int:version_pk>/", views.start, name="start"),
    path("evaluations/<int:pk>/", views.show_run, name="run"),
    path("evaluations/<int:pk>/cancel/", views.cancel, name="cancel"),
    path("evaluations/score/<int:version_pk>/", score_views.score, name="score"),
    path("evaluations/score/<int:version_pk>/claim/", score_views.claim, name="claim"),
    path("reports/compare/", views.compare_reports, name="compare"),
    path("reports/<int:pk>/", views.show_report, name="report"),
    path("reports/<int:pk>/report.pdf", views.report_as_pdf, name="report-pdf"),
    path("reports/<int:pk>/report.json", views.report_json, name="report-json"),
    path("reports/<int:pk>/report.html", views.report_html, name="report-html"),
    path("reports/<int:pk>/rows/", views.report_rows, name="rows"),
    path("suites/<slug:slug>/", views.suites, name="suites"),
]
