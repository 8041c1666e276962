"""Secrets: made here, stored as SHA-256 when only compared, encrypted when they must be read again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as _secrets

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.translation import gettext as _

from apps.core.errors import Unavailable


def new(prefix: str) -> tuple[str, str]:
    """A fresh secret of 256 bits as `<prefix>_<text>`, and its SHA-256 in hex, which is what gets stored."""
    secret = f"{prefix}_{_secrets.token_urlsafe(32)}"
    return secret, digest(secret)


def digest(secret: str) -> str:
    """SHA-256 in hex. Enough for secrets of 256 random bits; never for passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


def derived(purpose: str) -> str:
    """A secret that can be made again at need from the portal's key and a purpose."""
    key = settings.SECRET_KEY.encode()
    return base64.urlsafe_b64encode(hmac.digest(key, purpose.encode(), "sha256")).decode().rstrip("=")


def _fernet() -> Fernet:
    return Fernet(settings.ATRIUM.encryption_key)


def encrypt(text: str) -> str:
    """Encrypt a text with the portal's encryption key (Fernet: AES-128-CBC with HMAC-SHA256)."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Read what `encrypt` wrote. Raises Unavailable when the key is another one now."""
    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Unavailable(_("A stored secret cannot be read with the present encryption key.")) from error
