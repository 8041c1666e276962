"""REST: the rules by which capabilities are trained anew, and what they decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.annotation import deciding
from apps.annotation.models import RetrainingRule
from apps.annotation.policy import may_see_retraining_rule
from apps.annotation.selectors import decisions_by, retraining_rules_visible_to
from apps.annotation.serializers import RetrainingDecisionSerializer, RetrainingRuleSerializer
from apps.catalog.selectors import get_capability
from apps.core.policy import require

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class RetrainingRuleViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[RetrainingRule]
):
    """Good → publish, poor → retrain: one rule for each capability, by the capability's short name."""

    serializer_class = RetrainingRuleSerializer
    ordering = ("-pk",)
    lookup_field = "capability__slug"
    lookup_url_kwarg = "slug"
    lookup_value_regex = r"[-a-zA-Z0-9_]+"

    def get_queryset(self) -> QuerySet[RetrainingRule]:
        if getattr(self, "swagger_fake_view", False):
            return RetrainingRule.objects.none()
        return retraining_rules_visible_to(cast("User", self.request.user))

    @extend_schema(request=RetrainingRuleSerializer, responses=RetrainingRuleSerializer)
    def update(self, request: Request, slug: str) -> Response:
        """Write the capability's rule; what is left out gets its usual value. Repeating it changes nothing."""
        user = cast("User", request.user)
        capability = get_capability(slug, user=user)
        require(may_see_retraining_rule(user, capability))
        asked = RetrainingRuleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        project = values.pop("project_id")
        deciding.write_rule(capability, by=user, project=project, **values)
        return Response(RetrainingRuleSerializer(self.get_queryset().get(capability=capability)).data)

    @extend_schema(responses=RetrainingDecisionSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], serializer_class=RetrainingDecisionSerializer)
    def decisions(self, request: Request, slug: str) -> Response:
        """What it decided, the newest first."""
        rows: Any = decisions_by(self.get_object())
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(RetrainingDecisionSerializer(page, many=True).data)
