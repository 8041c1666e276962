"""REST addresses of the call log, below /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.gateway import api

router = SimpleRouter()
router.register("calls", api.CallViewSet, basename="api-call")
router.register("call-exports", api.CallExportViewSet, basename="api-call-export")
router.register("overloads", api.OverloadViewSet, basename="api-overload")
router.register("feedback", api.FeedbackViewSet, basename="api-feedback")

urlpatterns = [
    path("retention/<slug:slug>/", api.RetentionView.as_view(), name="api-retention"),
    *router.urls,
]
