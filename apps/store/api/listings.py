"""REST: what the store shows of a capability."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from django.http import FileResponse, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, parsers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.models import Capability
from apps.catalog.selectors import get_capability
from apps.core import objects
from apps.core.api import IdempotencyMixin
from apps.core.errors import Conflict, NotFound
from apps.core.policy import require
from apps.store import quality, selectors, services, usage_report
from apps.store.batches import CONTENT_TYPES, answers_of
from apps.store.bundles import file_name
from apps.store.checklist import checklist_of
from apps.store.models import Review
from apps.store.policy import may_offer, may_see_usage
from apps.store.search import FACETS, SORTS, facets, find, search_of, similar_to
from apps.store.serializers import (
    AnswerSerializer,
    BatchFileSerializer,
    BatchSerializer,
    CopySerializer,
    FollowSerializer,
    ListedSerializer,
    ListingSerializer,
    NewReviewSerializer,
    RetireSerializer,
    ReuseSerializer,
    ReviewSerializer,
    TrustedSerializer,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User

_DOCUMENT = OpenApiResponse(response=dict)
_SEARCH = [
    OpenApiParameter("q", str, description="words; each has to be there"),
    OpenApiParameter("followed", bool, description="only what one follows"),
    OpenApiParameter("sort", str, enum=list(SORTS)),
    *(OpenApiParameter(name, str) for name in FACETS),
]


class ListingViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Capability]
):
    """What the store lists: found by words, filtered by facets, in the order that is asked for."""

    serializer_class = ListingSerializer
    lookup_field = "slug"
    rows_are_wide = True

    @property
    def ordering(self) -> tuple[str, ...]:
        """The keyset of the order that was asked for."""
        return search_of(self.request.query_params).order

    def get_queryset(self) -> QuerySet[Capability]:
        if getattr(self, "swagger_fake_view", False):
            return Capability.objects.none()
        return find(self.request.user, search_of(self.request.query_params))

    def get_object(self) -> Capability:
        return get_capability(self.kwargs["slug"], user=self.request.user)

    def _user(self) -> User:
        return cast("User", self.request.user)

    @extend_schema(responses=ListedSerializer)
    def retrieve(self, request: Request, *args: object, **kwargs: object) -> Response:
        """One capability, with whom to write to about it."""
        return Response(ListedSerializer(self.get_object()).data)

    @extend_schema(parameters=_SEARCH)
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(parameters=_SEARCH, responses=_DOCUMENT)
    @action(detail=False, methods=["get"], pagination_class=None)
    def facets(self, request: Request) -> Response:
        """For each facet its values, with how many capabilities each would leave."""
        counted = facets(self._user(), search_of(request.query_params))
        return Response(
            {
                name: [{"value": o.value, "label": str(o.label), "count": o.count} for o in options]
                for name, options in counted.items()
            }
        )

    @extend_schema(methods=["GET"], responses=FollowSerializer)
    @extend_schema(methods=["PUT"], request=FollowSerializer, responses=FollowSerializer)
    @action(detail=True, methods=["get", "put"])
    def follow(self, request: Request, slug: str = "") -> Response:
        """Whether one follows the capability and its team; PUT changes what it names."""
        capability, user = self.get_object(), self._user()
        if request.method == "PUT":
            asked = FollowSerializer(data=request.data, partial=True)
            asked.is_valid(raise_exception=True)
            wanted = asked.validated_data
            if "capability" in wanted:
                act = services.follow_capability if wanted["capability"] else services.unfollow_capability
                act(capability, by=user)
            if "team" in wanted:
                (services.follow_team if wanted["team"] else services.unfollow_team)(capability.team, by=user)
        one, team = selectors.follows_of(user, capability)
        return Response({"capability": one, "team": team})

    @extend_schema(responses=ListingSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def similar(self, request: Request, slug: str = "") -> Response:
        """Capabilities with the same words."""
        return Response(ListingSerializer(similar_to(self.get_object(), self._user()), many=True).data)

    @extend_schema(responses=_DOCUMENT)
    @action(detail=True, methods=["get"])
    def quality(self, request: Request, slug: str = "") -> Response:
        """The evaluation report of the version that answers, and who signed it; null before there is one."""
        version = selectors.version_to_show(self.get_object())
        return Response({"report": quality.summary_of(quality.report_on(version)) if version else None})

    @extend_schema(
        parameters=[
            OpenApiParameter("version", str, description="the one that answers unless told otherwise")
        ],
        responses=_DOCUMENT,
    )
    @action(detail=True, methods=["get"])
    def openapi(self, request: Request, slug: str = "") -> Response:
        """The OpenAPI 3.1 description of its calls at the gateway, with the exact tensors of one version."""
        return Response(selectors.openapi_of(self.get_object(), request.query_params.get("version", ""))[1])

    @extend_schema(parameters=[OpenApiParameter("span", str)], responses=_DOCUMENT)
    @action(detail=True, methods=["get"])
    def usage(self, request: Request, slug: str = "") -> Response:
        """Calls, errors by kind and latencies: all for the provider, the own teams' for a subscriber."""
        capability = self.get_object()
        require(may_see_usage(self._user(), capability))
        span = usage_report.span_of(request.query_params.get("span", ""))
        return Response(usage_report.for_capability(self._user(), capability, span).document())

    @extend_schema(
        parameters=[
            OpenApiParameter("span", str),
            OpenApiParameter("version", str, description="the callers of this version alone"),
        ],
        responses=_DOCUMENT,
    )
    @action(detail=True, methods=["get"])
    def callers(self, request: Request, slug: str = "") -> Response:
        """Which subscriptions call which version, how much, and when last; for the provider."""
        capability = self.get_object()
        require(may_offer(self._user(), capability))
        span = usage_report.span_of(request.query_params.get("span", ""))
        rows, version = usage_report.callers(capability, span), request.query_params.get("version", "")
        return Response({"callers": [asdict(row) for row in rows if version in ("", row.version)]})

    @extend_schema(responses=_DOCUMENT)
    @action(detail=True, methods=["get"])
    def checklist(self, request: Request, slug: str = "") -> Response:
        """What it still lacks before others can find, trust and use it; for the provider."""
        capability = self.get_object()
        require(may_offer(self._user(), capability))
        version, standing = selectors.version_to_show(capability), selectors.standing_of(capability)
        items = checklist_of(capability, version, standing)
        return Response(
            {"items": [asdict(item) for item in items], "ready": all(item.done for item in items)}
        )

    @extend_schema(request=RetireSerializer, responses={204: None})
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, slug: str = "") -> Response:
        """Take a deprecated capability away, once nobody has called it for `quiet_days`."""
        asked = RetireSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.retire_capability(self.get_object(), by=self._user(), **asked.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=TrustedSerializer, responses=TrustedSerializer)
    @action(detail=True, methods=["get", "put"], url_path="trusted-teams")
    def trusted_teams(self, request: Request, slug: str = "") -> Response:
        """The teams that subscribe without asking; for the provider."""
        capability = self.get_object()
        require(may_offer(self._user(), capability))
        if request.method == "PUT":
            asked = TrustedSerializer(data=request.data)
            asked.is_valid(raise_exception=True)
            services.set_trusted_teams(capability, asked.validated_data["teams"], by=self._user())
        return Response({"teams": [team.slug for team in selectors.trusted_teams(capability)]})

    @extend_schema(methods=["GET"], responses=CopySerializer(many=True))
    @extend_schema(methods=["POST"], request=ReuseSerializer, responses={201: CopySerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def copies(self, request: Request, slug: str = "") -> Response:
        """Where subscribers run it at their own sites; POST runs it at the site of a team of one's own."""
        capability, user = self.get_object(), self._user()
        if request.method == "GET":
            return Response(CopySerializer(selectors.open_copies(user, capability), many=True).data)
        asked = ReuseSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        copy = services.reuse_at_site(capability, by=user, **asked.validated_data)
        return Response(CopySerializer(copy).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        methods=["POST"], request=None, responses=CopySerializer, operation_id="store_copies_bring_up_to_date"
    )
    @extend_schema(methods=["DELETE"], responses={204: None})
    @action(detail=True, methods=["post", "delete"], url_path=r"copies/(?P<copy>\d+)")
    def one_copy(self, request: Request, slug: str = "", copy: str = "") -> Response:
        """POST brings a copy up to the version that answers in production; DELETE ends it."""
        found = selectors.get_copy(self.get_object(), int(copy), user=self._user())
        if request.method == "DELETE":
            services.end_copy(found, by=self._user())
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(CopySerializer(services.update_copy(found, by=self._user())).data)

    @extend_schema(methods=["GET"], responses=BatchSerializer(many=True))
    @extend_schema(methods=["POST"], request=BatchFileSerializer, responses={201: BatchSerializer})
    @action(detail=True, methods=["get", "post"], parser_classes=[parsers.MultiPartParser])
    def batches(self, request: Request, slug: str = "") -> Response:
        """One's own newest files; POST sends one as `file`, CSV in UTF-8 or Parquet, and a job asks about each row."""
        capability = self.get_object()
        if request.method == "GET":
            found = selectors.batches_of(self._user(), capability)[:50]
            return Response(BatchSerializer(found, many=True).data)
        asked = BatchFileSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        version = selectors.versions_answering([capability]).get(capability.pk)
        if version is None:
            raise Conflict(_("No version takes production traffic."))
        file = asked.validated_data["file"]
        batch = services.start_batch(capability, version, file.chunks(), file.name, by=self._user())
        return Response(BatchSerializer(batch).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=BatchSerializer)
    @action(detail=True, methods=["get"], url_path=r"batches/(?P<batch>\d+)", url_name="batch")
    def batch(self, request: Request, slug: str = "", batch: str = "") -> Response:
        """How far one of one's own files is."""
        return Response(BatchSerializer(selectors.get_batch(int(batch), user=self._user())).data)

    @extend_schema(request=None, responses=BatchSerializer)
    @action(detail=True, methods=["post"], url_path=r"batches/(?P<batch>\d+)/stop", url_name="stop-batch")
    def stop_batch(self, request: Request, slug: str = "", batch: str = "") -> Response:
        """Ask about no more rows; what was answered can be had within seconds."""
        found = selectors.get_batch(int(batch), user=self._user())
        services.stop_batch(found, by=self._user())
        return Response(BatchSerializer(selectors.get_batch(found.pk, user=self._user())).data)

    @extend_schema(
        parameters=[OpenApiParameter("kind", enum=[*CONTENT_TYPES], description="csv unless told otherwise")],
        responses={(200, content_type): bytes for content_type in CONTENT_TYPES.values()},
    )
    @action(detail=True, methods=["get"], url_path=r"batches/(?P<batch>\d+)/answers")
    def answers(self, request: Request, slug: str = "", batch: str = "") -> FileResponse:
        """The rows of a file with their answers, as CSV or, with `?kind=parquet`, as Parquet."""
        kind = request.query_params.get("kind", "csv")
        sha256 = answers_of(selectors.get_batch(int(batch), user=self._user()), kind)
        if sha256 is None:
            raise NotFound(_("This batch has no answers."))
        return FileResponse(objects.open_object(sha256), content_type=CONTENT_TYPES[kind])

    @extend_schema(responses={(200, "application/zip"): bytes})
    @action(detail=True, methods=["get"], url_path=r"versions/(?P<number>[^/]+)/bundle")
    def bundle(self, request: Request, slug: str = "", number: str = "") -> StreamingHttpResponse:
        """A version in ONNX as a zip file to run on a device: model, shipped cases, digest, a page that runs it."""
        version = selectors.get_packaged(self.get_object(), number)
        response = StreamingHttpResponse(
            services.take_bundle(version, by=self._user()), content_type="application/zip"
        )
        response["Content-Disposition"] = f'attachment; filename="{file_name(version)}"'
        return response

    @extend_schema(methods=["GET"], responses=ReviewSerializer(many=True))
    @extend_schema(methods=["PUT"], request=NewReviewSerializer, responses=ReviewSerializer)
    @extend_schema(methods=["DELETE"], responses={204: None})
    @action(detail=True, methods=["get", "put", "delete"])
    def reviews(self, request: Request, slug: str = "") -> Response:
        """The newest 200 reviews; PUT writes one's own, DELETE takes it back."""
        capability = self.get_object()
        if request.method == "GET":
            newest = selectors.reviews_of(capability).order_by("-pk")[:200]
            return Response(ReviewSerializer(newest, many=True).data)
        if request.method == "DELETE":
            for review in Review.objects.filter(capability=capability, user=self._user()):
                services.remove_review(review, by=self._user())
            return Response(status=status.HTTP_204_NO_CONTENT)
        asked = NewReviewSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        review = services.write_review(capability, by=self._user(), **asked.validated_data)
        return Response(ReviewSerializer(review).data)

    @extend_schema(request=AnswerSerializer, responses=ReviewSerializer)
    @action(detail=True, methods=["post"], url_path=r"reviews/(?P<review>\d+)/answer")
    def answer_review(self, request: Request, slug: str = "", review: str = "") -> Response:
        """The providing team answers a review; an empty text takes the answer back."""
        asked = AnswerSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        found = selectors.get_review(self.get_object(), int(review))
        answered: Any = services.answer_review(found, text=asked.validated_data["text"], by=self._user())
        return Response(ReviewSerializer(answered).data)
