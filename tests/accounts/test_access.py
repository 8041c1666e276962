"""Every address of people, teams and sites: who gets in, who does not."""

import pytest

from apps.accounts import api_urls, invitations, urls
from apps.accounts.models import Membership
from apps.accounts.services import create_token
from tests.access import PEOPLE, Row, differences, uncovered
from tests.factories import make_site, make_user

A = "/api/v1/"
EVERYBODY = (302, 200, 200, 200, 200, 200)
ADMIN = (302, 403, 403, 403, 403, 200)
API_EVERYBODY = (401, 200, 200, 200, 200, 200)
API_ADMIN = (401, 403, 403, 403, 403, 200)

# visitor, developer (the owner of the team), qa, operator, outsider, admin.
TABLE = [
    # The door, and how it looks, are for everybody.
    Row("GET", "/login/", (200, 302, 302, 302, 302, 302)),
    Row("POST", "/language/", (302, 302, 302, 302, 302, 302), {"language": "en"}),
    Row("POST", "/theme/", (204, 204, 204, 204, 204, 204), {"theme": "dark"}),
    Row("GET", "/invitations/accept/{secret}/", (200, 200, 200, 200, 200, 200)),
    Row("GET", "/invitations/accept/guessed/", (404, 404, 404, 404, 404, 404)),
    # One's own things.
    Row("GET", "/profile/", EVERYBODY),
    Row("GET", "/profile/password/", EVERYBODY),
    Row("POST", "/profile/password/", (302, 200, 200, 200, 200, 200)),
    Row("GET", "/profile/tokens/", EVERYBODY),
    Row("POST", "/profile/tokens/{token}/revoke/", (302, 302, 404, 404, 404, 404)),
    Row("GET", f"{A}users/me/", API_EVERYBODY),
    Row("PATCH", f"{A}users/me/", API_EVERYBODY, {"theme": "dark"}),
    Row("POST", f"{A}users/me/password/", (401, 422, 422, 422, 422, 422), {"old_password": "a guess"}),
    Row("GET", f"{A}tokens/", API_EVERYBODY),
    Row("POST", f"{A}tokens/", (401, 201, 201, 201, 201, 201), {"name": "ci"}),
    Row("DELETE", A + "tokens/{other_token}/", (401, 204, 404, 404, 404, 404)),
    # Teams and sites are seen by everybody; the owner of a team chooses its people, administrators the rest.
    Row("GET", "/teams/", EVERYBODY),
    Row(
        "POST", "/teams/", (302, 403, 403, 403, 403, 302), {"slug": "core", "name": "Core", "site": "{site}"}
    ),
    Row("GET", "/teams/radio/", EVERYBODY),
    Row("POST", "/teams/radio/", (302, 302, 403, 403, 403, 302), {"username": "bo", "role": "annotator"}),
    Row("GET", "/teams/radio/change/", ADMIN),
    Row("POST", "/teams/radio/members/{member}/remove/", (302, 302, 404, 404, 404, 404)),
    Row("GET", "/sites/", EVERYBODY),
    Row(
        "POST",
        "/sites/",
        (302, 403, 403, 403, 403, 302),
        {"slug": "hubei", "name": "Hubei", "kind": "province"},
    ),
    Row("GET", "/sites/empty/", EVERYBODY),
    Row("POST", "/sites/empty/", (302, 403, 403, 403, 403, 302), {"name": "Empty", "kind": "province"}),
    Row("POST", "/sites/leaving/archive/", (302, 403, 403, 403, 403, 302), {"archived": "1"}),
    Row("GET", f"{A}teams/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}teams/",
        (401, 403, 403, 403, 403, 201),
        {"slug": "edge", "name": "Edge", "site": "centre"},
    ),
    Row("GET", f"{A}teams/radio/", API_EVERYBODY),
    Row("PATCH", f"{A}teams/radio/", API_ADMIN, {"name": "Radio"}),
    Row("GET", f"{A}teams/radio/members/", API_EVERYBODY),
    Row("POST", f"{A}teams/radio/members/", (401, 201, 403, 403, 403, 201), {"user": "ole", "role": "qa"}),
    Row("DELETE", A + "teams/radio/members/{other_member}/", (401, 204, 404, 404, 404, 404)),
    Row("GET", f"{A}sites/", API_EVERYBODY),
    Row(
        "POST",
        f"{A}sites/",
        (401, 403, 403, 403, 403, 201),
        {"slug": "hunan", "name": "Hunan", "kind": "province"},
    ),
    Row("GET", f"{A}sites/empty/", API_EVERYBODY),
    Row("PATCH", f"{A}sites/empty/", API_ADMIN, {"archived": False}),
    # Invitations: those who may invite.
    Row("GET", "/invitations/", (302, 200, 403, 403, 403, 200)),
    Row("POST", "/invitations/{invitation}/again/", (302, 200, 404, 404, 404, 200)),
    Row("GET", f"{A}invitations/", API_EVERYBODY),
    Row("GET", A + "invitations/{invitation}/", (401, 200, 404, 404, 404, 200)),
    Row(
        "POST",
        f"{A}invitations/",
        (401, 201, 403, 403, 403, 409),
        {"email": "x@example.org", "team": "radio", "roles": ["qa"], "language": "en"},
    ),
    Row("POST", A + "invitations/{invitation}/again/", (401, 200, 404, 404, 404, 200)),
    Row("POST", "/invitations/{invitation}/revoke/", (302, 302, 404, 404, 404, 409)),
    Row("DELETE", A + "invitations/{other_invitation}/", (401, 204, 404, 404, 404, 409)),
    # The platform's administration.
    Row("GET", "/administration/", ADMIN),
    Row("GET", "/administration/people/", ADMIN),
    Row("POST", "/administration/people/{person}/active/", (302, 403, 403, 403, 403, 302), {"active": "0"}),
    Row("GET", f"{A}people/", API_ADMIN),
    Row("GET", A + "people/{person}/", API_ADMIN),
    Row("PATCH", A + "people/{person}/", API_ADMIN, {"active": "true"}),
    Row(
        "POST",
        f"{A}people/",
        (401, 403, 403, 403, 403, 201),
        {"username": "newcomer", "password": "a-long-one-of-this-test"},
    ),
    Row("GET", "/administration/audit/", ADMIN),
    Row("POST", "/administration/audit/", ADMIN),
    Row("GET", "/administration/audit/export/csv/", ADMIN),
    Row("GET", f"{A}audit/", API_ADMIN),
    Row("GET", f"{A}audit/export/jsonl/", API_ADMIN),
    Row("POST", f"{A}audit/verify/", API_ADMIN),
    # Archived, a team gives nobody anything, and leaving ends what stands above: so these come last.
    Row("POST", "/teams/radio/archive/", (302, 403, 403, 403, 403, 302), {"archived": "1"}),
    Row("POST", "/logout/", (302, 302, 302, 302, 302, 302)),
]


@pytest.fixture
def names(radio, ada, bo, root):
    """What the table's braces stand for: things of the team and its owner's own."""
    radio.owner = ada
    radio.save()
    make_site("Centre")
    make_site("Leaving")
    site = make_site("Empty")
    first, link = invitations.invite("dan@example.org", radio, ["qa"], by=ada)
    second, _link = invitations.invite("eve@example.org", radio, ["qa"], by=ada)
    return {
        "site": site.pk,
        "token": create_token(ada, "first", by=ada)[0].pk,
        "other_token": create_token(ada, "second", by=ada)[0].pk,
        "member": Membership.objects.create(team=radio, user=make_user("first"), role="qa").pk,
        "other_member": Membership.objects.create(team=radio, user=make_user("second"), role="qa").pk,
        "invitation": first.pk,
        "other_invitation": second.pk,
        "secret": link.rstrip("/").rpartition("/")[2],
        "person": make_user("third").pk,
    }


def test_each_address_lets_in_whom_it_should(names, ada, bo, ole, cy, root):
    people = dict(zip(PEOPLE, (None, ada, bo, ole, cy, root), strict=True))

    assert differences(TABLE, people, **names) == {}


def test_the_table_names_every_address():
    assert uncovered([*urls.urlpatterns, *api_urls.urlpatterns], TABLE) == set()
