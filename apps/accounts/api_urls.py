"""REST addresses of accounts, below /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.accounts import api

router = SimpleRouter()
router.register("tokens", api.TokenViewSet, basename="api-token")
router.register("teams", api.TeamViewSet, basename="api-team")
router.register("invitations", api.InvitationViewSet, basename="api-invitation")
router.register("people", api.PersonViewSet, basename="api-person")
router.register("sites", api.SiteViewSet, basename="api-site")

urlpatterns = [
    path("users/me/", api.MeView.as_view(), name="api-me"),
    path("users/me/password/", api.PasswordView.as_view(), name="api-me-password"),
    path("audit/", api.AuditView.as_view(), name="api-audit"),
    path("audit/export/<slug:form>/", api.AuditExportView.as_view(), name="api-audit-export"),
    path("audit/verify/", api.AuditVerificationView.as_view(), name="api-audit-verify"),
    path("", include(router.urls)),
]
