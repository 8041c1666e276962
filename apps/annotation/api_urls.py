"""REST addresses of annotation, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from apps.annotation.api import AnnotationViewSet, ProjectViewSet, ReceiptViewSet, TaskViewSet

router = SimpleRouter()
router.register("annotation-projects", ProjectViewSet, basename="annotation-project")
router.register("feedback-receipts", ReceiptViewSet, basename="feedback-receipt")
router.register("tasks", TaskViewSet, basename="annotation-task")
router.register("annotations", AnnotationViewSet, basename="annotation")
urlpatterns = router.urls
