"""Everything that the outside can set, typed, in one place: environment variables and the secrets file.

Needs neither Django nor a running server, so that the supervisor, scripts and tests read the same values.
A wrong value stops the start with one line that names the variable.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import ipaddress
import json
import os
import secrets
from dataclasses import dataclass, field, fields
from email.utils import parseaddr
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from apps.compute.egress import Rule
from portal.samples import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent

#: A unix socket's path must stay under 107 bytes; what we put below the run folder needs up to 50 of them.
LONGEST_RUN_DIR = 50

PORTAL_HOST = "portal.localhost"

#: The names of accounts' roles, which cannot be imported without Django; a test compares them.
ROLES = ("consumer", "developer", "annotator", "qa", "operator", "admin")


class WrongSetting(SystemExit):
    """A value from outside cannot be used. Uncaught, it ends the process with its one line, exit code 1."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the portal made for itself at its first start: `<data_dir>/secrets.json`, mode 0600."""

    secret_key: str = field(repr=False)
    encryption_key: str = field(repr=False)
    gateway_token: str = field(repr=False)
    database_password: str = field(repr=False)
    redis_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """The settings of this instance. The name of the variable is given with each field."""

    data_dir: Path
    """ATRIUM_DATA_DIR: where everything that runs leaves its data. Default: `var` in the checkout."""

    run_dir: Path
    """ATRIUM_RUN_DIR: sockets and process records. Default: `<data_dir>/run`, or a short folder under /tmp
    when that path would be too long for a unix socket."""

    bind: str
    """ATRIUM_BIND: the address that web, live and gateway listen on. Default: 127.0.0.1."""

    web_port: int
    """ATRIUM_WEB_PORT: pages and REST. Default: 8000."""

    live_port: int
    """ATRIUM_LIVE_PORT: websockets and workspaces. Default: 8001."""

    gateway_port: int
    """ATRIUM_GATEWAY_PORT: inference. Default: 8080."""

    web_url: str
    """ATRIUM_WEB_URL: how people reach the portal. Default: http://portal.localhost:<web_port>."""

    live_url: str
    """ATRIUM_LIVE_URL: how browsers reach the live process. Default: http://portal.localhost:<live_port>."""

    gateway_url: str
    """ATRIUM_GATEWAY_URL: how callers reach the gateway. Default: http://127.0.0.1:<gateway_port>."""

    allowed_hosts: tuple[str, ...]
    """ATRIUM_ALLOWED_HOSTS: further host names of the portal, comma separated. The hosts of the three
    addresses above and the loopback names are always allowed."""

    samples: bool
    """ATRIUM_SAMPLES: 1 makes the sample accounts and capabilities, 0 leaves them out. Default: 1."""

    sample_capabilities: tuple[str, ...]
    """ATRIUM_SAMPLE_CAPABILITIES: which of the sample capabilities, comma separated. Default: all of them."""

    mlflow: bool
    """ATRIUM_MLFLOW: 0 leaves the experiment tracker out, which takes 450 MB. Default: 1."""

    debug: bool
    """ATRIUM_DEBUG: 1 shows Django's own error pages. Default: 0."""

    system_packages: bool
    """ATRIUM_SYSTEM_PACKAGES: 0 forbids `make up` and `make test` to install system packages."""

    allow_weak_sandbox: bool
    """ATRIUM_ALLOW_WEAK_SANDBOX: 1 lets people's code run where the sandbox does not hold it. Default: 0."""

    node_cpu: int
    """ATRIUM_NODE_CPU: processor cores to give to workloads. Default: 0, which is four shares per core."""

    node_memory_mb: int
    """ATRIUM_NODE_MEMORY_MB: memory to give to workloads. Default: 0, which is three quarters of it."""

    node_name: str
    """ATRIUM_NODE_NAME: what this machine is called in the list of nodes. Default: its host name."""

    jobs_only: bool
    """ATRIUM_JOBS_ONLY: 1 where another portal with the same database keeps workspaces, served models and all else;
    this one then takes jobs alone and makes no samples. Default: 0."""

    package_hosts: tuple[str, ...] | None
    """ATRIUM_PACKAGE_HOSTS: hosts that sandboxes may reach besides those that an administrator adds, comma
    separated (host, host:port, *.domain), or `none`. Default: those that this machine's own pip, npm and git use."""

    spare_workspaces: int
    """ATRIUM_SPARE_WORKSPACES: warm Jupyter servers that wait for somebody to start a workspace; 130 MB each.
    Default: 1."""

    web_threads: int
    """ATRIUM_WEB_THREADS: pages answered at the same time by one web process. Default: 8."""

    worker_threads: int
    """ATRIUM_WORKER_THREADS: background tasks at the same time in one worker. Default: 4."""

    gateway_processes: int
    """ATRIUM_GATEWAY_PROCESSES: data plane processes that share the gateway's port. Default: one per core."""

    gateway_fsync: bool
    """ATRIUM_GATEWAY_FSYNC: 1 answers a call once its record is on the disk, 0 writes it to the disk within 50 ms: then
    a kill loses nothing, a power cut the last 50 ms. Default: 0."""

    gateway_payload_kb: int
    """ATRIUM_GATEWAY_PAYLOAD_KB: bodies of calls above this are kept as files, unless the plan says otherwise.
    Default: 256."""

    gateway_body_mb: int
    """ATRIUM_GATEWAY_BODY_MB: larger requests are refused with 413. Default: 32."""

    gateway_call_seconds: int
    """ATRIUM_GATEWAY_CALL_SECONDS: so long a model may take for one call. Default: 30."""

    gateway_queue: int
    """ATRIUM_GATEWAY_QUEUE: calls at the same time for one replica; above that 503 says to come again. Default: 256."""

    email_url: str = field(repr=False)
    """ATRIUM_EMAIL_URL: smtp://user:password@host:port, smtps:// (TLS from the first byte) or smtp+tls:// (STARTTLS).
    Default: letters are written to `<data_dir>/mail`, where an administrator can read them."""

    email_from: str
    """ATRIUM_EMAIL_FROM: the sender of letters. Default: Atrium <atrium@localhost>."""

    oidc_url: str
    """ATRIUM_OIDC_URL: the issuer of an OpenID Connect provider; switches single sign-on on. Default: off."""

    oidc_client: str
    """ATRIUM_OIDC_CLIENT: what the provider knows the portal by. Its redirect address is
    `<web_url>/sso/oidc/login/callback/`."""

    oidc_secret: str = field(repr=False)
    """ATRIUM_OIDC_SECRET: the client's secret; empty for a public client (PKCE is always used)."""

    oidc_name: str
    """ATRIUM_OIDC_NAME: the words on the login page's button. Default: Single sign-on."""

    oidc_new_people: bool
    """ATRIUM_OIDC_NEW_PEOPLE: 1 makes a person of everybody whom the provider lets through; 0 lets in only those with
    an account or an accepted invitation. Default: 0."""

    oidc_claim: str
    """ATRIUM_OIDC_CLAIM: the claim that lists a person's groups. Default: groups."""

    oidc_roles: dict[str, tuple[tuple[str, str], ...]]
    """ATRIUM_OIDC_ROLES: `group=team:role` pairs, comma separated; one group may stand in several. Default: none."""

    database_url: str = field(repr=False)
    """DATABASE_URL: postgresql://user:password@host:port/name. Default: the embedded PostgreSQL's socket."""

    redis_url: str = field(repr=False)
    """REDIS_URL: redis://… or unix://…, as redis-py reads it. Default: the embedded Valkey's socket."""

    embedded_database: bool
    """True when DATABASE_URL is not set, so that the supervisor runs PostgreSQL itself."""

    embedded_redis: bool
    """True when REDIS_URL is not set, so that the supervisor runs Valkey itself."""

    secret_key: str = field(repr=False)
    """ATRIUM_SECRET_KEY: Django's signing key. Default: made at the first start."""

    encryption_key: str = field(repr=False)
    """ATRIUM_ENCRYPTION_KEY: 32 bytes in URL-safe base64; wraps the data keys. Default: made."""

    gateway_token: str = field(repr=False)
    """ATRIUM_GATEWAY_TOKEN: what a gateway shows the live process to read routes and keys. Default: made."""

    database_password: str = field(repr=False)
    """The embedded PostgreSQL's password; only in secrets.json."""

    redis_password: str = field(repr=False)
    """The embedded Valkey's password; only in secrets.json."""

    @property
    def log_dir(self) -> Path:
        """Each process writes to `<log_dir>/<process>.log`."""
        return self.data_dir / "log"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the portal."""
        return ipaddress.ip_address(self.bind).is_loopback

    @property
    def environments_dir(self) -> Path:
        """The built environments of workloads; made from the checkout alone, so its instances share them."""
        return ROOT / "var" / "environments"

    @property
    def postgres_dir(self) -> Path:
        """The folder of the embedded PostgreSQL's socket."""
        return self.run_dir / "pg"

    @property
    def valkey_socket(self) -> Path:
        """The embedded Valkey's socket."""
        return self.run_dir / "valkey.sock"

    @property
    def fork_socket(self) -> Path:
        """Where the supervisor asks for its processes."""
        return self.run_dir / "fork.sock"

    @property
    def broker_url(self) -> str:
        """`redis_url` as Celery spells it: a unix socket is `redis+socket://`."""
        if not self.redis_url.startswith("unix://"):
            return self.redis_url
        parts = urlsplit(self.redis_url)
        query = dict(parse_qsl(parts.query))
        credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"redis+socket://{credentials}{parts.path}?virtual_host={query.get('db', '0')}"

    @property
    def email(self) -> dict[str, Any]:
        """`email_url` as Django's EMAIL_… settings."""
        if not self.email_url:
            return {
                "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
                "EMAIL_FILE_PATH": self.data_dir / "mail",
            }
        parts = urlsplit(self.email_url)
        ports = {"smtp": 25, "smtps": 465, "smtp+tls": 587}
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname or "localhost",
            "EMAIL_PORT": parts.port or ports[parts.scheme],
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_SSL": parts.scheme == "smtps",
            "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
            "EMAIL_TIMEOUT": 20,
        }

    @property
    def database(self) -> dict[str, Any]:
        """`database_url` as an entry of Django's DATABASES."""
        return _django_database(self.database_url)

    def make_directories(self) -> None:
        """Make the data and run folders, closed to other users of the machine."""
        for folder in (self.data_dir, self.log_dir, self.run_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = self.run_dir.lstat().st_uid
        if owner != os.getuid():
            raise WrongSetting(
                f"ATRIUM_RUN_DIR: {self.run_dir} belongs to user {owner}; set it to a folder of your own."
            )


@lru_cache(maxsize=1)
def load() -> Environment:
    """The settings of this process, read once."""
    return read(os.environ)


def read(env: Mapping[str, str]) -> Environment:
    """Build the settings from `env`; makes the secrets file when there is none yet. Raises WrongSetting."""
    _refuse_misspelt(env)
    data_dir = Path(env.get("ATRIUM_DATA_DIR") or ROOT / "var").expanduser().resolve()
    run_dir = _run_dir(env, data_dir)
    ports = _ports(env)
    jobs_only = _flag(env, "ATRIUM_JOBS_ONLY", default=False)
    bind, samples = _bind(env), _flag(env, "ATRIUM_SAMPLES", default=not jobs_only)
    if samples and not ipaddress.ip_address(bind).is_loopback:
        raise WrongSetting(
            f"ATRIUM_BIND={bind} would offer the sample accounts, whose password is public, to the network; "
            "set ATRIUM_SAMPLES=0 or bind to 127.0.0.1."
        )
    made = read_secrets(data_dir)
    urls = {
        "ATRIUM_WEB_URL": f"http://{PORTAL_HOST}:{ports['ATRIUM_WEB_PORT']}",
        "ATRIUM_LIVE_URL": f"http://{PORTAL_HOST}:{ports['ATRIUM_LIVE_PORT']}",
        "ATRIUM_GATEWAY_URL": f"http://127.0.0.1:{ports['ATRIUM_GATEWAY_PORT']}",
    }
    urls = {name: _http_url(env, name, default) for name, default in urls.items()}
    return Environment(
        data_dir=data_dir,
        run_dir=run_dir,
        bind=bind,
        web_port=ports["ATRIUM_WEB_PORT"],
        live_port=ports["ATRIUM_LIVE_PORT"],
        gateway_port=ports["ATRIUM_GATEWAY_PORT"],
        web_url=urls["ATRIUM_WEB_URL"],
        live_url=urls["ATRIUM_LIVE_URL"],
        gateway_url=urls["ATRIUM_GATEWAY_URL"],
        allowed_hosts=_hosts(env, list(urls.values())),
        samples=samples,
        sample_capabilities=_names(env, "ATRIUM_SAMPLE_CAPABILITIES", CAPABILITIES),
        mlflow=_flag(env, "ATRIUM_MLFLOW", default=True),
        debug=_flag(env, "ATRIUM_DEBUG", default=False),
        system_packages=_flag(env, "ATRIUM_SYSTEM_PACKAGES", default=True),
        allow_weak_sandbox=_flag(env, "ATRIUM_ALLOW_WEAK_SANDBOX", default=False),
        node_cpu=_number(env, "ATRIUM_NODE_CPU", 0, least=0, most=4096),
        node_memory_mb=_number(env, "ATRIUM_NODE_MEMORY_MB", 0, least=0, most=10**8),
        node_name=env.get("ATRIUM_NODE_NAME", "").strip()[:100],
        jobs_only=jobs_only,
        package_hosts=_package_hosts(env),
        spare_workspaces=_number(env, "ATRIUM_SPARE_WORKSPACES", 1, least=0, most=16),
        web_threads=_number(env, "ATRIUM_WEB_THREADS", 8, least=1, most=256),
        worker_threads=_number(env, "ATRIUM_WORKER_THREADS", 4, least=1, most=256),
        gateway_processes=_number(env, "ATRIUM_GATEWAY_PROCESSES", os.cpu_count() or 1, least=1, most=256),
        gateway_fsync=_flag(env, "ATRIUM_GATEWAY_FSYNC", default=False),
        gateway_payload_kb=_number(env, "ATRIUM_GATEWAY_PAYLOAD_KB", 256, least=0, most=1 << 20),
        gateway_body_mb=_number(env, "ATRIUM_GATEWAY_BODY_MB", 32, least=1, most=1 << 10),
        gateway_call_seconds=_number(env, "ATRIUM_GATEWAY_CALL_SECONDS", 30, least=1, most=3600),
        gateway_queue=_number(env, "ATRIUM_GATEWAY_QUEUE", 256, least=1, most=100_000),
        email_url=_url(env, "ATRIUM_EMAIL_URL", "smtp", "smtps", "smtp+tls"),
        email_from=_sender(env),
        oidc_url=_url(env, "ATRIUM_OIDC_URL", "https", "http").rstrip("/"),
        oidc_client=_oidc_client(env),
        oidc_secret=env.get("ATRIUM_OIDC_SECRET") or "",
        oidc_name=env.get("ATRIUM_OIDC_NAME") or "Single sign-on",
        oidc_new_people=_flag(env, "ATRIUM_OIDC_NEW_PEOPLE", default=False),
        oidc_claim=env.get("ATRIUM_OIDC_CLAIM") or "groups",
        oidc_roles=_oidc_roles(env),
        database_url=_url(env, "DATABASE_URL", "postgresql", "postgres") or _embedded_database(made, run_dir),
        redis_url=_url(env, "REDIS_URL", "redis", "rediss", "unix") or _embedded_redis(made, run_dir),
        embedded_database=not env.get("DATABASE_URL"),
        embedded_redis=not env.get("REDIS_URL"),
        secret_key=env.get("ATRIUM_SECRET_KEY") or made.secret_key,
        encryption_key=_encryption_key(env, made.encryption_key),
        gateway_token=env.get("ATRIUM_GATEWAY_TOKEN") or made.gateway_token,
        database_password=made.database_password,
        redis_password=made.redis_password,
    )


def read_secrets(data_dir: Path) -> Secrets:
    """The instance's own secrets; whoever asks first makes them, and everybody gets the same ones."""
    path = data_dir / "secrets.json"
    try:
        _make_secrets(path)
        return Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise WrongSetting(f"ATRIUM_DATA_DIR={data_dir} cannot be used: {error}.") from error
    except (ValueError, TypeError) as error:
        raise WrongSetting(
            f"{path} is damaged ({error}); put it back from a backup: without it the data cannot be read."
        ) from error


def _make_secrets(path: Path) -> None:
    """Write a complete file and link it into place: the first process wins, nobody reads half a file."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = {
        "secret_key": secrets.token_urlsafe(48),
        "encryption_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "gateway_token": secrets.token_urlsafe(32),
        "database_password": secrets.token_urlsafe(24),
        "redis_password": secrets.token_urlsafe(24),
    }
    mine = path.with_name(f".secrets.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(fresh, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(mine, path)
    except FileExistsError:
        pass  # another process was first; its secrets are the instance's
    finally:
        mine.unlink()


def _run_dir(env: Mapping[str, str], data_dir: Path) -> Path:
    """`<data_dir>/run`, or the same short folder for the same data folder every time."""
    near = data_dir / "run"
    if given := env.get("ATRIUM_RUN_DIR"):
        near = Path(given).expanduser().resolve()
        if len(bytes(near)) > LONGEST_RUN_DIR:
            raise WrongSetting(f"ATRIUM_RUN_DIR={near} is longer than {LONGEST_RUN_DIR} bytes.")
    if len(bytes(near)) <= LONGEST_RUN_DIR:
        return near
    digest = hashlib.sha256(bytes(data_dir)).hexdigest()[:10]
    # Not TMPDIR, which may differ between our processes; make_directories() checks whose folder it is.
    return Path("/tmp") / f"atrium-{os.getuid()}-{digest}"  # noqa: S108


def _embedded_database(made: Secrets, run_dir: Path) -> str:
    return f"postgresql://atrium:{quote(made.database_password)}@/atrium?host={quote(str(run_dir / 'pg'))}"


def _embedded_redis(made: Secrets, run_dir: Path) -> str:
    return f"unix://:{quote(made.redis_password)}@{quote(str(run_dir / 'valkey.sock'))}?db=0"


def _ports(env: Mapping[str, str]) -> dict[str, int]:
    defaults = {"ATRIUM_WEB_PORT": 8000, "ATRIUM_LIVE_PORT": 8001, "ATRIUM_GATEWAY_PORT": 8080}
    ports = {name: _number(env, name, default, least=1, most=65535) for name, default in defaults.items()}
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            raise WrongSetting(f"{name}={port} is also {seen[port]}; each process needs a port of its own.")
        seen[port] = name
    return ports


def _package_hosts(env: Mapping[str, str]) -> tuple[str, ...] | None:
    value = env.get("ATRIUM_PACKAGE_HOSTS", "").strip()
    if not value:
        return None
    entries = [] if value == "none" else [part for part in value.split(",") if part.strip()]
    try:
        return tuple(str(Rule.parse(part)) for part in entries)
    except ValueError as error:
        raise WrongSetting(f"ATRIUM_PACKAGE_HOSTS: {error}.") from error


def _bind(env: Mapping[str, str]) -> str:
    value = env.get("ATRIUM_BIND") or "127.0.0.1"
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise WrongSetting(f"ATRIUM_BIND={value} is not an IP address; say 127.0.0.1 or 0.0.0.0.") from error


def _number(env: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise WrongSetting(f"{name}={text} is not a number from {least} to {most}.")
    return int(text)


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = env.get(name) or ("1" if default else "0")
    if text not in ("0", "1"):
        raise WrongSetting(f"{name}={text} is neither 0 nor 1.")
    return text == "1"


def _refuse_misspelt(env: Mapping[str, str]) -> None:
    """A name that is almost that of a setting would change nothing, without a word."""
    known = {f"ATRIUM_{field.name.upper()}" for field in fields(Environment)}
    for name in env:
        if not name.startswith("ATRIUM_") or name in known or not env[name]:
            continue
        letters = sorted(name.replace("_", ""))  # exchanged ones are the same letters
        close = {each for each in known if sorted(each.replace("_", "")) == letters}
        close |= set(difflib.get_close_matches(name, known, n=1, cutoff=0.95))
        if close:
            raise WrongSetting(f"{name} is no setting; write {min(close)}.")


def _names(env: Mapping[str, str], name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Some of the known names, between commas; all of them when nothing is set."""
    chosen = [part.strip() for part in env.get(name, "").split(",") if part.strip()]
    for each in chosen:
        if each not in known:
            raise WrongSetting(f"{name}: there is no “{each}”; choose from {', '.join(known)}.")
    return tuple(chosen) or tuple(known)


def _url(env: Mapping[str, str], name: str, *schemes: str) -> str:
    """The address in `name`, or "". The message never repeats the value: it may hold a password."""
    text = env.get(name) or ""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  reading it checks it
    except ValueError as error:
        raise WrongSetting(f"{name} cannot be read: {error}.") from error
    if parts.scheme not in schemes:
        found = f"begins with {parts.scheme}://" if parts.scheme else "is no address"
        raise WrongSetting(f"{name} {found}; write it like {schemes[0]}://host:port.")
    return text


def _http_url(env: Mapping[str, str], name: str, default: str) -> str:
    text = (_url(env, name, "http", "https") or default).rstrip("/")
    parts = urlsplit(text)
    if not parts.hostname or parts.path or parts.query:
        raise WrongSetting(
            f"{name}={text} is not the address of a site; say http://name or http://name:port."
        )
    return text


def _sender(env: Mapping[str, str]) -> str:
    text = env.get("ATRIUM_EMAIL_FROM") or "Atrium <atrium@localhost>"
    _name, address = parseaddr(text)
    if "@" not in address or any(ord(letter) < 32 for letter in text):
        raise WrongSetting(
            f"ATRIUM_EMAIL_FROM={text!r} has no e-mail address; say Atrium <atrium@example.org>."
        )
    return text


def _oidc_client(env: Mapping[str, str]) -> str:
    client = env.get("ATRIUM_OIDC_CLIENT") or ""
    if env.get("ATRIUM_OIDC_URL") and not client:
        raise WrongSetting(
            "ATRIUM_OIDC_CLIENT is empty; say what the provider at ATRIUM_OIDC_URL knows the portal by."
        )
    return client


def _oidc_roles(env: Mapping[str, str]) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for pair in filter(None, (part.strip() for part in env.get("ATRIUM_OIDC_ROLES", "").split(","))):
        group, equals, place = pair.rpartition("=")
        team, colon, role = place.partition(":")
        if not (equals and colon and group and team) or role not in ROLES:
            raise WrongSetting(
                f"ATRIUM_OIDC_ROLES: {pair!r} is not group=team:role with one of the roles {', '.join(ROLES)}."
            )
        found[group] = (*found.get(group, ()), (team, role))
    return found


def _hosts(env: Mapping[str, str], urls: list[str]) -> tuple[str, ...]:
    own = [host for url in urls if (host := urlsplit(url).hostname)]
    further = [host.strip() for host in env.get("ATRIUM_ALLOWED_HOSTS", "").split(",") if host.strip()]
    return tuple(dict.fromkeys([*own, PORTAL_HOST, "localhost", "127.0.0.1", "[::1]", *further]))


def _encryption_key(env: Mapping[str, str], made: str) -> str:
    text = env.get("ATRIUM_ENCRYPTION_KEY") or made
    try:
        size = len(base64.urlsafe_b64decode(text))
    except ValueError:
        size = 0
    if size != 32:
        raise WrongSetting("ATRIUM_ENCRYPTION_KEY is not 32 bytes in URL-safe base64.")
    return text


def _django_database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise WrongSetting("DATABASE_URL names no database; say postgresql://user:password@host:port/name.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or parts.hostname or "",
        "PORT": str(parts.port or options.pop("port", "") or ""),
        "OPTIONS": options,
    }
