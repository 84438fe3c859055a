"""Everything that can go wrong, as one tree, and the one table of sentences people read.

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

An error is raised with a code and facts; its sentence is looked up here in English and in
the page's locale files in other languages. A sentence says what happened, whether money was
spent, and what to do next.
"""

from __future__ import annotations

from math import ceil
from typing import Final

SENTENCES: Final[dict[str, str]] = {
    "setting": "{name}: {problem}",
    # request
    "prompt_empty": "Prompt: nothing is written there. Say in a sentence what the video should show.",
    "text_too_long": "{label}: {length} characters are too many; at most {limit} fit. Shorten it.",
    "not_text": "{label}: {value} is not text. Write words.",
    "not_a_number": "{label}: {value} is not a number. Use one from {low} to {high}.",
    "not_whole": "{label}: {value} is not a whole number. Use one from {low} to {high}.",
    "out_of_range": "{label}: {value} is outside the range. Use a number from {low} to {high}.",
    "frames_not_possible": "Frames: {value} is not possible (it must be 4n + 1). Use {choices}.",
    "seed_out_of_range": "Seed: {value} is outside the range. Use 0 to {high}, or -1 for a random one.",
    "field_missing": "{label}: the value is missing. Add it.",
    "field_unknown": "{label}: there is no such setting. Leave it out.",
    "bad_job_id": "The job id must be 32 hexadecimal digits. Nothing was sent; reload the page and try again.",
    "job_id_is_token": (
        "The job id is the same as what shows who calls. Nothing was sent; use another one, because ids are shown."
    ),
    # money
    "no_key": "There is no API key to pay with. Nothing was sent; enter your own key or use the local preview.",
    "no_preview": "There is no local preview here. Nothing was sent; choose another way to pay.",
    "key_attempts": "Too many keys were tried. Nothing was sent; try again in {seconds} s.",
    "owner_key_not_shared": (
        "The owner of this page has not set a daily limit, so their key is not used for visitors. "
        "Nothing was sent; enter your own key or use the local preview."
    ),
    "history_unread": (
        "What was spent before this start is not known: the service's history has not been read, so the owner's key "
        "rests. Nothing was sent; use your own key or the local preview. It is asked again every minute."
    ),
    "said_spent": "The owner said what the account was charged before this page knew of it. It stays counted.",
    "over_video_limit": (
        "This video may cost {price}, above the limit of {limit} for one video. Nothing was sent; "
        "choose fewer frames, fewer steps or a smaller size."
    ),
    "confirm_price": (
        "This video may cost {price}, above the limit of {limit} for one video. Nothing was sent; "
        "confirm the price to go on."
    ),
    "price_changed": (
        "This video may cost {price} now, more than the {shown} that was shown. Nothing was sent; "
        "confirm the new price to go on."
    ),
    "price_not_shown": (
        "The price of this video was not shown yet: it may cost {price}. Nothing was sent; confirm the price to go on."
    ),
    "over_most_usd": (
        "This video may cost {price}, more than the {limit} that were allowed for it. Nothing was sent; "
        "allow more, or choose fewer frames, fewer steps or a smaller size."
    ),
    "over_daily_limit": (
        "Today's limit of {limit} leaves {left}, and this video may cost {price}. Nothing was sent; "
        "choose a smaller video, come back tomorrow (UTC), or let the owner start the page with a higher "
        "HUNYUAN_UI_DAILY_LIMIT_USD."
    ),
    "over_total_limit": (
        "The total limit of {limit} leaves {left}, and this video may cost {price}. Nothing was sent; "
        "choose a smaller video, or ask the owner to raise the limit."
    ),
    "visitor_daily_videos": (
        "You have made {count} of {limit} videos today. Nothing was sent; come back tomorrow (UTC) or use your own key."
    ),
    "visitor_busy": "You already have a video under way. Nothing was sent; wait until it is done.",
    "too_soon": "That was very quick after the last one. Nothing was sent; try again in {seconds} s.",
    "visitor_places": (
        "{count} videos of yours are waiting already, as many as one visitor may have there. Nothing was sent; "
        "wait until one of them has begun."
    ),
    "queue_full": "{count} videos are waiting already. Nothing was sent; try again in a few minutes.",
    "breaker_open": (
        "The last {count} paid jobs brought no video, so spending is paused. Nothing was sent; "
        "the owner can look at them and resume."
    ),
    "access_code_needed": "This page asks for an access code. Nothing was sent; enter the code first.",
    "access_code_wrong": "That is not the access code. Nothing was sent; check it and try again.",
    "bad_amount": "That is not an amount in US dollars from 0 to {high}. Nothing was changed.",
    "owner_key_wrong": "That is not the API key this server was started with. Nothing was sent; check it.",
    "access_code_attempts": "Too many codes were tried. Nothing was sent; try again in {seconds} s.",
    "login_needed": "This page asks for a Hugging Face login. Nothing was sent; log in first.",
    # access
    "cannot_look_again": "This video cannot be looked for again: the service keeps a file for seven days only.",
    "not_yours": "There is no such video for you. It may have been deleted, or made in another browser.",
    "no_video_yet": "There is no video yet: the job is {status}. Ask again when it is done.",
    "no_place_to_wait": (
        "Too many calls wait for videos of yours already, so this one does not. Nothing more was sent and the job goes "
        "on: ask /status with the job_id {job_id}."
    ),
    "no_place_to_send": (
        "Too many calls wait for videos already. Nothing was sent; call /submit, which answers at once, then /status."
    ),
    "cannot_cancel": "It was already sent and cannot be taken back; it goes on and will be in My videos.",
    "still_under_way": "This video is still under way. Wait until it is done, or cancel it while it waits.",
    "key_forgotten": (
        "This video was sent with your own key, and the server no longer has it. "
        "Enter the key again and it will be fetched."
    ),
    # this machine
    "disk_full": "The disk is nearly full ({free} free). Nothing was sent; the owner must make room first.",
    "disk_read_only": "The data folder cannot be written. Nothing was sent; the owner must make it writable.",
    "ledger_damaged": (
        "The ledger of past spending is damaged and was set aside. Nothing was sent; "
        "the owner must confirm the budget first."
    ),
    "ledger_newer": (
        "The ledger was written by a newer version of this program. Nothing was sent; update this program."
    ),
    "sqlite_too_old": (
        "The SQLite {version} of this Python is too old for the ledger. Nothing was sent; "
        "use a Python with SQLite {needed} or newer."
    ),
    "ledger_busy": "The ledger is busy. Nothing was sent; try again in a moment.",
    "ledger_taken": (
        "Another copy of this program uses the same data folder, so this one only shows what is there. "
        "Nothing was sent; stop the other copy or choose another folder."
    ),
    "folder_replaced": (
        "The data folder or its ledger was replaced or removed while this program runs. Nothing was sent; "
        "the owner must put it back or restart the program."
    ),
    "clock_ahead": (
        "The newest job is dated {days} days ahead of this machine's clock. Nothing is lost and all limits hold; "
        "the owner can check the clock and then set the dates right."
    ),
    "no_room_for_video": (
        "The video is finished, but the disk has too little room for it ({free} free). It was charged; "
        "it is fetched again by itself when there is room."
    ),
    "video_not_written": (
        "The video is finished, but its file cannot be written ({reason}). It was charged; "
        "it is fetched again by itself when the data folder can be written."
    ),
    "stopping": "The server is about to restart. Nothing was sent; try again in a minute.",
    "internal": "Something went wrong in this program ({reference}). The job's own status says whether it was sent.",
    # media
    "not_a_video": "This is not a video that is known here, so there is nothing to read from it.",
    "video_undecodable": "The video is whole, but none of its pictures can be decoded.",
    "video_cut_short": "The MP4 is not whole: {problem}.",
    "no_settings_in_video": "This MP4 carries no settings of this app. Only videos made here can fill the form.",
    "bad_settings_in_video": "The settings in this MP4 cannot be used: {problem}",
    "video_missing": "The video file is no longer in the library.",
    "file_too_large": "The file is larger than {limit}, so it was not read. A video made here is smaller.",
    "export_busy": "Another export is still being made. Wait until it is done.",
    "export_failed": "The export did not work: {problem}. The video itself is untouched.",
    # the service: never sent
    "unreachable": "The video service cannot be reached ({reason}). Nothing was charged; try again in a moment.",
    "tls_failed": (
        "No secure connection to the video service ({reason}). Nothing was sent or charged; "
        "check the clock and the certificates of this machine."
    ),
    # the service: refused (docs/facts/segmind-api.md 1.4)
    "bad_body": "The service did not accept the request: {detail}. Nothing was charged; change the settings.",
    "key_missing": "The service saw no API key. Nothing was charged; the owner must set SEGMIND_API_KEY.",
    "key_refused": "The service refused the API key: {detail}. Nothing was charged; check the key.",
    "out_of_credits": "The credits of this API key are used up: {detail}. Nothing was charged; add credits first.",
    "not_allowed": "The service does not allow this key to use the model: {detail}. Nothing was charged.",
    "model_unknown": "The service does not know the model (404): {detail}. Nothing was charged; see its status page.",
    "wrong_method": "The service has changed its address or method (405). Nothing was charged; update this program.",
    "wrong_content_type": (
        "The service did not accept the form of the request (406): {detail}. Nothing was charged; "
        "this is a fault of this program."
    ),
    "team_spend_limit": (
        "The spend limit of the account is reached: {detail}. Nothing was charged; its owner can raise it."
    ),
    "value_refused": "The service refused a value: {detail}. Nothing was charged; change the settings.",
    "model_retired": "The service has retired this model (410): {detail}. Nothing was charged.",
    "refused_before_run": "The service refused the job: {detail}. Nothing was charged; change the settings.",
    "rate_limited": "The service asks to wait {seconds} s (429). Nothing was charged; it is tried again by itself.",
    "service_failed": (
        "The service failed on this request (500): {detail}. By its price rules nothing was charged; "
        "often a setting is the reason."
    ),
    "service_moved": "The service answered with a redirect ({status}). Nothing was charged; update this program.",
    "refused": "The service answered {status}: {detail}. Nothing was charged; try again later.",
    # the service: sent, no usable answer
    "no_answer": (
        "The request was sent and no answer came ({reason}). It may have been charged, so it is not sent again; "
        "the owner can look at the account's generations."
    ),
    "gateway_failed": (
        "A gateway answered {status} instead of the service. It may have been charged, so it is not sent again; "
        "the owner can look at the account's generations."
    ),
    "unreadable_answer": (
        "The service took the request but its answer cannot be understood ({reason}). It may have been charged, "
        "so it is not sent again; the owner can look at the account's generations."
    ),
    "refused_but_charged": (
        "The service refused the request ({status}: {detail}), and yet it names a charge. It counts as charged, so "
        "it is not sent again; the owner can look at the account's generations."
    ),
    "interrupted": (
        "The program was stopped while the request was under way. It may have been charged, so it is not sent again; "
        "the owner can look at the account's generations."
    ),
    # troubles met after a job was sent, each beside the code that is used before
    "unreachable_sent": (
        "The video service cannot be reached just now ({reason}). The video was sent before, so it counts as charged; "
        "it is asked about again by itself."
    ),
    "tls_failed_sent": (
        "No secure connection to the video service ({reason}). The video was sent before, so it counts as charged; "
        "it is asked about again by itself. Check the clock and the certificates of this machine."
    ),
    "rate_limited_sent": (
        "The service asks to wait {seconds} s (429). The video was sent before, so it counts as charged; "
        "it is asked about again by itself."
    ),
    "key_missing_sent": (
        "The service saw no API key. The video was sent before, so it counts as charged; "
        "it is asked about again by itself. The owner must set SEGMIND_API_KEY."
    ),
    "key_refused_sent": (
        "The service refuses the API key now: {detail}. The video was sent before, so it counts as charged; "
        "it is asked about again by itself. Check the key."
    ),
    "not_allowed_sent": (
        "The service does not let this key ask about the video: {detail}. It was sent before, so it counts as charged; "
        "it is asked about again by itself."
    ),
    "job_failed_sent": (
        "The service says that it could not make this video: {detail}. It is asked again before that is believed; "
        "until then the video counts as charged."
    ),
    "job_failed_unexplained_sent": (
        "The service says that it could not make this video and gives no reason. It is asked again before that is "
        "believed; until then the video counts as charged."
    ),
    "disk_full_sent": (
        "The disk is nearly full ({free} free). The video was sent before, so it counts as charged; "
        "it goes on by itself when there is room."
    ),
    "disk_read_only_sent": (
        "The data folder cannot be written. The video was sent before, so it counts as charged; "
        "it goes on by itself when the folder can be written."
    ),
    "ledger_busy_sent": (
        "The ledger is busy. The video was sent before, so it counts as charged; it goes on by itself in a moment."
    ),
    # the service: afterwards
    "job_failed": "The service could not make this video: {detail}. Nothing was charged; change the settings.",
    "job_failed_unexplained": (
        "The service could not make this video and gave no reason. Nothing was charged; "
        "try again, or change the settings."
    ),
    "job_failed_charged": (
        "The service says that request {request_id} failed, and yet it charges for it or said before that it was done. "
        "It counts as charged; look again later, or look for it in the account's generations."
    ),
    "request_id_reused": (
        "The service gave this video the request id of another one ({request_id}), so what comes of it is not shown. "
        "It may have been charged; the owner can look for it in the account's generations."
    ),
    "request_expired": (
        "The service no longer knows request {request_id}. It was charged or may have been; "
        "look for it in the account's generations."
    ),
    "bad_answer": "The service answered with something unexpected ({reason}). Nothing is lost; it is asked again.",
    "no_video_in_result": (
        "The service says request {request_id} is done but names no video. It was charged; "
        "look for it in the account's generations."
    ),
    "link_refused": (
        "The address of the finished video is not safe to open ({reason}). It was charged; "
        "fetch it from the account's generations."
    ),
    "download_failed": (
        "The video is finished but could not be fetched yet ({reason}). It was charged; it is tried again by itself."
    ),
    "video_unreadable": (
        "What came for request {request_id} is whole but cannot be played. It was charged; "
        "the file is kept in the data folder as {file}, and can be fetched again."
    ),
    "preview_gone": (
        "The local preview was restarted before this video was done. Nothing was charged; press Generate again."
    ),
    "video_lost": (
        "The video of request {request_id} was made and charged, but its file cannot be had now. "
        "Look again later, or look for it in the account's generations."
    ),
    "said_charged": "The owner found that this job was charged; no video came of it. Its price stays counted.",
    "said_not_charged": "The owner found that this job was not charged. Nothing is counted; press Generate again.",
}


# Of a price above what was shown or allowed: whoever asks can agree to it.
PRICE_REFUSALS: Final = ("price_changed", "price_not_shown")

_SENT: Final = "_sent"


def code_when_sent(code: str) -> str:
    """Return the code whose sentence is true of a job that was sent before the trouble came."""
    return code + _SENT if code + _SENT in SENTENCES else code


class HunyuanUIError(Exception):
    """Base of every error this program raises on purpose.

    Args:
        code: A key of `SENTENCES`.
        facts: Values for the places in that sentence; never a key or a prompt.
    """

    def __init__(self, code: str, /, **facts: object) -> None:
        self.code = code
        self.facts = facts
        super().__init__(code)

    def __str__(self) -> str:
        return SENTENCES[self.code].format_map(self.facts)


class SettingsError(HunyuanUIError):
    """An environment variable or option is missing or wrong."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__("setting", name=name, problem=problem)


class InvalidRequestError(HunyuanUIError):
    """A field of the request is wrong; `field` is its wire name."""

    def __init__(self, code: str, /, *, field: str, **facts: object) -> None:
        super().__init__(code, **facts)
        self.field = field


class SpendLimitError(HunyuanUIError):
    """The job would pass a limit, or spending is not allowed here."""


class AccessError(HunyuanUIError):
    """The job is not there, or is somebody else's."""


class StorageError(HunyuanUIError):
    """The disk or the ledger cannot be used, so nothing may be spent."""


class MediaError(HunyuanUIError):
    """The file is not a whole MP4, or cannot be read or written."""


class EndpointError(HunyuanUIError):
    """Base of everything the video service or the way to it can do."""

    @property
    def cost_usd(self) -> float | None:
        """What the answer said was charged, in US dollars, whatever else it said."""
        cost = self.facts.get("cost")
        return cost if isinstance(cost, float) else None


class EndpointUnreachableError(EndpointError):
    """The request never left; trying again costs nothing."""


class EndpointStatusError(EndpointError):
    """The service answered and refused; nothing was charged."""


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
    """The request was sent and no usable answer came; it may have been charged."""


class JobFailedError(EndpointError):
    """The service accepted the job and then could not make it; nothing was charged."""


class RequestExpiredError(EndpointError):
    """The service no longer knows the request id."""


class UnexpectedResponseError(EndpointError):
    """A GET was answered with something that is not the contract; it may be asked again."""


class DownloadError(EndpointError):
    """The video exists, but fetching it failed.

    Args:
        retryable: Whether the same address is worth another try.
        expired: Whether a fresh address must be asked for first.
    """

    def __init__(self, code: str, /, *, retryable: bool = True, expired: bool = False, **facts: object) -> None:
        super().__init__(code, **facts)
        self.retryable = retryable
        self.expired = expired
