"""Settings: all options of the owner, read once from the environment and validated before anything starts."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Any, Final, Literal, NoReturn
from urllib.parse import urlsplit

from hunyuan_ui import setting_values
from hunyuan_ui.endpoint.contract import HISTORY, is_key
from hunyuan_ui.env_file import NAMED_BY, add_env_file
from hunyuan_ui.ephemeral_disks import Storage, mounts_here, storage_of
from hunyuan_ui.errors import SettingsError, reason
from hunyuan_ui.gradio_environment import is_installed, read_value, text_of, tidy
from hunyuan_ui.local_addresses import is_loopback, listening_name
from hunyuan_ui.outbound_proxies import DIRECT, Proxies, Proxy
from hunyuan_ui.setting_values import number, whole

DEFAULT_BASE_URL: Final = "https://api.segmind.com"
CONSOLE_URL: Final = "https://cloud.segmind.com"  # docs/facts/segmind-api.md 3.4
DEFAULT_HISTORY_URL: Final = f"https://api.spotprod.segmind.com{HISTORY}"
PRIVATE_DAILY_LIMIT_USD: Final = 20.0
ENGINE_CONCURRENCY: Final = 1  # one GPU makes one video at a time, and jobs in this queue can still be cancelled
_OURS: Final = ("HUNYUAN_UI_", "SEGMIND_")
_NARROWING: Final = ("_LIMIT_USD", "_LIMIT", "_VISITOR_DAILY_VIDEOS", "_ACCESS_CODE", "_REQUIRE_LOGIN")
_LEADS: Final = ("GRADIO", "HY", "UI")  # what people write in place of HUNYUAN_UI
_SPELT: Final = ("HUNYUAN", "HUNYUANUI", "HUNYUANVIDEO")
_SPELT_LIKE: Final = 0.8
_MISSPELT: Final = 0.9  # similarity from which an unknown variable counts as misspelt; `SEGMENT_API_KEY` is below it
_MOST_NAME: Final = 200  # characters of a variable's name; a longer one is no misspelt one
# Variables that Kubernetes sets in every container for a service named hunyuan-ui or segmind-something.
_OF_A_SERVICE: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_OF_A_TEMPLATE: Final = frozenset("$<>{}")  # in a placeholder that was not replaced by a key
_PORT_OF_A_SERVICE: Final = re.compile(r"(tcp|udp|sctp)://.*")


class Secret:
    """A text that is shown only on explicit request, so that no log, page or pickle contains it by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


_usd = number(0, 1_000_000, reason("us_dollars"))


def _variable(
    name: str, read: Callable[[str], Any], help: str, default_text: str | None = None, *, default: Any = None
) -> Any:
    """Return a field of `Settings` that an environment variable sets.

    Args:
        name: Of the variable.
        read: Parses the variable's text, or raises UnfitError.
        help: One sentence on its effect.
        default_text: The default as text, if it is not the field's own.
    """
    return field(default=default, metadata={"name": name, "read": read, "help": help, "default_text": default_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The validated settings of one run; secrets are hidden in every representation.

    A field with metadata is an environment variable, declared only here: `SETTINGS` lists them for code that reads or
        describes them.
    """

    api_key: Secret | None = _variable(
        "SEGMIND_API_KEY", Secret, "The owner's key, sent to the service only.", "none: local preview"
    )
    base_url: str = _variable(
        "SEGMIND_BASE_URL", setting_values.service_url, "Where the service is.", default=DEFAULT_BASE_URL
    )
    history_url: str = _variable(
        "SEGMIND_HISTORY_URL",
        setting_values.service_url,
        "Where past requests are looked up.",
        f"{DEFAULT_HISTORY_URL}; with another base URL: that base + {HISTORY}",
        default=DEFAULT_HISTORY_URL,
    )
    dialect: Literal["v1", "v2"] = _variable(
        "HUNYUAN_UI_API", setting_values.dialect, "v2 submits and polls, v1 is one blocking call.", default="v2"
    )
    engine_url: str | None = _variable(
        "HUNYUAN_UI_ENGINE_URL",
        setting_values.engine_url,
        "An engine of your own that speaks /v1/videos, in place of Segmind.",
    )
    engine_key: Secret | None = _variable("HUNYUAN_UI_ENGINE_KEY", Secret, "The engine's key, if it asks for one.")
    engine_model: str | None = _variable(
        "HUNYUAN_UI_ENGINE_MODEL", setting_values.model, "What the engine calls the model.", "not sent"
    )
    engine_usd_per_hour: float | None = _variable(
        "HUNYUAN_UI_ENGINE_USD_PER_HOUR", _usd, "What an hour of the engine costs; a video costs its seconds.", "free"
    )
    data_dir: Path = _variable(
        "HUNYUAN_UI_DATA_DIR",
        setting_values.path,
        "Where the ledger and the videos are kept.",
        "data beside app.py",
        default=MISSING,
    )
    database_url: Secret | None = _variable(
        "HUNYUAN_UI_DATABASE_URL",
        lambda text: Secret(setting_values.database_url(text)),
        "PostgreSQL in place of the ledger's file, postgresql://user:password@host/name.",
        "none: a file in the data folder",
    )
    videos_url: str | None = _variable(
        "HUNYUAN_UI_VIDEOS_URL",
        setting_values.bucket_url,
        "A bucket for finished videos: s3://, gs:// or az://name/prefix.",
        "none: the data folder",
    )
    concurrency: int = _variable(
        "HUNYUAN_UI_CONCURRENCY",
        whole(1, 10_000),
        "Videos in flight at once.",
        f"4; with an engine of your own: {ENGINE_CONCURRENCY}",
        default=4,
    )
    poll_interval_s: float = _variable(
        "HUNYUAN_UI_POLL_SECONDS",
        number(0.05, 300, reason("seconds")),
        "Seconds between two questions about a running job.",
        default=5.0,
    )
    video_limit_usd: float = _variable(
        "HUNYUAN_UI_VIDEO_LIMIT_USD", _usd, "Most that one video may cost unasked.", default=5.0
    )
    daily_limit_usd: float | None = _variable(
        "HUNYUAN_UI_DAILY_LIMIT_USD",
        _usd,
        "Most that the owner's key may spend in a day (UTC); 1000000 is as good as none.",
        f"private: {PRIVATE_DAILY_LIMIT_USD:g}; public: the owner's key is not used",
    )
    total_limit_usd: float | None = _variable(
        "HUNYUAN_UI_TOTAL_LIMIT_USD", _usd, "Most that the owner's key may spend in this data folder's life."
    )
    visitor_daily_videos: int = _variable(
        "HUNYUAN_UI_VISITOR_DAILY_VIDEOS",
        whole(0, 10_000),
        "Public only: videos a day for one visitor on the owner's key.",
        default=3,
    )
    access_code: Secret | None = _variable(
        "HUNYUAN_UI_ACCESS_CODE", Secret, "Public only: visitors must enter this code."
    )
    requires_login: bool = _variable(
        "HUNYUAN_UI_REQUIRE_LOGIN",
        setting_values.yes_or_no,
        "Space only: the owner's key is used for visitors with a Hugging Face login.",
        default=False,
    )
    notify: Secret | None = _variable(
        "HUNYUAN_UI_NOTIFY",
        Secret,
        "Addresses of Apprise, with spaces between, to tell what becomes of videos; needs pip install apprise.",
    )
    server_name: str = _variable("GRADIO_SERVER_NAME", listening_name, "Address to listen on.", default="127.0.0.1")
    server_port: int | None = _variable("GRADIO_SERVER_PORT", whole(1, 65_535), "Port.", "7860, or the next free one")
    has_mcp: bool = _variable(
        "GRADIO_MCP_SERVER",
        setting_values.yes_or_no,
        'Offer the API to agents as MCP tools; needs pip install "gradio[mcp]".',
        default=False,
    )
    env_file: Path | None = _variable(
        NAMED_BY,
        setting_values.path,
        "File of more settings, NAME=value in a line; the environment wins.",
        ".env beside app.py, if it is there",
    )
    share: bool = False
    is_space: bool = False
    storage: Storage = "kept"  # whether the data folder survives a restart
    proxies: Proxies = DIRECT  # for the service and its files
    login_secret: Secret | None = None  # on a Space with hf_oauth: the key that signs its logins

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        share: bool = False,
        home: Path = Path(),
        mounts: Iterable[tuple[PurePath, str]] | None = None,
    ) -> Settings:
        """Read and validate the settings from the environment and the settings file.

        Args:
            environ: Replaces the process's environment. Only that gets the settings file's variables and is normalised
                for Gradio and the libraries below it.
            share: Whether a public link was requested on the command line.
            home: Folder of app.py; the settings file `.env` and the default data folder `data` are in it.
            mounts: Replaces this machine's, for tests.

        Raises:
            SettingsError: A value is invalid; names the variable and the remedy, never a secret's text.
        """
        unread: tuple[str, ...] = ()
        if environ is None:
            environ = os.environ
            add_env_file(os.environ, home)
            unread = tidy(os.environ)
        _check_names(environ)
        values = {
            setting.field: read_value(setting.name, text, setting.read)
            for setting in SETTINGS
            if (text := text_of(environ, setting.name))
        }
        if (base_url := values.get("base_url", DEFAULT_BASE_URL)) != DEFAULT_BASE_URL:
            values.setdefault("history_url", base_url + HISTORY)
        folder = values.setdefault("data_dir", (home / "data").resolve())
        if not setting_values.may_look_into(folder):
            raise SettingsError("HUNYUAN_UI_DATA_DIR", "folder_closed", folder=folder)
        _check_keys(values)
        _check_engine(values)
        if values.get("notify") is not None and not is_installed("apprise"):
            raise SettingsError("HUNYUAN_UI_NOTIFY", "notify_package")
        shared = share or (
            bool(asked := text_of(environ, "GRADIO_SHARE"))
            and read_value("GRADIO_SHARE", asked, setting_values.yes_or_no)
        )
        is_space = environ.get("SYSTEM") == "spaces" or bool(environ.get("SPACE_ID"))
        login_secret = _login_secret(environ)
        if values.get("requires_login") and login_secret is None:
            raise SettingsError("HUNYUAN_UI_REQUIRE_LOGIN", "login_elsewhere")
        settings = cls(
            **values,
            share=shared and not is_space,
            is_space=is_space,
            storage=storage_of(folder, mounts_here() if mounts is None else mounts, is_space=is_space),
            proxies=_proxies(environ).without(*unread),
            login_secret=login_secret,
        )
        if settings.daily_limit_usd is None and not settings.is_preview and not settings.is_public:
            return replace(settings, daily_limit_usd=PRIVATE_DAILY_LIMIT_USD)
        return settings

    @property
    def is_public(self) -> bool:
        """Whether strangers can reach this run: a Space, a share link, or an address beyond this machine.

        Source: docs/architecture.md 5.
        """
        return self.public_by is not None

    @property
    def public_by(self) -> Literal["space", "share", "address"] | None:
        """Why strangers can reach the page; None if only this machine can."""
        if self.is_space:
            return "space"
        if self.share:
            return "share"
        return None if is_loopback(self.server_name) else "address"

    @property
    def proxy(self) -> Proxy | None:
        """The proxy for the service; None for a direct connection."""
        return self.proxies.proxy_for(urlsplit(self.base_url).hostname or "")

    @property
    def is_preview(self) -> bool:
        """Whether there is neither an owner's key nor an engine, so that the local endpoint renders the videos."""
        return self.api_key is None and self.engine_url is None

    @property
    def console_url(self) -> str:
        """Console URL for an account's generations and keys; empty if another service is used."""
        return CONSOLE_URL if self.base_url == DEFAULT_BASE_URL else ""

    @property
    def has_prices(self) -> bool:
        """Whether a video costs dollars; on a self-hosted engine only if its hours have a price."""
        return self.engine_url is None or bool(self.engine_usd_per_hour)

    @property
    def may_spend_owner_key(self) -> bool:
        """Whether the owner's key or engine may be used: always in private, in public only under a daily limit."""
        return not self.is_preview and (not self.is_public or self.daily_limit_usd is not None)

    @property
    def owner_secret(self) -> Secret | None:
        """A secret that only the owner knows: the key of the service or engine in use."""
        return self.api_key if self.engine_url is None else self.engine_key

    @property
    def secrets(self) -> list[Secret]:
        """All texts that must never be written: whole, and of addresses each one and its passwords alone."""
        url, proxy = self.database_url, self.proxies.proxy
        named = (self.api_key, self.engine_key, self.access_code, self.notify, self.login_secret, url)
        found = [secret for secret in named if secret is not None]
        addresses = [] if self.notify is None else self.notify.reveal().split()
        known = {*addresses, *([proxy.password] if proxy and proxy.password else [])}
        for address in (*addresses, *([url.reveal()] if url else [])):
            known |= setting_values.passwords_in(address)
        return [*found, *map(Secret, known)]

    @property
    def forgets_videos(self) -> bool:
        """Whether a restart deletes finished videos."""
        return self.storage == "wiped" and self.videos_url is None

    @property
    def forgets_spending(self) -> bool:
        """Whether a restart deletes the record of spending."""
        return self.storage == "wiped" and self.database_url is None

    @property
    def lost_at_restart(self) -> Literal["nothing", "history", "videos", "record", "all"]:
        """What a restart that wipes the disk deletes; `history` if the service's history makes up for it."""
        if self.needs_history:
            return "history"
        if self.forgets_spending:
            return "all" if self.forgets_videos else "record"
        return "videos" if self.forgets_videos else "nothing"

    @property
    def needs_history(self) -> bool:
        """Whether this ledger may have lost past spending, so that the service's history must be read first.

        Source: docs/architecture.md 5.
        """
        return self.has_history and self.storage != "kept" and self.database_url is None

    @property
    def has_history(self) -> bool:
        """Whether strangers may spend, at a service that remembers what was spent."""
        return self.engine_url is None and self.is_public and self.may_spend_owner_key

    @property
    def offers_preview(self) -> bool:
        """Whether the local endpoint runs: for visitors who may not use the owner's key, or while that is blocked."""
        is_narrowed = self.access_code is not None or self.requires_login
        return not self.may_spend_owner_key or self.needs_history or (self.is_public and is_narrowed)


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable that sets a field of the settings."""

    field: str
    default: Any  # None if there is none
    name: str
    read: Callable[[str], Any]
    help: str
    default_text: str


def _setting(declared: Field[Any]) -> Setting:
    default = None if declared.default is MISSING else declared.default
    facts = dict(declared.metadata)
    if facts["default_text"] is None:
        facts["default_text"] = _in_words(default)
    return Setting(declared.name, default, **facts)


def _in_words(default: object) -> str:
    if isinstance(default, float):
        return f"{default:g}"
    return "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


SETTINGS: Final = tuple(_setting(declared) for declared in fields(Settings) if declared.metadata)


def _check_names(environ: Mapping[str, str]) -> None:
    known = {setting.name: setting.name for setting in SETTINGS if setting.name.startswith(_OURS)}
    # The unit is left out easily, and a limit of money that is not read is none.
    close = known | {name.removesuffix("_USD"): name for name in known}
    for name in sorted(set(environ) - set(known)):
        # A container accepts any variable name, dashes and full-width letters included.
        meant = re.sub(r"[\W_]", "_", unicodedata.normalize("NFKC", name[:_MOST_NAME]).strip().upper())
        is_ours = meant.startswith(_OURS) and not _is_of_a_service(name, environ[name])
        nearest = _narrowing(meant, close) or difflib.get_close_matches(
            meant, close, n=1, cutoff=0.0 if is_ours else _MISSPELT
        )
        if is_ours or nearest:
            shown = "".join(filter(str.isprintable, name))[:60]
            raise SettingsError(shown, "unknown", nearest=close[nearest[0]])


def _narrowing(meant: str, close: Iterable[str]) -> list[str]:
    """Return the setting that narrows spending and that a name with another beginning means, if there is one.

    If it were ignored, more could be spent than the owner believes.
    """
    head, _, rest = meant.partition("_")
    is_led = head in _LEADS or bool(difflib.get_close_matches(head, _SPELT, n=1, cutoff=_SPELT_LIKE))
    bare = rest.removeprefix("UI_") if is_led else meant
    names = {name.removeprefix("HUNYUAN_UI_"): name for name in close if name.endswith(_NARROWING)}
    if whole := [name for name in names.values() if meant.endswith(name)]:
        return whole[:1]
    if not is_led:  # other programs have access codes, too
        return [names[bare]] if bare in names and bare.endswith(("_USD", "_VIDEOS")) else []
    return [names[found] for found in difflib.get_close_matches(bare, names, n=1, cutoff=_SPELT_LIKE)]


def _is_of_a_service(name: str, text: str) -> bool:
    is_address = name.endswith("_PORT") and _PORT_OF_A_SERVICE.fullmatch(text) is not None
    return is_address or _OF_A_SERVICE.fullmatch(name) is not None


def _login_secret(environ: Mapping[str, str]) -> Secret | None:
    # Elsewhere Gradio mocks the login: everybody would be the owner (docs/facts/faults-and-security.md 6.4).
    secret = environ.get("OAUTH_CLIENT_SECRET", "") if environ.get("SYSTEM") == "spaces" else ""
    return Secret(secret) if secret else None


def _proxies(environ: Mapping[str, str]) -> Proxies:
    try:
        return Proxies.of(environ)
    except ValueError:
        raise SettingsError("HTTPS_PROXY", "proxy") from None


def _check_keys(values: Mapping[str, Any]) -> None:
    """Refuse a key that no service has, and a code that no visitor can type."""
    for name, field_name in (("SEGMIND_API_KEY", "api_key"), ("HUNYUAN_UI_ENGINE_KEY", "engine_key")):
        key: Secret | None = values.get(field_name)
        if key is not None and (not is_key(key.reveal()) or set(key.reveal()) & _OF_A_TEMPLATE):
            raise SettingsError(name, "key")
    code: Secret | None = values.get("access_code")
    if code is not None and not setting_values.can_be_entered(code.reveal()):
        raise SettingsError("HUNYUAN_UI_ACCESS_CODE", "code", most=setting_values.LONGEST_ENTERED)


def _check_engine(values: dict[str, Any]) -> None:
    """Refuse engine settings without an engine; with one, default to one video in flight."""
    if "engine_url" in values:
        values.setdefault("concurrency", ENGINE_CONCURRENCY)
        return
    lone = next(
        (setting.name for setting in SETTINGS if setting.field.startswith("engine_") and setting.field in values), None
    )
    if lone is not None:
        raise SettingsError(lone, "engine_without_url")
