"""What a workspace's server is started with: its folders, its Jupyter configuration, its workload."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from apps.compute import environments
from apps.compute.engines.base import DOOR, PORT_SOCKET, SDK, WORK, Mount, Resources, Workload
from apps.workbench import files, mounted
from apps.workbench.identity import key_of

if TYPE_CHECKING:
    from apps.workbench.models import Size, Workspace

WELCOME = Path(__file__).parent / "welcome"
CONFIG = "/etc/atrium"
START = "start.json"
"""For what a spare server waits there: the variables of its environment that are its workspace's."""
_UNWANTED = ("@jupyterlab/apputils-extension:announcements", "@jupyter/collaboration-extension:shared-link")
_HISTORY_KEPT_S = 86_400
DOCUMENTS = ".jupyter/documents.db"
"""Where the server keeps the changes of open documents, below the home."""
_RUNTIME = "/tmp/jupyter"  # noqa: S108 - a file system of the sandbox's own
_KEEPER = ("python", "-I", "-S", f"{SDK}/atrium/keeper.py")
_SOCKET_PING_MS = 30_000
_OUTPUT_BYTES_PER_S = 50e6


def folder_of(workspace: Workspace) -> Path:
    """Where a workspace's files and configuration lie."""
    root: Path = settings.ATRIUM.data_dir / "workspaces" / str(workspace.pk)
    return root


def home_of(workspace: Workspace) -> Path:
    """The files that stay; /work inside."""
    return folder_of(workspace) / "home"


def lay_out(workspace: Workspace) -> None:
    """Make the workspace's folders: a first start finds the welcome notebook, every start a fresh configuration."""
    fill_home(workspace)
    write_configuration(folder_of(workspace) / "etc", workspace.workload_id)


def fill_home(workspace: Workspace) -> None:
    """Make the files of a workspace that has none yet."""
    home = home_of(workspace)
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        _fill(home, workspace.cloned_from)


def write_configuration(config: Path, workload_id: str) -> None:
    """Write what is /etc/atrium in a server's sandbox: Jupyter's configuration, and the key that tells who comes."""
    (config / "labconfig").mkdir(parents=True, exist_ok=True)
    (config / "identity.key").write_text(key_of(workload_id), encoding="utf-8")
    for name, content in {
        "jupyter_server_config.json": _server_config(),
        "jupyter_lab_config.json": _lab_config(),
        "labconfig/page_config.json": {
            "disabledExtensions": dict.fromkeys(_UNWANTED, True),
            "atriumPortal": settings.ATRIUM.web_url,
        },
    }.items():
        (config / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _fill(home: Path, source: Workspace | None) -> None:
    """Make the files of a new workspace, all or none: those of the one that it is a copy of, else the welcome."""
    part = home.with_name("home.part")
    shutil.rmtree(part, ignore_errors=True)
    if source is None:
        shutil.copytree(WELCOME, part, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    else:
        files.copy(home_of(source), part)
    part.rename(home)


def _server_config() -> dict[str, Any]:
    policy = f"frame-ancestors 'self' {settings.ATRIUM.web_url}"
    return {
        "ServerApp": {
            "sock": PORT_SOCKET,
            "sock_mode": "0600",
            "root_dir": WORK,
            "open_browser": False,
            "jpserver_extensions": {
                "jupyter_lsp": False,
                "notebook_shim": False,
                "atrium.jupyter_pages": True,
            },
            "allow_remote_access": True,
            "allow_unauthenticated_access": False,
            "contents_manager_class": "atrium.contents.Contents",
            "identity_provider_class": "atrium.jupyter_auth.PortalIdentityProvider",
            "authorizer_class": "atrium.jupyter_auth.PortalAuthorizer",
            "tornado_settings": {
                "headers": {"Content-Security-Policy": policy},
                "ws_ping_interval": _SOCKET_PING_MS,
            },
        },
        "PortalIdentityProvider": {"key_file": f"{CONFIG}/identity.key"},
        "ZMQChannelsWebsocketConnection": {"iopub_data_rate_limit": _OUTPUT_BYTES_PER_S},
        "FileContentsManager": {"delete_to_trash": False},
        # A document stays in the server when the last browser leaves: cells that still run write into it.
        "YDocExtension": {
            "document_cleanup_delay": None,
            "ystore_class": "atrium.lasting.DocumentStore",
        },
        # Kernels and shells outlive a killed server, and the next one knows which notebook each kernel belongs to.
        "AsyncMappingKernelManager": {"kernel_manager_class": "atrium.lasting.LastingKernelManager"},
        "TerminalsExtensionApp": {"terminal_manager_class": "atrium.terminals.LastingTerminals"},
        "SessionManager": {"database_filepath": f"{_RUNTIME}/sessions.db"},
        "BaseFileIdManager": {"db_path": f"{WORK}/.jupyter/files.db"},
        "SQLiteYStore": {"db_path": f"{WORK}/{DOCUMENTS}", "squash_after_inactivity_of": _HISTORY_KEPT_S},
        **_lab_config(),
    }


def _lab_config() -> dict[str, Any]:
    return {
        "LabApp": {
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "extension_manager": "readonly",
            "extra_labextensions_path": [f"{SDK}/atrium/labextension"],
        }
    }


def workload_of(workspace: Workspace, token: str) -> Workload:
    """The server as a workload. `token` lets the owner's code reach the portal through the network door."""
    data = mounted.mounts_of(workspace, workspace.owner) if workspace.owner_id else ()
    return _server(
        workspace.workload_id,
        [*_KEEPER, "jupyterlab"],
        workspace.size,
        workspace.environment,
        [Mount(home_of(workspace), WORK, readonly=False), Mount(folder_of(workspace) / "etc", CONFIG), *data],
        variables_of(workspace, token),
    )


def spare_workload(workload_id: str, folder: Path, size: Size, environment: str) -> Workload:
    """A server that loads its code and waits for `START` in its configuration's folder."""
    mounts = [Mount(folder / "home", WORK, readonly=False), Mount(folder / "etc", CONFIG)]
    return _server(workload_id, [*_KEEPER, "atrium.spare"], size, environment, mounts, {})


def _server(
    workload_id: str,
    argv: list[str],
    size: Size,
    environment: str,
    mounts: list[Mount],
    variables: dict[str, str],
) -> Workload:
    return Workload(
        id=workload_id,
        argv=argv,
        environment=environments.path(environment),
        resources=Resources(cpu=size.cpu, memory_mb=size.memory_mb, gpu=size.gpu, disk_mb=size.disk_mb),
        at_quota="freeze",
        mounts=mounts,
        port=True,
        restart="on-failure",
        env={**variables, **mounted.ENVIRONMENT, **_jupyter_environment()},
        network="forwarder",
    )


def variables_of(workspace: Workspace, token: str) -> dict[str, str]:
    """The part of the server's environment that is its owner's."""
    team = {"ATRIUM_TEAM": workspace.team.slug} if workspace.team_id else {}
    return {**door_environment(token), **team, **_author_of(workspace)}


def door_environment(token: str) -> dict[str, str]:
    """What user code finds set, so that `atrium` and MLflow's client reach the portal by themselves."""
    door = {"ATRIUM_URL": DOOR, "ATRIUM_TOKEN": token, "ATRIUM_GATEWAY_URL": DOOR}
    door["ATRIUM_PAGES"] = settings.ATRIUM.web_url
    if not settings.ATRIUM.mlflow:
        # Without a tracker, runs are noted down in the workload's own files, so that the same code works.
        return door | {"MLFLOW_TRACKING_URI": f"file://{WORK}/mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}
    # Code that names no experiment would ask for number 0, which only MLflow's default workspace has.
    tracker = {"MLFLOW_TRACKING_URI": f"{DOOR}/mlflow", "MLFLOW_EXPERIMENT_NAME": "Default"}
    # The address that its client prints at a run's end is the sandbox's own, which no browser reaches.
    tracker["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    return door | tracker | {"MLFLOW_TRACKING_TOKEN": token}


def _author_of(workspace: Workspace) -> dict[str, str]:
    """Who commits in the workspace's repository, for git."""
    if workspace.owner_id is None:
        return {}
    owner = workspace.owner
    name, mail = owner.get_full_name() or owner.username, owner.email or f"{owner.username}@atrium.invalid"
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_COMMITTER_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_EMAIL": mail,
    }


def _jupyter_environment() -> dict[str, str]:
    return {
        "JUPYTER_CONFIG_PATH": CONFIG,
        "JUPYTER_RUNTIME_DIR": _RUNTIME,
        "JUPYTERLAB_WORKSPACES_DIR": f"{WORK}/.jupyter/lab/workspaces",
        "JUPYTERLAB_SETTINGS_DIR": f"{WORK}/.jupyter/lab/user-settings",
    }
