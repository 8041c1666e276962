"""Atrium for people's code: jobs, notebooks and clients.

import atrium
atrium.progress(0.4, "training")                  # in a job: shown on its page
atrium.report(epoch, f1=0.8)                      # in a job: its curve; a sweep ends trials that fall behind
table = atrium.dataset("digits")                  # a mounted data set
version = atrium.register(model, name="digits", signature=…)          # a version of a capability
atrium.deploy(version).infer({"image": pixels})   # run it for tests, and ask it
atrium.Client("digits").infer({"image": pixels})  # call a capability
"""

import importlib
from typing import TYPE_CHECKING, Any

from atrium.logged import log, parameters
from atrium.work import base_model, inputs, outputs, params, progress, report, result

if TYPE_CHECKING:
    from atrium.client import AsyncClient, Client
    from atrium.data import dataset, dataset_path
    from atrium.deploying import deploy
    from atrium.portal import Portal, register, submit
    from atrium.saving import save_model

__version__ = "0.1.0"

# Loaded when they are first used: a runner or a job that only reports progress needs none of them.
_LATER = {
    "AsyncClient": "atrium.client",
    "Client": "atrium.client",
    "Portal": "atrium.portal",
    "dataset": "atrium.data",
    "dataset_path": "atrium.data",
    "deploy": "atrium.deploying",
    "register": "atrium.portal",
    "save_model": "atrium.saving",
    "submit": "atrium.portal",
}

__all__ = [
    "AsyncClient",
    "Client",
    "Portal",
    "base_model",
    "dataset",
    "dataset_path",
    "deploy",
    "inputs",
    "log",
    "outputs",
    "parameters",
    "params",
    "progress",
    "register",
    "report",
    "result",
    "save_model",
    "submit",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'atrium' has no attribute {name!r}")
