"""REST addresses of annotation, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from apps.annotation.api import AnnotationViewSet, ProjectViewSet, ReceiptViewSet, TaskViewSet
from apps.annotation.retraining_api import RetrainingRuleViewSet

router = SimpleRouter()
router.register("annotation-projects", ProjectViewSet, basename="annotation-project")
router.register("feedback-receipts", ReceiptViewSet, basename="feedback-receipt")
router.register("tasks", TaskViewSet, basename="annotation-task")
router.register("annotations", AnnotationViewSet, basename="annotation")
router.register("retraining-rules", RetrainingRuleViewSet, basename="retraining-rule")
urlpatterns = router.urls
