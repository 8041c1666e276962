"""Pages of the call log."""

from django.urls import path

from apps.gateway import export_views, views

app_name = "calls"
urlpatterns = [
    path("calls/", views.call_list, name="list"),
    path("calls/<uuid:request_id>/", views.detail, name="detail"),
    path("calls/<uuid:request_id>/unmask/", views.unmask, name="unmask"),
    path("calls/<uuid:request_id>/request/", views.payload, {"which": "request"}, name="request"),
    path("calls/<uuid:request_id>/response/", views.payload, {"which": "response"}, name="response"),
    path("calls/export/<slug:slug>/", export_views.start, name="export-new"),
    path("calls/exports/<int:pk>/", export_views.export, name="export"),
    path("calls/exports/<int:pk>/cancel/", export_views.cancel, name="export-cancel"),
    path("calls/retention/<slug:slug>/", views.retention, name="retention"),
    path("calls/<uuid:request_id>/feedback/", views.feedback, name="feedback"),
]
