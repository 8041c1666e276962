"""REST addresses of evaluation."""

from rest_framework.routers import SimpleRouter

from apps.evaluation.api import ClaimViewSet, ReportViewSet, RunViewSet, SuiteViewSet

router = SimpleRouter()
router.register("suites", SuiteViewSet, basename="suite")
router.register("evaluations", RunViewSet, basename="evaluation")
router.register("reports", ReportViewSet, basename="report")
router.register("claims", ClaimViewSet, basename="claim")
urlpatterns = router.urls
