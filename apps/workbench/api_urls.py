"""REST addresses of the workbench, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from apps.workbench.api import recordings
from apps.workbench.api import workspaces as api

router = SimpleRouter()
router.register("workspaces", api.WorkspaceViewSet, basename="api-workspace")
router.register("environments", api.EnvironmentViewSet, basename="api-environment")
router.register("recipes", api.RecipeViewSet, basename="api-recipe")
router.register("sweeps", api.SweepViewSet, basename="api-sweep")
router.register("registrations", api.RegistrationViewSet, basename="api-registration")
router.register("recordings", recordings.RecordingViewSet, basename="api-recording")
router.register("recording-rules", recordings.RecordingRuleViewSet, basename="api-recording-rule")

urlpatterns = router.urls
