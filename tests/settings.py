"""The portal's settings for tests: a data folder of each test process, servers that they all share."""

import os

from portal.environment import ROOT, read

SHARED = read({"ATRIUM_DATA_DIR": str(ROOT / "var" / "test")})
os.environ["ATRIUM_DATA_DIR"] = str(SHARED.data_dir / f"p{os.getpid()}")
os.environ.pop("ATRIUM_RUN_DIR", None)
os.environ.setdefault("ATRIUM_SAMPLES", "0")
# No gateway answers there, also while somebody's portal runs on this machine's usual ports.
os.environ["ATRIUM_GATEWAY_PORT"] = "1"
os.environ.setdefault("ATRIUM_OIDC_URL", "http://127.0.0.1:9")
os.environ.setdefault("ATRIUM_OIDC_CLIENT", "atrium")
os.environ.setdefault("ATRIUM_OIDC_ROLES", "radio-devs=radio:developer,radio-devs=radio:qa")
os.environ.setdefault("DATABASE_URL", SHARED.database_url)
os.environ.setdefault("REDIS_URL", SHARED.redis_url)

from portal.settings import *  # noqa: E402, F403

# Names without content hashes: most tests collect no assets.
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405

# Tests log in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Test processes share one Valkey, and see nothing of each other there.
CACHES = {**CACHES, "default": {**CACHES["default"], "KEY_PREFIX": f"test-{os.getpid()}"}}  # noqa: F405

# Each test's client builds the middleware anew: looking through all static files for it would be half of a page's time.
WHITENOISE_AUTOREFRESH = True
