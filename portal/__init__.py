"""The Django project. User-side code (`sdk/atrium`) is shared with the portal, so every process finds it."""

import sys
from pathlib import Path

_SDK = str(Path(__file__).resolve().parent.parent / "sdk")
if _SDK not in sys.path:
    sys.path.append(_SDK)
