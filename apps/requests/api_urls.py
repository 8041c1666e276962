"""REST addresses of requests, below /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.requests import api, webhook_api

router = SimpleRouter()
router.register("requests", api.RequestViewSet, basename="api-request")
router.register("deputies", api.DeputyViewSet, basename="api-deputy")
router.register("notifications", api.NotificationViewSet, basename="api-notification")
router.register("webhooks", webhook_api.WebhookViewSet, basename="api-webhook")

urlpatterns = [
    path("users/me/mail/", api.MailChoicesView.as_view(), name="api-me-mail"),
    path("search/", api.SearchView.as_view(), name="api-search"),
    *router.urls,
]
