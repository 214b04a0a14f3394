"""What an agent's file becomes on its way out: its kind of message, and bytes that WhatsApp takes.

Pictures are turned upright, freed of what they tell about camera and place, and made smaller where
they are too big. Films in another container are put into an MP4. What fits no kind travels as a
document, and `note` says why, before anything is sent.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field, replace
from pathlib import Path

from crm.errors import Invalid
from crm.lib.media import types, workshop
from crm.lib.media.workshop import Look, Unreadable
from crm.services.files.purposes import LIMITS, PICTURES, SURE_DOCUMENTS, Purpose
from crm.services.files.receiving import FileTooLarge

MEGABYTE = 1024 * 1024
LARGEST_PNG_IN = 64 * MEGABYTE
# What a person is told beside the file before it is sent.
NOTES = {
    "picture_unreadable": "This picture cannot be read; it goes as a document.",
    "other_film": "WhatsApp does not play this kind of video; it goes as a document.",
    "other_picture": "WhatsApp does not show this kind of picture; it goes as a document.",
    "sound_unreadable": "This sound cannot be read; it goes as a document.",
    "other_sound": "WhatsApp does not play this kind of sound; it goes as a document.",
    "loop": "It moves, so it goes as a short video.",
    "over_16": "It is over 16 MB, so it goes as a document.",
    "smaller": "It was over 5 MB and has been made smaller.",
    "locked": "It is protected by a password, which the customer needs to open it.",
    "unsure": "WhatsApp does not promise to take this type of file.",
}

PORTRAIT_SIDE = 512


@dataclass(frozen=True)
class Prepared:
    """A file ready to be stored. `kind` is a message_type; `note` an English msgid, or empty."""

    path: Path
    kind: str
    mime_type: str
    name: str
    look: Look = field(default_factory=Look)
    is_voice: bool = False
    note: str = ""


def prepare_for_message(source: Path, *, name: str, folder: Path) -> Prepared:
    """Decide what the file is by its bytes, and make of it what WhatsApp takes.

    Raises FileTooLarge for what is too big even for a document.
    """
    mime = _sniff(source, name)
    name = types.clean_name(name, mime=mime)
    note = ""
    if mime in PICTURES:
        try:
            return _picture(source, name, mime, folder, LIMITS["image"].most_bytes)
        except Unreadable:
            note = NOTES["picture_unreadable"]
    elif mime == "image/gif":
        try:
            return _loop(source, name, folder)
        except Unreadable:
            note = NOTES["picture_unreadable"]
    elif mime.startswith("video/"):
        try:
            return _film(source, name, mime, folder)
        except Unreadable as error:
            if error.reason == "sound":
                return prepare_for_sound(source, name, "audio/mp4", folder)
            note = NOTES["other_film"]
    elif mime.startswith("audio/"):
        return prepare_for_sound(source, name, mime, folder)
    elif mime.startswith("image/"):
        note = NOTES["other_picture"]
    document = _document(source, name, mime, note or _note_of_name(name))
    if mime not in types.PAPERS:
        return document
    try:
        look = workshop.look_at(source, mime, folder=folder)
    except Unreadable:
        # It may be broken in a way that its reader mends: it goes as it is.
        return document
    return replace(document, look=look, note=NOTES["locked"] if look.is_locked else document.note)


def _note_of_name(name: str) -> str:
    """What is called a picture, film or sound and is none: the person expects to send one."""
    called = mimetypes.guess_type(name)[0] or ""
    if called in PICTURES:
        return NOTES["picture_unreadable"]
    family = called.partition("/")[0]
    words = {"image": "other_picture", "video": "other_film", "audio": "other_sound"}.get(family)
    return NOTES[words] if words else ""


def prepare_for_sound(source: Path, name: str, mime: str, folder: Path) -> Prepared:
    """A sound that WhatsApp plays, or a document."""
    limits = LIMITS["audio"]
    plays = types.plain(mime) in limits.types and mime != "audio/ogg"
    if plays and source.stat().st_size <= limits.most_bytes:
        try:
            look = workshop.look_at(source, mime, folder=folder)
        except Unreadable:
            note = NOTES["sound_unreadable"]
        else:
            return Prepared(source, "audio", mime, name, look)
    else:
        note = NOTES["other_sound"]
        if plays:
            note = NOTES["over_16"]
    return _document(source, name, mime, note)


def prepare_voice(source: Path, *, folder: Path) -> Prepared:
    """What a browser recorded becomes a voice note. Invalid if there is no sound in it."""
    try:
        made = workshop.make_voice(source, "audio/webm", folder=folder)
    except Unreadable as error:
        raise Invalid("Nothing was recorded. Check the microphone and try again.") from error
    if made.look.seconds is None or made.look.seconds < 0.3:
        raise Invalid("The recording is too short.")
    if made.path.stat().st_size > LIMITS["audio"].most_bytes:
        raise FileTooLarge(limit=16)
    return Prepared(made.path, "audio", types.OGG_OPUS, "nota-de-voz.ogg", made.look, is_voice=True)


def prepare_picture(source: Path, *, name: str, folder: Path, purpose: Purpose) -> Prepared:
    """An avatar or a logo: a picture and nothing else. Invalid for anything that is none."""
    mime = _sniff(source, name)
    if mime not in PICTURES:
        raise Invalid("Choose a picture: JPEG, PNG or WebP.")
    try:
        return _picture(source, types.clean_name(name, mime=mime), mime, folder, purpose.most_bytes)
    except Unreadable as error:
        raise Invalid("This picture cannot be read. Choose another one.") from error


def prepare_portrait(source: Path, *, name: str, folder: Path) -> Prepared:
    """The picture of a person: a square of PORTRAIT_SIDE pixels at most. Invalid for what is none.

    Always written anew: nothing of the upload's own bytes, and nothing it told, is kept.
    """
    mime = _sniff(source, name)
    if mime not in PICTURES:
        raise Invalid("Choose a picture: JPEG, PNG or WebP.")
    try:
        made = workshop.make_portrait(source, mime, folder=folder, side=PORTRAIT_SIDE)
    except Unreadable as error:
        raise Invalid("This picture cannot be read. Choose another one.") from error
    named = _with_ending(types.clean_name(name, mime=mime), made.mime_type)
    return Prepared(made.path, "image", made.mime_type, named, made.look)


def _sniff(source: Path, name: str) -> str:
    with open(source, "rb") as file:
        return types.sniff(file.read(types.HEAD), name=name)


def _picture(source: Path, name: str, mime: str, folder: Path, most: int) -> Prepared:
    if source.stat().st_size > LARGEST_PNG_IN:
        raise Unreadable("pixels")
    made = workshop.make_picture(source, mime, folder=folder, most_bytes=most)
    shrunk = source.stat().st_size > most
    return Prepared(
        made.path,
        "image",
        made.mime_type,
        _with_ending(name, made.mime_type),
        made.look,
        note=NOTES["smaller"] if shrunk else "",
    )


def _loop(source: Path, name: str, folder: Path) -> Prepared:
    """A GIF as WhatsApp sends it: a short film, or a picture where it does not move."""
    try:
        made = workshop.make_loop(source, "image/gif", folder=folder)
    except Unreadable as error:
        if error.reason != "still":
            raise
        return _picture(source, name, "image/gif", folder, LIMITS["image"].most_bytes)
    named = _with_ending(name, "video/mp4")
    return Prepared(made.path, "video", "video/mp4", named, made.look, note=NOTES["loop"])


def _film(source: Path, name: str, mime: str, folder: Path) -> Prepared:
    made = workshop.make_film(source, mime, folder=folder)
    if made.path.stat().st_size > LIMITS["video"].most_bytes:
        document = _document(source, name, mime, NOTES["over_16"])
        return replace(document, look=Look(seconds=made.look.seconds))
    return Prepared(made.path, "video", "video/mp4", _with_ending(name, "video/mp4"), made.look)


def _document(source: Path, name: str, mime: str, note: str) -> Prepared:
    if source.stat().st_size > LIMITS["document"].most_bytes:
        raise FileTooLarge(limit=100)
    if not note and mime not in SURE_DOCUMENTS:
        note = NOTES["unsure"]
    return Prepared(source, "document", mime, name, note=note)


def _with_ending(name: str, mime: str) -> str:
    """'foto.webp' -> 'foto.jpg' where a JPEG was made of it."""
    stem, dot, tail = name.rpartition(".")
    wanted = types.ending(mime)
    same = {wanted, "jpeg"} if wanted == "jpg" else {wanted}
    if dot and tail.lower() in same:
        return name
    return f"{stem if dot and len(tail) <= 5 else name}.{wanted}"
