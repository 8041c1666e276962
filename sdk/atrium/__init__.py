"""Atrium for people's code: jobs, notebooks and clients.

import atrium
atrium.progress(0.4, "training")                 # in a job: shown on its page
table = atrium.dataset("digits")                 # a mounted data set
atrium.register(model, name="digits", version="1.1.0", signature=…)   # a version of a capability
atrium.Client("digits").infer({"image": pixels})  # call a capability
"""

from atrium.logged import log
from atrium.saving import save_model
from atrium.work import inputs, outputs, params, progress, result

__version__ = "0.1.0"

__all__ = ["inputs", "log", "outputs", "params", "progress", "result", "save_model"]
