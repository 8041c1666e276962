"""People, where they work, and what they may be."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a person is in a team. `admin` anywhere is the platform's administrator."""

    CONSUMER = "consumer", _("Consumer")
    DEVELOPER = "developer", _("Developer")
    ANNOTATOR = "annotator", _("Annotator")
    QA = "qa", _("QA engineer")
    OPERATOR = "operator", _("Operator")
    ADMIN = "admin", _("Administrator")


class User(AbstractUser):
    """A person, or the owner of tokens that programs use."""

    class Theme(models.TextChoices):
        AUTO = "auto", _("As the system")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    language = models.CharField(_("language"), max_length=10, default="en", choices=settings.LANGUAGES)
    theme = models.CharField(_("theme"), max_length=5, choices=Theme.choices, default=Theme.AUTO)
    time_zone = models.CharField(_("time zone"), max_length=50, default="UTC")
    looks = models.JSONField(
        default=dict, blank=True, editable=False, help_text=_("How the person looks at lists: {list: look}.")
    )
    verified_email = models.EmailField(
        blank=True,
        editable=False,
        help_text=_("The address that was proven: by an invitation, or by single sign-on."),
    )
    sample = models.BooleanField(default=False, editable=False, help_text=_("Made with the sample content."))

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")

    @property
    def called(self) -> str:
        """What others read where this person is meant: the full name, else the account."""
        return self.get_full_name() or self.username

    @property
    def zone(self) -> ZoneInfo:
        """Where the person's clock is; UTC where nobody knows the place."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")


class Site(models.Model):
    """A place with machines of its own: the centre, or a province's edge."""

    class Kind(models.TextChoices):
        CENTRE = "centre", _("Centre")
        PROVINCE = "province", _("Province")

    slug = models.SlugField(_("short name"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.PROVINCE)
    archived_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("site")
        verbose_name_plural = _("sites")

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    """People who own things together, at one site."""

    slug = models.SlugField(_("short name"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="teams", verbose_name=_("site"))
    owner = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("owner")
    )
    archived_at = models.DateTimeField(null=True, editable=False)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="teams"
    )

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person holds a role in a team; several rows for several roles."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["user", "team", "role"], name="membership_once")]


class PersonalToken(models.Model):
    """A person's key to the REST API. Only its SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    job_id = models.BigIntegerField(
        null=True, editable=False, help_text="Set for a token that one job carries."
    )

    class Meta:
        verbose_name = _("personal token")
        verbose_name_plural = _("personal tokens")


class Invitation(models.Model):
    """An address is asked into a team with these roles. Only the SHA-256 of the link's secret is kept."""

    email = models.EmailField(_("e-mail address"))
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, related_name="invitations", verbose_name=_("team")
    )
    roles = ArrayField(models.CharField(max_length=10, choices=Role.choices), verbose_name=_("roles"))
    language = models.CharField(_("language"), max_length=10, default="en", choices=settings.LANGUAGES)
    digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                "team",
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="invitation_open_once",
            )
        ]

    @property
    def state(self) -> str:
        """accepted, revoked, expired or open."""
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= timezone.now() else "open"

    @property
    def role_names(self) -> list[str]:
        """The roles in the reader's language."""
        return [str(Role(role).label) for role in self.roles]
