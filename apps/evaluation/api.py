"""REST: suites, evaluations, reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.selectors import get_capability, get_version
from apps.core.api import IdempotencyMixin, narrowed
from apps.core.errors import Invalid
from apps.evaluation import evidence, services, shown
from apps.evaluation.models import Claim, Report, Run, Suite
from apps.evaluation.selectors import (
    claims_visible_to,
    content_of,
    latest_suite,
    page_of_rows,
    reports_visible_to,
    runs_visible_to,
    suites_visible_to,
)
from apps.evaluation.serializers import (
    ClaimSerializer,
    ReportSerializer,
    RowsAskedSerializer,
    RowsSerializer,
    RunSerializer,
    ScoreSerializer,
    SuiteSerializer,
)

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import User


_OF_A_VERSION = {"capability": "version__capability__slug", "number": "version__number"}
_FILTERS = [OpenApiParameter(name, str) for name in _OF_A_VERSION]


@extend_schema_view(list=extend_schema(parameters=[OpenApiParameter("capability", str)]))
class SuiteViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Suite],
):
    """What versions are asked. Immutable: a change is the capability's next suite."""

    serializer_class = SuiteSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Suite]:
        mine = suites_visible_to(cast("User", self.request.user))
        return narrowed(mine, self.request, {"capability": "capability__slug"})

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user, asked = cast("User", request.user), dict(serializer.validated_data)
        capability = get_capability(asked.pop("capability").slug, user=user)
        suite = services.create_suite(capability, by=user, **asked)
        return Response(self.get_serializer(suite).data, status=status.HTTP_201_CREATED)


@extend_schema_view(list=extend_schema(parameters=_FILTERS))
class RunViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Run],
):
    """Evaluations of versions."""

    serializer_class = RunSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Run]:
        return narrowed(runs_visible_to(cast("User", self.request.user)), self.request, _OF_A_VERSION)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = cast("User", request.user)
        version = get_version(serializer.validated_data["version"].pk, user=user)
        suite = serializer.validated_data.get("suite") or latest_suite(version.capability)
        if suite is None:
            raise Invalid(
                _("The capability has no suite yet. Make one first."), fields={"suite": _("is missing")}
            )
        run = services.start_evaluation(version, suite, by=user)
        return Response(self.get_serializer(run).data, status=status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """End an evaluation that is under way."""
        run = self.get_object()
        services.cancel_evaluation(run, by=cast("User", request.user))
        return Response(self.get_serializer(run).data)


@extend_schema_view(list=extend_schema(parameters=_FILTERS))
class ReportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Report]):
    """What evaluations found."""

    serializer_class = ReportSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Report]:
        return narrowed(reports_visible_to(cast("User", self.request.user)), self.request, _OF_A_VERSION)

    @action(detail=True)
    def content(self, request: Request, pk: str | None = None) -> Response:
        """The whole report as JSON."""
        return Response(content_of(self.get_object()))

    @extend_schema(parameters=[RowsAskedSerializer], responses=RowsSerializer)
    @action(detail=True, pagination_class=None)
    def rows(self, request: Request, pk: str | None = None) -> Response:
        """The rows behind a figure, as they were asked and answered: all, the wrong ones, those of a slice or cell."""
        read = RowsAskedSerializer(data=request.query_params)
        read.is_valid(raise_exception=True)
        wanted = dict(read.validated_data)
        after, size = wanted.pop("after"), wanted.pop("size")
        found, following = page_of_rows(
            content_of(self.get_object()), wanted, after="" if after is None else str(after), size=size
        )
        return Response({"results": found, "next": following})

    @extend_schema(responses={(200, "text/html"): str})
    @action(detail=True, url_path="report.html")
    def as_html(self, request: Request, pk: str | None = None) -> HttpResponse:
        """The report as one HTML file with everything inside."""
        return self._file("html", "text/html; charset=utf-8", shown.as_html)

    @extend_schema(responses={(200, "application/pdf"): bytes})
    @action(detail=True, url_path="report.pdf")
    def as_pdf(self, request: Request, pk: str | None = None) -> HttpResponse:
        """The report for print."""
        return self._file("pdf", "application/pdf", shown.as_pdf)

    def _file(self, form: str, kind: str, made: Callable[[Report], str | bytes]) -> HttpResponse:
        report = self.get_object()
        response = HttpResponse(made(report), content_type=kind)
        response["Content-Disposition"] = f'attachment; filename="{shown.file_name(report, form)}"'
        return response

    @extend_schema(responses=ScoreSerializer)
    @action(detail=True)
    def score(self, request: Request, pk: str | None = None) -> Response:
        """The ML Test Score of the version that the report is about, as of now."""
        return Response(ScoreSerializer(evidence.score_of(self.get_object().version)).data)


class ClaimViewSet(
    IdempotencyMixin, mixins.CreateModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet[Claim]
):
    """What people claim of items of the ML Test Score, for a capability."""

    serializer_class = ClaimSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Claim]:
        return claims_visible_to(cast("User", self.request.user))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user, asked = cast("User", request.user), dict(serializer.validated_data)
        capability = get_capability(asked["capability"].slug, user=user)
        made = evidence.claim(capability, asked["item"], asked["text"], by=user)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str | None = None) -> Response:
        """Take it back."""
        claim = self.get_object()
        evidence.withdraw_claim(claim.capability, claim.item, by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)
