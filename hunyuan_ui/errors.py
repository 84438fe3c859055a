"""All exceptions that this program raises, as one tree.

    HunyuanUIError
    ├── SettingsError             an environment variable or option is wrong; names it
    ├── InvalidRequestError       a field of the request is wrong; names field, value and cure
    ├── SpendLimitError           the job would pass a limit, or spending is not allowed here
    ├── AccessError               the job is not there, or is somebody else's
    ├── StorageError              disk full or read-only, ledger damaged, locked or taken
    ├── MediaError                the file is not a whole MP4, or cannot be read or written
    └── EndpointError
        ├── EndpointUnreachableError   never sent; trying again costs nothing
        ├── EndpointStatusError        answered and refused; nothing was charged
        │   ├── AuthenticationError    401, 403
        │   ├── OutOfCreditsError      402, and 406 with the words
        │   └── RateLimitError         429; `retry_after_s` says when
        ├── OutcomeUnknownError        sent, no usable answer; may have been charged
        ├── JobFailedError             accepted, then failed there; not charged
        ├── RequestExpiredError        the service no longer knows the request id
        ├── UnexpectedResponseError    a GET was answered with something that is not the contract
        └── DownloadError              the video exists; fetching it failed, and may be tried again

An error carries a code and values, but no sentence: numbers, field names, lists, and the service's own text. `words`
    has the sentence of each code in each language: what happened, whether money was spent, and what to do next. `str`
    of an error is its code, because the values may be a caller's data and a traceback may end up in a log.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final, TypedDict

# Refusals of a price above what was shown or allowed, which the caller can accept: for one video, and for several.
OF_SEVERAL: Final = {"price_changed": "prices_changed", "price_not_shown": "prices_not_shown"}
PRICE_REFUSALS: Final = (*OF_SEVERAL, *OF_SEVERAL.values())

_SENT: Final = "_sent"
# Errors that can also occur after a job was sent; their sentence about its money then has a separate code.
ALSO_WHEN_SENT: Final = frozenset(
    {
        *("unreachable", "tls_failed", "rate_limited", "key_missing", "key_refused", "not_allowed"),
        *("job_failed", "job_failed_unexplained", "engine_failed", "engine_failed_unexplained"),
        "engine_key_refused",
        *("disk_full", "disk_read_only", "ledger_busy", "ledger_held", "ledger_unreadable"),
        *("database_away", "database_refuses", "bucket_away", "bucket_refuses"),
    }
)
# Limits that can also hold back a stored job at sending: it then waits.
_QUEUED: Final = "_queued"
ALSO_WHEN_QUEUED: Final = frozenset(
    {
        *("over_daily_limit", "over_total_limit", "over_list_budget", "over_video_limit"),
        *("owner_key_not_shared", "breaker_open", "visitor_daily_videos"),
    }
)


def code_when_queued(code: str) -> str:
    """Return the code of the sentence for a job that waits because of a limit."""
    return code + _QUEUED if code in ALSO_WHEN_QUEUED else code


def limit_of(code: str) -> str | None:
    """Return the limit's own code if a job waits because of it, else None."""
    limit = code.removesuffix(_QUEUED)
    return limit if limit != code and limit in ALSO_WHEN_QUEUED else None


def code_when_sent(code: str) -> str:
    """Return the code of the sentence for a job that was sent before the error occurred."""
    return code + _SENT if code in ALSO_WHEN_SENT else code


class Reason(TypedDict):
    """A text within a sentence, as a key in `words` and its values; plain JSON, so that it can be stored."""

    key: str
    facts: dict[str, Any]


def reason(code: str, /, **facts: Any) -> Reason:
    """Return the reason of an error, for a placeholder in its sentence.

    Args:
        code: Suffix of the key "reason." in the words.
        facts: Values for the placeholders in that text.
    """
    return Reason(key=f"reason.{code}", facts=facts)


class HunyuanUIError(Exception):
    """Base of every error that this program raises on purpose.

    Args:
        code: Suffix of the key "error." in the words.
        facts: Values for the placeholders in that sentence; never a key or a prompt.
    """

    def __init__(self, code: str, /, **facts: Any) -> None:
        self.code = code
        self.facts = facts
        super().__init__(code)

    @property
    def as_reason(self) -> Reason:
        """The error as a text within another error's sentence."""
        return Reason(key=f"error.{self.code}", facts=self.facts)


class SettingsError(HunyuanUIError):
    """An environment variable or option is missing or wrong.

    Args:
        name: Of the variable or option.
        problem: Suffix of the key "setting." in the words.
        facts: Values for the placeholders in that text.
    """

    def __init__(self, name: str, problem: str, /, **facts: Any) -> None:
        super().__init__("setting", name=name, problem=Reason(key=f"setting.{problem}", facts=facts))


class InvalidRequestError(HunyuanUIError):
    """A field of the request is wrong; `field` is its wire name."""

    def __init__(self, code: str, /, *, field: str, **facts: Any) -> None:
        super().__init__(code, field=field, **facts)
        self.field = field


class SpendLimitError(HunyuanUIError):
    """The job would pass a limit, or spending is not allowed here."""


class AccessError(HunyuanUIError):
    """The job does not exist, or belongs to somebody else."""


class StorageError(HunyuanUIError):
    """The disk or the ledger cannot be used, so nothing may be spent."""


class MediaError(HunyuanUIError):
    """The file is not a complete MP4, or cannot be read or written."""


class EndpointError(HunyuanUIError):
    """Base of all errors of a video service or the connection to it."""

    @property
    def cost_usd(self) -> float | None:
        """The charge in US dollars that the response named, whatever else it said."""
        cost = self.facts.get("cost")
        return cost if isinstance(cost, float) else None


class EndpointUnreachableError(EndpointError):
    """The request was never sent; a retry costs nothing."""


class EndpointStatusError(EndpointError):
    """The service answered and refused; nothing was charged.

    `in_doubt` is the error if the service has the request all the same that the refusal of a paid POST names.
    """

    in_doubt: OutcomeUnknownError | None = None


class AuthenticationError(EndpointStatusError):
    """The key is missing, wrong or not allowed (401, 403)."""


class OutOfCreditsError(EndpointStatusError):
    """The account has no credits left (402, or 406 with the words)."""


class RateLimitError(EndpointStatusError):
    """The service asks to wait (429).

    Args:
        retry_after_s: Seconds to wait.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("rate_limited", seconds=max(1, ceil(retry_after_s)))
        self.retry_after_s = retry_after_s


class OutcomeUnknownError(EndpointError):
    """The request was sent and no usable response came; it may have been charged."""


class JobFailedError(EndpointError):
    """The service accepted the job and then failed to make it; nothing was charged."""


class RequestExpiredError(EndpointError):
    """The service no longer knows the request id."""


class UnexpectedResponseError(EndpointError):
    """A GET got an unexpected response; it may be retried."""


class DownloadError(EndpointError):
    """The video exists, but fetching it failed.

    Args:
        retryable: Whether the same address is worth a retry.
        expired: Whether a new address must be requested first.
        retry_after_s: Seconds that the file's server asks to wait, if it does.
    """

    def __init__(
        self,
        code: str,
        /,
        *,
        retryable: bool = True,
        expired: bool = False,
        retry_after_s: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(code, **facts)
        self.retry_after_s = retry_after_s
        self.retryable = retryable
        self.expired = expired
