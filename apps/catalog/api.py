"""REST: capabilities, versions, and files by digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.http import FileResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, parsers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import PersonalToken, Role
from apps.accounts.selectors import teams_of
from apps.catalog import services
from apps.catalog.comparison import compare
from apps.catalog.examples import Example, examples_of
from apps.catalog.models import Capability, Version
from apps.catalog.origins import read_origin
from apps.catalog.policy import may_add_version, may_build
from apps.catalog.selectors import (
    capabilities_visible_to,
    failures_of,
    get_capability,
    get_version,
    matching,
    next_patch,
    open_file,
    rules_of,
    side_of,
    suggested_number,
    versions_to_compare,
    versions_visible_to,
)
from apps.catalog.serializers import (
    CapabilityChangeSerializer,
    CapabilitySerializer,
    CompositeSerializer,
    DeprecationSerializer,
    Int8Serializer,
    NewVersionSerializer,
    ObjectSerializer,
    ParsingChangeSerializer,
    ParsingSerializer,
    ParsingTrialSerializer,
    RetireVersionSerializer,
    TriedSerializer,
    VersionComparisonSerializer,
    VersionDeprecationSerializer,
    VersionSerializer,
)
from apps.catalog.services import composites
from apps.catalog.trying import try_rules
from apps.core import archives, objects
from apps.core.api import IdempotencyMixin, narrowed
from apps.core.errors import Invalid, NotAllowed
from apps.core.events import publish
from apps.core.parsers import JSONParser
from apps.core.policy import require

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User

LARGEST_OBJECT = 4 << 30


class CapabilityViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Capability]
):
    """Capabilities that the caller may know of. `?q=` searches, `?status=`, `?team=`, `?tag=`, `?domain=` filter."""

    serializer_class = CapabilitySerializer
    lookup_field = "slug"
    ordering = ("name", "pk")
    rows_are_wide = True

    def get_queryset(self) -> QuerySet[Capability]:
        if getattr(self, "swagger_fake_view", False):
            return Capability.objects.none()
        asked = self.request.query_params
        found = matching(capabilities_visible_to(self.request.user), asked.get("q", ""))
        lookups = {"status": "status", "team": "team__slug", "domain": "domain"}
        found = narrowed(found, self.request, lookups)
        return found.filter(tags__contains=[asked["tag"]]) if asked.get("tag") else found

    def _one(self) -> Capability:
        return get_capability(self.kwargs["slug"], user=self.request.user)

    def _user(self) -> User:
        return cast("User", self.request.user)

    @extend_schema(request=CapabilitySerializer, responses={201: CapabilitySerializer})
    def create(self, request: Request) -> Response:
        asked = CapabilitySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        capability = services.create_capability(values.pop("slug"), by=self._user(), **values)
        return Response(CapabilitySerializer(capability).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=CapabilityChangeSerializer, responses=CapabilitySerializer)
    def partial_update(self, request: Request, slug: str = "") -> Response:
        asked = CapabilityChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        capability = services.edit_capability(self._one(), by=self._user(), **asked.validated_data)
        return Response(CapabilitySerializer(capability).data)

    @extend_schema(request=None, responses=CapabilitySerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, slug: str = "") -> Response:
        """Show it in the store."""
        return Response(CapabilitySerializer(services.publish_capability(self._one(), by=self._user())).data)

    @extend_schema(request=None, responses=CapabilitySerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, slug: str = "") -> Response:
        """Take it out of the store."""
        return Response(CapabilitySerializer(services.withdraw_capability(self._one(), by=self._user())).data)

    @extend_schema(
        responses=VersionComparisonSerializer,
        parameters=[
            OpenApiParameter("versions", str, many=True, description="Numbers, two to six, repeated")
        ],
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def comparison(self, request: Request, slug: str = "") -> Response:
        """Versions side by side: `?versions=1.0.0&versions=1.1.0`. Values that differ are marked."""
        asked = request.query_params.getlist("versions")
        sides = [
            side_of(version, user=request.user)
            for version in versions_to_compare(self._one(), asked, user=request.user)
        ]
        found = {
            "versions": [side.number for side in sides],
            "sections": compare(sides),
            "cards": [side.card for side in sides],
        }
        return Response(VersionComparisonSerializer(found).data)

    @extend_schema(request=DeprecationSerializer, responses=CapabilitySerializer)
    @action(detail=True, methods=["post"])
    def deprecate(self, request: Request, slug: str = "") -> Response:
        """Tell that it will go, or another day and other words for it."""
        asked = DeprecationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        capability = services.deprecate_capability(self._one(), by=self._user(), **asked.validated_data)
        return Response(CapabilitySerializer(capability).data)


def _rules(version: Version) -> dict[str, Any]:
    """What is said of a version's parsing rules: those that count, and where they fail."""
    found = rules_of(version)
    return {
        "revision": found.revision,
        "rules": found.rules,
        "row": found.row,
        "failures": failures_of(version),
    }


class VersionViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Version]
):
    """Versions that the caller may know of. `?capability=`, `?number=`, `?status=` filter."""

    serializer_class = VersionSerializer
    lookup_value_regex = "[0-9]+"
    ordering = ("-pk",)
    parser_classes = [JSONParser, parsers.MultiPartParser]

    def get_queryset(self) -> QuerySet[Version]:
        if getattr(self, "swagger_fake_view", False):
            return Version.objects.none()
        lookups = {"capability": "capability__slug", "number": "number", "status": "status"}
        return narrowed(versions_visible_to(self.request.user), self.request, lookups)

    def _user(self) -> User:
        return cast("User", self.request.user)

    def _built(self) -> Version:
        """The version, for those who build it: what its calls hold is theirs."""
        version = self.get_object()
        require(may_build(self.request.user, version.capability))
        return version

    @extend_schema(request=NewVersionSerializer, responses={201: VersionSerializer})
    def create(self, request: Request) -> Response:
        """Upload a version: multipart with `file`, or JSON with `files` by digest. Packaged at once by default."""
        asked = NewVersionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        capability = get_capability(values["capability"], user=request.user)
        require(may_add_version(self._user(), capability))
        own = _job_of(request)
        origin = read_origin(
            by=self._user(),
            dataset_version=values["dataset_version"],
            code_digest=values["code_digest"],
            training_job="" if own else values["training_job"],
            parameters=values.get("parameters"),
        )
        version = services.create_version(
            capability,
            values["number"] or suggested_number(capability),
            files=_files_of(values),
            by=self._user(),
            changelog=values["changelog"],
            dataset_version=origin.dataset_version,
            code_digest=origin.code_digest,
            training_job_urn=own or origin.training_job_urn,
            parameters=origin.parameters,
            expected_digest=values["digest"],
        )
        token = request.auth.pk if isinstance(request.auth, PersonalToken) else None
        publish("catalog.version_uploaded", version.pk, token=token, run=values["run"])
        if values["package"]:
            services.package_version(version, by=self._user())
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={202: VersionSerializer})
    @action(detail=True, methods=["post"])
    def package(self, request: Request, pk: str = "") -> Response:
        """Package it, or again after a failure."""
        version = self.get_object()
        services.package_version(version, by=self._user())
        return Response(VersionSerializer(version).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], url_path=r"files/(?P<path>.+)", pagination_class=None)
    def files(self, request: Request, pk: str = "", path: str = "") -> FileResponse:
        """One file of the package, or of the upload as long as there is no package; for those who build it."""
        return FileResponse(
            open_file(self._built(), path),
            as_attachment=True,
            filename=path.rsplit("/", 1)[-1],
            content_type="application/octet-stream",
        )

    @extend_schema(request=CompositeSerializer, responses={201: VersionSerializer})
    @action(detail=False, methods=["post"])
    def composite(self, request: Request) -> Response:
        """Make a version of other versions: a sequence, an ensemble, a switch, or any graph (`atrium-graph/1`)."""
        asked = CompositeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values, user = asked.validated_data, self._user()
        capability = get_capability(values["capability"], user=user)
        require(may_add_version(user, capability))
        chosen = [get_version(member["version"], user=user) for member in values["members"]]
        named = composites.name_members(chosen)
        names = [member["name"] or name for member, name in zip(values["members"], named, strict=True)]
        members = dict(zip(names, chosen, strict=True))
        document = values.get("graph") or composites.graph_of_shape(
            values.get("shape", ""),
            composites.check_members(members, by=user),
            on=values["on"],
            values=[member["value"] for member in values["members"]],
        )
        made = services.create_composite(
            capability,
            values["number"],
            members=members,
            document=_object_of(document, "graph"),
            by=user,
            changelog=values["changelog"],
        )
        services.package_version(made, by=user)
        return Response(VersionSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=Int8Serializer, responses={201: VersionSerializer})
    @action(detail=True, methods=["post"])
    def int8(self, request: Request, pk: str = "") -> Response:
        """Make a version of the same upload that serves int8, where packaging offers it (`report.quantisation`)."""
        version = self.get_object()
        asked = Int8Serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        number = asked.validated_data["number"] or next_patch(version)
        made = services.create_int8_version(version, number, by=self._user())
        services.package_version(made, by=self._user())
        return Response(VersionSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=ParsingSerializer)
    @action(detail=True, methods=["get"])
    def parsing(self, request: Request, pk: str = "") -> Response:
        """The parsing rules by which logged calls are read."""
        version = self._built()
        return Response(ParsingSerializer(_rules(version)).data)

    @extend_schema(request=ParsingChangeSerializer, responses=ParsingSerializer)
    @parsing.mapping.put
    def set_parsing(self, request: Request, pk: str = "") -> Response:
        """Read calls by these rules from now on, as a new revision; the package stays as it is."""
        version = self._built()
        asked = ParsingChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        services.set_parsing_rules(
            version, values["rules"], by=self._user(), note=values["note"], seen=values["revision"]
        )
        return Response(ParsingSerializer(_rules(version)).data)

    @extend_schema(request=ParsingTrialSerializer, responses=TriedSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="parsing/preview", pagination_class=None)
    def parsing_preview(self, request: Request, pk: str = "") -> Response:
        """What rules would find, rule by rule, with what is wrong with each. Nothing is kept."""
        version = self._built()
        asked = ParsingTrialSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        given = values.get("document")
        examples = (
            [Example("", _object_of(given, "document"))] if given else examples_of(version, user=self._user())
        )
        return Response(
            TriedSerializer(try_rules(_object_of(values["rules"], "rules"), examples), many=True).data
        )

    @extend_schema(request=VersionDeprecationSerializer, responses=VersionSerializer)
    @action(detail=True, methods=["post"])
    def deprecate(self, request: Request, pk: str = "") -> Response:
        """Tell its callers that it will go, when, and which version to call instead; again with another day."""
        asked = VersionDeprecationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        told = services.deprecate_version(self.get_object(), by=self._user(), **asked.validated_data)
        return Response(VersionSerializer(told).data)

    @extend_schema(responses=VersionSerializer)
    @deprecate.mapping.delete
    def keep(self, request: Request, pk: str = "") -> Response:
        """Take the deprecation back."""
        return Response(VersionSerializer(services.keep_version(self.get_object(), by=self._user())).data)

    @extend_schema(request=RetireVersionSerializer, responses=VersionSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str = "") -> Response:
        """Take it out of use, once nothing runs it and nobody has called it for `quiet_days`."""
        asked = RetireVersionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        retired = services.retire_version(self.get_object(), by=self._user(), **asked.validated_data)
        return Response(VersionSerializer(retired).data)


def _job_of(request: Request) -> str:
    """The URN of the job whose own token made the request: what it registers is its work."""
    job_id = request.auth.job_id if isinstance(request.auth, PersonalToken) else None
    return f"atrium:compute.job:{job_id}" if job_id else ""


def _files_of(values: dict[str, Any]) -> dict[str, str]:
    if values.get("file") is not None:
        sent = values["file"]
        return archives.store([archives.Upload(sent.name, sent.file, sent.size)])
    files = values.get("files")
    if not isinstance(files, dict) or not all(isinstance(sha256, str) for sha256 in files.values()):
        raise Invalid(
            _("Send the model as `file`, or its files as `files`: {path: sha256} of objects stored before."),
            fields={"files": _("is missing")},
        )
    return dict(files)


def _object_of(value: Any, name: str) -> dict[str, Any]:
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise Invalid(
            _("`%(name)s` must be a JSON object.") % {"name": name}, fields={name: _("is no object")}
        )
    return value


class ObjectView(APIView):
    """Files by digest: ask whether one is stored, or store it. So a push goes on where it was cut."""

    parser_classes = [parsers.FileUploadParser]

    def _check(self) -> None:
        if not teams_of(cast("User", self.request.user), Role.DEVELOPER, Role.QA).exists():
            raise NotAllowed(_("Only developers and QA engineers store files."))

    @extend_schema(
        responses={200: ObjectSerializer}, parameters=[OpenApiParameter("sha256", str, OpenApiParameter.PATH)]
    )
    def get(self, request: Request, sha256: str) -> Response:
        """Whether the file is stored: 200 with its size, else 404."""
        self._check()
        if not objects.keep(sha256):
            return Response(status=status.HTTP_404_NOT_FOUND)
        return Response({"sha256": sha256, "size": objects.path(sha256).stat().st_size})

    @extend_schema(
        request={"application/octet-stream": bytes},
        responses={201: ObjectSerializer},
        parameters=[OpenApiParameter("sha256", str, OpenApiParameter.PATH)],
    )
    def put(self, request: Request, sha256: str) -> Response:
        """Store the body, if it has this digest."""
        self._check()
        stream = request._request
        _stored, size = objects.put(iter(lambda: stream.read(1 << 20), b""), expected=sha256)
        return Response({"sha256": sha256, "size": size}, status=status.HTTP_201_CREATED)
