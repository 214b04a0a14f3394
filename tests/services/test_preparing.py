"""What becomes of an agent's file on its way out."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image

from crm.errors import Invalid
from crm.lib.media import workshop
from crm.lib.media.workshop import Unreadable
from crm.services import files
from tests import media


def test_a_picture_leaves_upright_and_tells_nothing(folder, tmp_path):
    source = media.picture(tmp_path / "a.jpg", size=(400, 200), tells=True)
    made = files.prepare_for_message(source, name="a.jpg", folder=folder)
    assert (made.kind, made.mime_type, made.note) == ("image", "image/jpeg", "")
    with Image.open(made.path) as image:
        assert image.size == (200, 400)
        assert not image.getexif()
    assert b"Ana" not in made.path.read_bytes()
    assert (made.look.width, made.look.height) == (200, 400)
    with Image.open(made.look.thumbnail) as image:
        assert image.format == "WEBP"


def test_a_clean_picture_keeps_its_bytes(folder, tmp_path):
    source = media.picture(tmp_path / "a.png")
    made = files.prepare_for_message(source, name="a.png", folder=folder)
    assert made.path.read_bytes() == source.read_bytes()


def test_what_is_glued_to_a_picture_does_not_leave_with_it(folder, tmp_path):
    source = media.picture(tmp_path / "a.jpg")
    source.write_bytes(source.read_bytes() + b"<script>alert(1)</script>")
    made = files.prepare_for_message(source, name="a.jpg", folder=folder)
    assert made.kind == "image"
    assert b"script" not in made.path.read_bytes()


def test_a_picture_that_is_too_big_is_made_smaller(folder, tmp_path):
    source = media.noise(tmp_path / "a.jpg", size=(3000, 2400))
    assert source.stat().st_size > 5 * 1024 * 1024
    made = files.prepare_for_message(source, name="a.jpg", folder=folder)
    assert made.kind == "image"
    assert made.path.stat().st_size <= 5 * 1024 * 1024
    assert "smaller" in made.note


@pytest.mark.parametrize("ending", ["webp", "bmp", "tiff"])
def test_other_pictures_become_jpeg(folder, tmp_path, ending):
    source = media.picture(tmp_path / f"a.{ending}")
    made = files.prepare_for_message(source, name=f"a.{ending}", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("image", "image/jpeg", "a.jpg")


def test_what_cannot_be_read_as_a_picture_goes_as_a_document_and_says_so(folder, tmp_path):
    whole = media.picture(tmp_path / "a.jpg", size=(800, 600)).read_bytes()
    cases = {"cut.jpg": whole[:2000], "huge.png": media.huge_png()}
    for name, content in cases.items():
        source = tmp_path / name
        source.write_bytes(content)
        made = files.prepare_for_message(source, name=name, folder=folder)
        assert made.kind == "document", name
        assert made.note, name


def test_a_film_keeps_its_streams_and_gets_a_first_frame(folder, tmp_path):
    source = media.film(tmp_path / "a.mov", form="mov")
    made = files.prepare_for_message(source, name="a.mov", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("video", "video/mp4", "a.mp4")
    assert (made.look.width, made.look.height) == (160, 120)
    assert made.look.seconds == pytest.approx(2, abs=0.2)
    assert made.look.thumbnail is not None


def test_a_moving_picture_becomes_a_short_film_and_a_still_one_a_picture(folder, tmp_path):
    moving = media.moving(tmp_path / "risa.gif")
    made = files.prepare_for_message(moving, name="risa.gif", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("video", "video/mp4", "risa.mp4")
    assert (made.look.width, made.look.height) == (120, 80)
    # Four tenths of a second, again and again.
    assert made.look.seconds == pytest.approx(3.2, abs=0.2)
    assert "video" in made.note
    still = media.moving(tmp_path / "quieto.gif", frames=1)
    made = files.prepare_for_message(still, name="quieto.gif", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("image", "image/png", "quieto.png")
    broken = tmp_path / "roto.gif"
    broken.write_bytes(moving.read_bytes()[:60])
    assert files.prepare_for_message(broken, name="roto.gif", folder=folder).kind == "document"


def test_a_film_that_whatsapp_does_not_play_goes_as_a_document(folder, tmp_path):
    source = media.film(tmp_path / "a.webm", form="webm", codec="libvpx")
    made = files.prepare_for_message(source, name="a.webm", folder=folder)
    assert made.kind == "document"
    assert "video" in made.note


@pytest.mark.parametrize(
    ("form", "codec", "mime"),
    [
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("adts", "aac", "audio/aac"),
        ("ipod", "aac", "audio/mp4"),
        ("mp4", "aac", "audio/mp4"),
        ("ogg", "libopus", "audio/ogg; codecs=opus"),
        ("amr", "libopencore_amrnb", "audio/amr"),
    ],
)
def test_sounds_that_whatsapp_plays_are_measured(folder, tmp_path, form, codec, mime):
    source = media.sound(tmp_path / "a", form=form, codec=codec)
    made = files.prepare_for_message(source, name="a", folder=folder)
    assert (made.kind, made.mime_type) == ("audio", mime)
    assert made.look.seconds == pytest.approx(1, abs=0.2)
    assert max(made.look.peaks) == 100


def test_a_sound_of_another_kind_goes_as_a_document(folder, tmp_path):
    source = media.sound(tmp_path / "a.wav", form="wav", codec="pcm_s16le")
    made = files.prepare_for_message(source, name="a.wav", folder=folder)
    assert made.kind == "document"


@pytest.mark.parametrize(
    ("form", "codec", "layout"),
    [("webm", "libopus", "mono"), ("webm", "libopus", "stereo"), ("mp4", "aac", "mono")],
)
def test_what_a_browser_recorded_becomes_a_voice_note(folder, tmp_path, form, codec, layout):
    source = media.sound(tmp_path / "a", form=form, codec=codec, layout=layout, seconds=1.5)
    made = files.prepare_voice(source, folder=folder)
    assert made.is_voice
    assert made.mime_type == "audio/ogg; codecs=opus"
    head = made.path.read_bytes()[:100]
    at = head.index(b"OpusHead")
    assert head[at + 9] == 1, "one channel"
    assert made.look.seconds == pytest.approx(1.5, abs=0.2)


def test_a_recording_without_sound_is_refused_in_words(folder, tmp_path):
    source = tmp_path / "a.webm"
    source.write_bytes(b"\x1aE\xdf\xa3 nothing in it")
    with pytest.raises(Invalid, match="microphone"):
        files.prepare_voice(source, folder=folder)


def test_documents_keep_their_bytes_and_say_what_may_be_refused(folder, tmp_path):
    source = tmp_path / "a"
    source.write_bytes(media.SVG_WITH_SCRIPT)
    made = files.prepare_for_message(source, name="logo.svg", folder=folder)
    assert (made.kind, made.mime_type) == ("document", "text/plain")
    assert "does not show" in made.note
    # Called a photo, and none: who attached it should know before it leaves.
    assert "cannot be read" in files.prepare_for_message(source, name="a.jpg", folder=folder).note
    assert files.prepare_for_message(source, name="a.txt", folder=folder).note == ""
    source.write_bytes(b"PK\x03\x04" + b"\0" * 50)
    assert files.prepare_for_message(source, name="a.zip", folder=folder).note


def test_a_body_that_is_too_long_stops_at_its_limit(folder):
    stream = io.BytesIO(b"x" * (3 * 1024 * 1024))
    with pytest.raises(files.FileTooLarge, match="1 MB"):
        files.receive(stream, folder, most=1024 * 1024)
    with pytest.raises(Invalid):
        files.receive(io.BytesIO(b""), folder, most=10)


def test_the_workshop_outlives_what_it_looks_at(folder, tmp_path):
    for content in (b"", b"\xff\xd8\xff" + os.urandom(5000), media.huge_png(), b"RIFF0000WEBP"):
        source = tmp_path / "odd"
        source.write_bytes(content)
        for mime in ("image/png", "video/mp4", "audio/ogg"):
            with pytest.raises(Unreadable):
                workshop.look_at(source, mime, folder=folder)
