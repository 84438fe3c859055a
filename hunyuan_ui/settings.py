"""Settings: everything an owner can set, read once from the environment and checked before anything starts."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Final, Literal, NoReturn
from urllib.parse import urlsplit

from hunyuan_ui.environment import read_value, text_of, tidy
from hunyuan_ui.errors import SettingsError, reason
from hunyuan_ui.own_names import is_loopback, listening_name
from hunyuan_ui.strict_numbers import UnfitError, number, whole

DEFAULT_BASE_URL: Final = "https://api.segmind.com"
DEFAULT_HISTORY_URL: Final = "https://api.spotprod.segmind.com/inference-request"
PRIVATE_DAILY_LIMIT_USD: Final = 20.0
_LONGEST_KEY: Final = 512  # characters
_OURS: Final = ("HUNYUAN_UI_", "SEGMIND_")
_MISSPELT: Final = 0.9  # how like one of ours another program's variable is not, `SEGMENT_API_KEY` among them
# What Kubernetes tells every container of a service that is called hunyuan-ui or segmind-something.
_OF_A_SERVICE: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_PORT_OF_A_SERVICE: Final = re.compile(r"(tcp|udp|sctp)://.*")


class Secret:
    """A text that shows itself only when asked by name, so that no log, page or pickle can hold it by accident."""

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


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: its name, its default in words, what it does, and how its text is read."""

    name: str
    field: str
    default: Any
    default_text: str
    help: str
    read: Callable[[str], Any]


def _url(text: str) -> str:
    # urlsplit drops line breaks and empty queries without a word, so the text itself is looked at first.
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(' "<>?#@\\')
    try:
        parts = urlsplit(text) if is_plain else urlsplit("")
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise UnfitError("url") from None
    if not is_address:
        raise UnfitError("url")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UnfitError("https")
    return text.rstrip("/")


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        raise UnfitError("folder") from None


def _dialect(text: str) -> str:
    if text not in ("v1", "v2"):
        raise UnfitError("dialect")
    return text


def _yes_or_no(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in answers:
        raise UnfitError("yes_or_no")
    return answers[text.lower()]


_usd = number(0, 1_000_000, reason("us_dollars"))

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "SEGMIND_API_KEY", "api_key", None, "none: local preview", "The owner's key, sent to the service only.", Secret
    ),
    Setting("SEGMIND_BASE_URL", "base_url", DEFAULT_BASE_URL, DEFAULT_BASE_URL, "Where the service is.", _url),
    Setting(
        "SEGMIND_HISTORY_URL",
        "history_url",
        None,
        f"{DEFAULT_HISTORY_URL}; with another base URL: that base + /inference-request",
        "Where past requests are looked up.",
        _url,
    ),
    Setting("HUNYUAN_UI_API", "dialect", "v2", "v2", "v2 submits and polls, v1 is one blocking call.", _dialect),
    Setting(
        "HUNYUAN_UI_DATA_DIR",
        "data_dir",
        None,
        "data beside app.py",
        "Where the ledger and the videos are kept.",
        _folder,
    ),
    Setting("HUNYUAN_UI_CONCURRENCY", "concurrency", 4, "4", "Videos in flight at once.", whole(1, 10_000)),
    Setting(
        "HUNYUAN_UI_POLL_SECONDS",
        "poll_interval_s",
        5.0,
        "5",
        "Seconds between two questions about a running job.",
        number(0.05, 300, reason("seconds")),
    ),
    Setting("HUNYUAN_UI_VIDEO_LIMIT_USD", "video_limit_usd", 5.0, "5", "Most that one video may cost unasked.", _usd),
    Setting(
        "HUNYUAN_UI_DAILY_LIMIT_USD",
        "daily_limit_usd",
        None,
        f"private: {PRIVATE_DAILY_LIMIT_USD:g}; public: the owner's key is not used",
        "Most that the owner's key may spend in a day (UTC); 1000000 is as good as none.",
        _usd,
    ),
    Setting(
        "HUNYUAN_UI_TOTAL_LIMIT_USD",
        "total_limit_usd",
        None,
        "none",
        "Most that the owner's key may spend in this data folder's life.",
        _usd,
    ),
    Setting(
        "HUNYUAN_UI_VISITOR_DAILY_VIDEOS",
        "visitor_daily_videos",
        3,
        "3",
        "Public only: videos a day for one visitor on the owner's key.",
        whole(0, 10_000),
    ),
    Setting(
        "HUNYUAN_UI_ACCESS_CODE", "access_code", None, "none", "Public only: visitors must enter this code.", Secret
    ),
    Setting(
        "HUNYUAN_UI_REQUIRE_LOGIN",
        "requires_login",
        False,
        "false",
        "Space only: the owner's key is used for visitors with a Hugging Face login.",
        _yes_or_no,
    ),
    Setting("GRADIO_SERVER_NAME", "server_name", "127.0.0.1", "127.0.0.1", "Address to listen on.", listening_name),
    Setting("GRADIO_SERVER_PORT", "server_port", None, "7860, or the next free one", "Port.", whole(1, 65_535)),
    Setting(
        "GRADIO_MCP_SERVER",
        "has_mcp",
        False,
        "false",
        'Offer the API to agents as MCP tools; needs pip install "gradio[mcp]".',
        _yes_or_no,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The checked settings of one run; secrets stay hidden in every representation."""

    data_dir: Path
    api_key: Secret | None = None
    base_url: str = DEFAULT_BASE_URL
    history_url: str = DEFAULT_HISTORY_URL
    dialect: Literal["v1", "v2"] = "v2"
    concurrency: int = 4
    poll_interval_s: float = 5.0
    video_limit_usd: float = 5.0
    daily_limit_usd: float | None = None
    total_limit_usd: float | None = None
    visitor_daily_videos: int = 3
    access_code: Secret | None = None
    requires_login: bool = False
    server_name: str = "127.0.0.1"
    server_port: int | None = None
    has_mcp: bool = False
    share: bool = False
    is_space: bool = False
    storage: Storage = "kept"  # what a restart leaves of the data folder
    login_secret: Secret | None = None  # on a Space with hf_oauth: what its logins are signed with

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        share: bool = False,
        home: Path = Path(),
        mounts: Iterable[tuple[PurePath, str]] | None = None,
    ) -> Settings:
        """Read and check the settings.

        Args:
            environ: In place of the process's environment, for tests.
            share: Whether a public link was asked for on the command line.
            home: Folder of app.py; the default data folder is `data` in it.
            mounts: In place of this machine's, for tests.

        Raises:
            SettingsError: A value is wrong; names the variable and the cure, never a secret's text.
        """
        environ = os.environ if environ is None else environ
        _check_names(environ)
        values: dict[str, Any] = {setting.field: setting.default for setting in SETTINGS}
        for setting in SETTINGS:
            if text := text_of(environ, setting.name):
                values[setting.field] = read_value(setting.name, text, setting.read)
        base_url = values["base_url"]
        if values["history_url"] is None:
            values["history_url"] = (
                DEFAULT_HISTORY_URL if base_url == DEFAULT_BASE_URL else f"{base_url}/inference-request"
            )
        values["data_dir"] = values["data_dir"] or (home / "data").resolve()
        _check_key(values["api_key"])
        shared = share or (
            bool(asked := text_of(environ, "GRADIO_SHARE")) and read_value("GRADIO_SHARE", asked, _yes_or_no)
        )
        is_space = environ.get("SYSTEM") == "spaces" or bool(environ.get("SPACE_ID"))
        login_secret = _login_secret(environ)
        if values["requires_login"] and login_secret is None:
            raise SettingsError("HUNYUAN_UI_REQUIRE_LOGIN", "login_elsewhere")
        mounts = mounts_here() if mounts is None else mounts
        storage = storage_of(values["data_dir"], mounts, is_space=is_space)
        settings = cls(
            **values, share=shared and not is_space, is_space=is_space, storage=storage, login_secret=login_secret
        )
        if settings.daily_limit_usd is None and settings.api_key is not None and not settings.is_public:
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
        """What lets strangers in; None where only this machine can reach the page."""
        if self.is_space:
            return "space"
        if self.share:
            return "share"
        return None if is_loopback(self.server_name) else "address"

    @property
    def is_preview(self) -> bool:
        """Whether there is no owner's key, so that the local endpoint draws the videos."""
        return self.api_key is None

    @property
    def may_spend_owner_key(self) -> bool:
        """Whether the owner's key is used at all: always in private, in public only under a daily limit."""
        return self.api_key is not None and (not self.is_public or self.daily_limit_usd is not None)

    @property
    def needs_history(self) -> bool:
        """Whether this ledger may have forgotten what was spent, so that the service must tell it first.

        Source: docs/architecture.md 5.
        """
        return self.is_public and self.may_spend_owner_key and self.storage != "kept"

    @property
    def offers_preview(self) -> bool:
        """Whether the local endpoint runs: somebody may come whom the owner's key is not for, or it may rest."""
        is_narrowed = self.access_code is not None or self.requires_login
        return not self.may_spend_owner_key or self.needs_history or (self.is_public and is_narrowed)


def tidy_environment() -> None:
    """Tidy and check what Gradio, and what lies below it, read from this process's environment.

    Raises:
        SettingsError: A value is wrong; names the variable.
    """
    tidy(os.environ)


def _check_names(environ: Mapping[str, str]) -> None:
    known = [setting.name for setting in SETTINGS if setting.name.startswith(_OURS)]
    for name in sorted(set(environ) - set(known)):
        is_ours = name.upper().startswith(_OURS) and not _is_of_a_service(name, environ[name])
        nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0 if is_ours else _MISSPELT)
        if is_ours or nearest:
            shown = "".join(filter(str.isprintable, name))[:60]
            raise SettingsError(shown, "unknown", nearest=nearest[0])


def _is_of_a_service(name: str, text: str) -> bool:
    is_address = name.endswith("_PORT") and _PORT_OF_A_SERVICE.fullmatch(text) is not None
    return is_address or _OF_A_SERVICE.fullmatch(name) is not None


def is_key(text: str) -> bool:
    """Whether a text could be an API key: something a header can carry, and not a page of it."""
    return 0 < len(text) <= _LONGEST_KEY and text.isascii() and text.isprintable() and " " not in text


def _login_secret(environ: Mapping[str, str]) -> Secret | None:
    # Elsewhere Gradio mocks the login: everybody would be the owner (docs/facts/faults-and-security.md 6.4).
    secret = environ.get("OAUTH_CLIENT_SECRET", "") if environ.get("SYSTEM") == "spaces" else ""
    return Secret(secret) if secret else None


def _check_key(key: Secret | None) -> None:
    if key is not None and not is_key(key.reveal()):
        raise SettingsError("SEGMIND_API_KEY", "key")


Storage = Literal["kept", "lax", "wiped"]

# A container's own layer and a machine's memory are empty again when it is started anew; what was attached to it is
# mounted as its own disk.
_WIPED: Final = ("overlay", "fuse.fuse-overlayfs", "aufs", "tmpfs", "ramfs", "rootfs")
# Stores behind a network write late and lock little (docs/facts/hosting.md 7.3); fuseblk is a local disk.
_LAX: Final = ("fuse", "nfs", "cifs", "smb", "9p", "virtiofs")
_LOCAL: Final = ("fuseblk",)
# Disks that are made and thrown away with their container: volumes that nobody named, and a pod's empty ones.
_THROWN_AWAY: Final = re.compile(r"/volumes/([0-9a-f]{64}/_data|kubernetes\.io~empty-dir/)")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def storage_of(folder: PurePath, mounts: Iterable[tuple[PurePath, str]], *, is_space: bool) -> Storage:
    """Return whether a folder's files stay, stay but are written late, or are wiped at a restart.

    Args:
        folder: An absolute path.
        mounts: Every mount point with its kind of file system, as `mounts_here` reads them; the last one of a place
            counts. Without any, the system does not tell, and a disk is taken to stay.
        is_space: On a Space the root disk is wiped, whatever its kind.
    """
    depth, kind = 0, ""
    for place, its_kind in mounts:
        if (place == folder or place in folder.parents) and len(place.parts) >= depth:
            depth, kind = len(place.parts), its_kind
    if kind in _WIPED or (is_space and depth <= 1):
        return "wiped"
    return "lax" if kind.startswith(_LAX) and kind not in _LOCAL else "kept"


def mounts_here() -> list[tuple[PurePath, str]]:
    """Return the mount points of this machine and their kinds; none where the system does not tell."""
    with suppress(OSError):
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        return mounts_in(text)
    return []


def mounts_in(text: str) -> list[tuple[PurePath, str]]:
    """Return the mount points of a `mountinfo` file (proc(5)) and their kinds, in the file's order."""
    found: list[tuple[PurePath, str]] = []
    for line in text.splitlines():
        about, _, disk = line.partition(" - ")
        fields, kind = about.split(), disk.partition(" ")[0]
        if len(fields) > 4 and kind:
            is_thrown_away = _THROWN_AWAY.search(fields[3]) is not None
            found.append((PurePath(_unescaped(fields[4])), _WIPED[0] if is_thrown_away else kind))
    return found


def _unescaped(place: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), place)
