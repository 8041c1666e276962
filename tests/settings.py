"""The portal's settings for tests: a data folder of their own, so that tests never touch a portal's data."""

import os
from pathlib import Path

os.environ.setdefault("ATRIUM_DATA_DIR", str(Path(__file__).resolve().parent.parent / "var" / "test"))
os.environ.setdefault("ATRIUM_SAMPLES", "0")

from portal.settings import *  # noqa: F403

# Names without content hashes: most tests collect no assets.
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405

# Tests log in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Test processes share one Valkey, and see nothing of each other there.
CACHES = {"default": {**CACHES["default"], "KEY_PREFIX": f"test-{os.getpid()}"}}  # noqa: F405
