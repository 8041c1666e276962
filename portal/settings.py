"""Django's settings. What the outside can change stands, typed and documented, in `portal.environment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.environment import load

BASE_DIR = Path(__file__).resolve().parent.parent
ATRIUM = load()

SECRET_KEY = ATRIUM.secret_key
DEBUG = ATRIUM.debug
ALLOWED_HOSTS = [*ATRIUM.allowed_hosts, ".portal.localhost"]
CSRF_TRUSTED_ORIGINS = [ATRIUM.web_url]

INSTALLED_APPS = [
    "portal",
    "apps.core",
    "apps.accounts",
    "apps.requests",
    "apps.compute",
    "apps.datasets",
    "apps.catalog",
    "apps.instances",
    "apps.gateway",
    "apps.workbench",
    "apps.store",
    "apps.evaluation",
    "apps.releases",
    "apps.experiments",
    "apps.annotation",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "guardian",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "channels",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "apps.core.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.core.middleware.CompressionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.accounts.middleware.PreferencesMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.core.middleware.TextsMiddleware",
    "apps.core.middleware.ErrorsMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
ASGI_APPLICATION = "portal.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.requests.context.shell",
            ],
        },
    }
]

FORM_RENDERER = "apps.core.forms.FormRenderer"

DATABASES = {
    "default": {
        **ATRIUM.database,
        "CONN_MAX_AGE": 300,  # a new backend reads the catalogue anew: each minute, that was most of what it did
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        "TEST": {"NAME": "atrium_test"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

FORMAT_MODULE_PATH = ["portal.formats"]

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ATRIUM.redis_url},
    # What a process may remember for some seconds, also while Valkey is away.
    "process": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [ATRIUM.redis_url]},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None
if ATRIUM.oidc_url:
    INSTALLED_APPS += [
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ]
    MIDDLEWARE.insert(-1, "allauth.account.middleware.AccountMiddleware")
ACCOUNT_ADAPTER = "apps.accounts.single_sign_on.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_ADAPTER = "apps.accounts.single_sign_on.Adapter"
SOCIALACCOUNT_LOGIN_ON_GET = (
    True  # a form's redirect to the provider would need form-action for a foreign host
)
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": ATRIUM.oidc_name,
                "client_id": ATRIUM.oidc_client,
                "secret": ATRIUM.oidc_secret,
                "settings": {"server_url": ATRIUM.oidc_url},
            }
        ],
    }
}
SOCIALACCOUNT_OPENID_CONNECT_URL_PREFIX = ""
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = ATRIUM.web_url.startswith("https:")
# Cookies know no ports: two portals on one machine would log each other's people out.
_PORTAL = "" if ATRIUM.web_port == 8000 else f"_{ATRIUM.web_port}"
SESSION_COOKIE_NAME = f"atrium_session{_PORTAL}"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"atrium_csrf{_PORTAL}"
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 10_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static"  # made from the checkout alone, so its instances share it
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "portal.assets.VendorFinder",
]
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.assets.Storage"},
    "objects": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": ATRIUM.data_dir / "objects", "base_url": None},
    },
}

globals().update(ATRIUM.email)  # EMAIL_BACKEND and what it needs
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ATRIUM.email_from

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "apps.core.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "apps.core.api.KeysetPagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.api.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Atrium",
    "DESCRIPTION": "Everything that can be clicked in the portal, under the same rules.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "DEFAULT_GENERATOR_CLASS": "apps.core.schema.RememberedSchema",
    "ENUM_NAME_OVERRIDES": {  # where several fields of one name have different choices, or one has several names
        "CapabilityStatusEnum": "apps.catalog.models.Capability.Status",
        "CapabilityVisibilityEnum": "apps.catalog.models.Capability.Visibility",
        "DatasetVisibilityEnum": "apps.datasets.models.Dataset.Visibility",
        "DeploymentKindEnum": "apps.instances.models.Deployment.Kind",
        "ExperimentMeasureEnum": "apps.experiments.models.Experiment.Measure",
        "PlanStatusEnum": "apps.store.models.Plan.Status",
        "ProjectStatusEnum": "apps.annotation.models.Project.Status",
        "RecipeVisibilityEnum": "apps.workbench.models.Recipe.Visibility",
        "RequestStatusEnum": "apps.requests.models.Request.Status",
        "RoleEnum": "apps.accounts.models.Role",
        "RuleKindEnum": "apps.annotation.models.PullRule.Kind",
        "SiteKindEnum": "apps.accounts.models.Site.Kind",
        "SweepMethodEnum": "apps.workbench.models.Sweep.Method",
        "TransferStatusEnum": "apps.annotation.models.Transfer.Status",
    },
}

CELERY_BROKER_URL = ATRIUM.broker_url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "queue_order_strategy": "priority",
    "priority_steps": [0, 3, 6, 9],
    "sep": ":",
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"celery": {"level": "WARNING"}, "django.channels": {"level": "WARNING"}},
}
