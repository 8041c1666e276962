"""Pages of accounts."""

from django.urls import include, path

from apps.accounts.views import administration, invitations, profile, session, teams

_pages = [
    path("language/", session.language, name="language"),
    path("theme/", session.theme, name="theme"),
    path("profile/", profile.profile, name="profile"),
    path("profile/password/", profile.password, name="password"),
    path("profile/tokens/", profile.tokens, name="tokens"),
    path("profile/tokens/<int:pk>/revoke/", profile.revoke_token, name="revoke_token"),
    path("teams/", teams.teams, name="teams"),
    path("teams/<slug:slug>/", teams.team, name="team"),
    path("teams/<slug:slug>/members/<int:pk>/remove/", teams.remove_member, name="remove_member"),
    path("teams/<slug:slug>/change/", teams.change_team, name="change_team"),
    path("teams/<slug:slug>/archive/", teams.archive_team, name="archive_team"),
    path("sites/", teams.sites, name="sites"),
    path("sites/<slug:slug>/", teams.change_site, name="site"),
    path("sites/<slug:slug>/archive/", teams.archive_site, name="archive_site"),
    path("invitations/", invitations.list_invitations, name="invitations"),
    path("invitations/<int:pk>/again/", invitations.send_again, name="send_invitation_again"),
    path("invitations/<int:pk>/revoke/", invitations.revoke, name="revoke_invitation"),
    path("invitations/accept/<str:secret>/", invitations.accept, name="accept_invitation"),
    path("administration/", administration.administration, name="administration"),
    path("administration/people/", teams.people, name="people"),
    path("administration/people/<int:pk>/active/", teams.set_active, name="set_active"),
    path("administration/audit/", administration.audit_log, name="audit"),
    path("administration/audit/export/<slug:form>/", administration.export_audit, name="export_audit"),
]

urlpatterns = [
    path("login/", session.Login.as_view(), name="login"),
    path("logout/", session.Logout.as_view(), name="logout"),
    path("", include((_pages, "accounts"))),
]
