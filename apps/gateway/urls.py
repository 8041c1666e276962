"""Pages of the call log."""

from django.urls import path

from apps.gateway import views

app_name = "calls"
urlpatterns = [
    path("calls/", views.call_list, name="list"),
    path("calls/<uuid:request_id>/", views.detail, name="detail"),
    path("calls/<uuid:request_id>/feedback/", views.feedback, name="feedback"),
]
