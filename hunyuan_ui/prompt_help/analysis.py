"""Analyses an English prompt: which of the seven parts that the model expects it has, and camera moves (pure).

Word lists and suffixes, no grammar: good enough to advise, never to refuse. Source: docs/facts/users.md 4.1 to 4.3.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from hunyuan_ui.prompt_help.vocabulary import VOCABULARY

Piece = Literal["subject", "motion", "scene", "camera", "light", "style", "shot"]
Move = Literal["forward", "back", "pan", "tilt", "rise", "sink", "sideways", "circle", "zoom", "follow", "roll"]


def is_english(text: str) -> bool:
    """Whether the rules for English words apply to a text: nearly all of its letters are Latin."""
    letters = [character for character in text if character.isalpha()]
    return sum(character < "\u0250" for character in letters) > 0.8 * len(letters)


def pieces(prompt: str) -> frozenset[Piece]:
    """Return which of the seven parts of a good prompt this one has."""
    content = _without_form(prompt)
    found: set[Piece] = {piece for piece, pattern in _SPEAKS_OF.items() if pattern.search(prompt)}
    found |= {group for group, words in VOCABULARY.items() if any(word.clause in prompt.lower() for word in words)}
    if moves(prompt) or asks_for_a_still_camera(prompt):
        found.add("camera")
    if any(word not in _NO_SUBJECT for word in re.findall(r"[a-zà-ÿ]{2,}", content.lower())):
        found.add("subject")
    if _names_motion(content):
        found.add("motion")
    if _PLACE.search(content):
        found.add("scene")
    return frozenset(found)


def moves(prompt: str) -> list[Move]:
    """Return the distinct camera moves in a prompt, in the order of the table."""
    sentences = [sentence for sentence in re.split(r"[.!?;\n]+", prompt) if _CAMERA.search(sentence)]
    return [move for move, pattern in _MOVES.items() if any(pattern.search(sentence) for sentence in sentences)]


def asks_for_a_still_camera(prompt: str) -> bool:
    """Whether the prompt asks for a static camera."""
    return _STILL.search(prompt) is not None


def any_of(*patterns: str, also: str = "") -> re.Pattern[str]:
    """Return a pattern that matches any of these as whole words, in any case.

    Args:
        patterns: Regular expressions of words.
        also: Alternatives in a script without spaces, matched anywhere.
    """
    words = rf"\b(?:{'|'.join(patterns)})\b"
    return re.compile(f"{words}|{also}" if also else words, re.IGNORECASE)


def _names_motion(content: str) -> bool:
    doing = re.findall(r"\b[a-z]{3,}ing\b", content.lower())
    return _MOTION.search(content) is not None or any(word not in _NO_MOTION for word in doing)


def _without_form(prompt: str) -> str:
    """Return the prompt without its set phrases about camera, light and style."""
    content = _SET_PHRASES.sub(" ", prompt)
    return re.sub(r"\b(?:the|a) camera\b[^.!?;,]*", " ", content, flags=re.IGNORECASE)


def _forms(verbs: str) -> list[str]:
    """Return the present forms of regular verbs: walk, walks, walking; gliding; running; flies."""
    forms: list[str] = []
    for verb in verbs.split():
        stem = verb[:-1] if re.search(r"[^e]e$", verb) else verb
        doubled = f"|{verb}{verb[-1]}ing" if re.search(r"[^aeiou][aeiou][bdgmnpt]$", verb) else ""
        third = f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}(?:e?s)?"
        forms.append(f"(?:{verb}|{third}|{stem}ing{doubled})")
    return forms


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SET_PHRASES: Final = re.compile(
    "|".join(
        [
            r"\bin (?:slow )?motion\b|\bin (?:sharp )?focus\b|\b(?:on|with) (?:a )?(?:\d+mm|wide|macro) lens\b",
            *(rf"(?<!\w){re.escape(word.clause)}(?!\w)" for words in VOCABULARY.values() for word in words),
        ]
    ),
    re.IGNORECASE,
)
_CAMERA: Final = any_of(
    *("camera", "shot", "view", "lens", "drone", r"doll(?:y|ies|ying)", "zooms?", "zooming", "panning", "tracking"),
    *("angle", r"pans?(?: \w+ly)? (?:to|left|right)", "(?:slow|quick|gentle|smooth|whip) pan", r"push(?:es)?[ -]in"),
)
_MOVES: Final[dict[Move, re.Pattern[str]]] = {
    "forward": any_of(
        r"(?:moves?|moving|glides?|gliding|flies|flying|pushes|tracks?)(?: \w+ly)? (?:forwards?|closer)",
        *("doll(?:y|ies|ying) in", r"push(?:es|ing)?[ -]in", "forward dolly"),
    ),
    "back": any_of(
        r"(?:moves?|moving|glides?|pulls?|pulling|flies)(?: \w+ly)? (?:back|backwards?|away)",
        *("doll(?:y|ies|ying) out", r"pulls?[ -]out"),
    ),
    "pan": any_of(
        r"pan(?:s|ning)(?: \w+ly)?(?: to)?(?: the)? (?:left|right|across|over)",
        *(r"(?:slow|quick|gentle|smooth|whip|camera) pan", r"pan (?:to the )?(?:left|right)", "panning shot"),
    ),
    "tilt": any_of(r"tilt(?:s|ing)?(?: \w+ly)? (?:up|down|upwards?|downwards?)"),
    "rise": any_of(
        r"(?:moves?|cranes?|booms?|craning)(?: \w+ly)? (?:up|upwards?)", r"camera (?:\w+ly )?rises", "crane shot"
    ),
    "sink": any_of(
        r"(?:moves?|cranes?|booms?)(?: \w+ly)? (?:down|downwards?)", r"camera (?:\w+ly )?(?:sinks|descends)"
    ),
    "sideways": any_of(
        r"(?:moves?|moving|glides?|slides?|trucks?|tracks?)(?: \w+ly)?(?: sideways)?(?: to the)? (?:left|right)",
        "trucking shot",
    ),
    "circle": any_of("circles?", "circling", "orbits?", "orbiting", r"(?:rotates?|rotating|spins?|arcs?) around"),
    "zoom": any_of("zooms?", "zooming"),
    "follow": any_of("follows?", "following", "tracking shot", "tracks? (?:him|her|it|them)"),
    "roll": any_of(r"camera rolls?", r"(?:counter-?)?clockwise roll"),
}
_STILL: Final = any_of(
    r"(?:static|fixed|locked[ -](?:off|down)|stationary|motionless) (?:camera|shot|frame|view|tripod)",
    r"camera (?:is |remains |stays |stands )(?:\w+ly )?(?:static|still|fixed|motionless|stationary|locked)",
    *("camera does not move", "no camera movement", "tripod shot"),
    also="固定镜头|镜头不动|静止镜头",
)
_SPEAKS_OF: Final[dict[Piece, re.Pattern[str]]] = {
    "light": any_of(
        *(r"\w*light(?:s|ing|ed|ly)?", r"\w*lit", r"sun\w*", r"moon\w*", "glow(?:s|ing)?", "shadows?", "silhouettes?"),
        *("neon", "lamps?", "lanterns?", "candles?", "dawn", "dusk", "noon", "golden hour", "overcast"),
        "dark(?:ness)?",
        *("bright", "shade", "rays?", "hazy?", "shimmer(?:s|ing)?", "fire", "night", "twilight", "torch(?:es)?"),
    ),
    "style": any_of(
        *("style", "stylised", "stylized", "look", "cinematic", "documentary", "photograph(?:y|ic)?"),
        "realis(?:m|tic)",
        *("photo-?realistic", "animation", "anime", "animated", "cartoon", "3d", "render(?:ed)?", "low-poly", "clay"),
        *("watercolou?r", "painting", "painted", "illustrat(?:ion|ed)", "ink-wash", "sketch", "pixel art", "vhs"),
        *("black and white", "monochrome", "vintage", "retro", "film grain", "35 ?mm"),
        *("minimalist", "surreal", "noir", "stop[ -]motion", "timelapse", "time-lapse", "tones?", "colou?rs"),
    ),
    "shot": any_of(
        *("shot", "close[ -]?up", "macro", "wide[ -]angle", "angle", r"(?:drone|aerial|first-person|side|top) view"),
        *("drone", "aerial", r"bird'?s[ -]eye", "over[ -]the[ -]shoulder", "point of view", "pov", "fisheye"),
        "portrait",
    ),
}
_PLACE: Final = any_of(
    r"(?:in|on|over|through|across|under|beneath|above|along|beside|near|at|inside|outside|behind|against|between|"
    r"among|amongst|past|towards?|into|onto|down|up|off|around|below|within|from|by) "
    r"(?!(?:the |a |an )?"
    r"(?:motion|slow|focus|time|style|look|detail|camera|night|dawn|dusk|noon|once|first|last|least)\b)"
    r"(?:the |a |an |its |his |her |their |two |three |some |each |\w+ )?\w{3,}",
    *("background", "foreground", "forests?", "beach(?:es)?", "streets?", "mountains?", "sky", "sea", "ocean"),
    "deserts?",
    *("rooms?", "kitchen", "city", "cities", "village", "gardens?", "fields?", "meadows?", "lakes?", "rivers?"),
    "space",
    *("underwater", "indoors?", "outdoors?", "landscapes?", "studio", "skyline", "canyon", "valley", "rooftops?"),
)
_MOTION: Final = any_of(
    *_forms(
        "walk run jump leap fly glide float drift fall drop rise climb dive swim dance spin turn twist roll slide "
        "bounce sway swing wave flow pour splash drip melt burn flicker glow pulse explode burst bloom open close "
        "unfold fold lift carry throw catch hit kick punch push pull drag ride drive sail row steer race chase follow "
        "approach leave enter cross pass circle orbit rotate tumble tilt crawl creep trot gallop hop skip march "
        "stroll wander bound rush speed soar hover flutter flap blow sweep stir chop cut slice knead mix eat drink "
        "bite chew lick smile laugh cry blink nod bow wink breathe sigh sing play strum type paint draw write knit "
        "shake tremble ripple crash roar steam smoke rain snow shatter crack break crumble collapse grow shrink "
        "stretch bend lean reach grab hold pick pause stop start move shift spread scatter gather swirl whirl land "
        "lie bleed shimmer sparkle flash dip sit stand crouch kneel duck dodge stumble step shuffle skate ski surf "
        "paddle pedal juggle"
    ),
    *("runs", "dives", "ripples", "spins", "begins? to", "comes?", "coming", "goes", "going"),
)
# Words in -ing that are no motion, or that name what a camera or a brush did.
_NO_MOTION: Final = _set_of(
    "morning evening building ceiling clothing lighting painting string spring bring king ring wing thing nothing "
    "something everything anything during wedding crossing sling sibling darling feeling meaning earring railing "
    "clearing opening setting drawing backing framing shading grading detailing styling staring striking charming "
    "interesting breathtaking stunning amazing outstanding looking being having including surrounding living dining "
    "matching missing lasting existing boring herring pudding flooring siding"
)
_NO_SUBJECT: Final = _set_of(
    "the an and or of in on at to with by for from into over under its his her their very slowly softly gently "
    "quickly is are be it that this these those while as then first next finally there here where when up down left "
    "right beautiful nice cool good best quality high low detailed highly ultra hd uhd masterpiece cinematic "
    "realistic epic camera shot view video clip scene style light lighting colours colors look please make show "
    "create generate moves moving move running runs walks walking flies flying falls falling slow motion fast"
)
