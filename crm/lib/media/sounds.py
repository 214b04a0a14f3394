"""Sounds and films, by PyAV (FFmpeg): measures, waveforms, first frames, and other containers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler
from PIL import Image

from crm.lib.media.pictures import MOST_PIXELS, THUMBNAIL
from crm.lib.media.refusals import NoPicture, OtherCodec, TooLarge

PEAKS = 64
# A waveform is drawn from samples at this rate; the rest is thrown away while it is decoded.
RATE = 8000
# WhatsApp's own voice notes: 48 kHz, one channel, about 32 kbit/s.
VOICE_RATE = 48000
VOICE_BITS = 32000
LONGEST_DECODED = 2 * 3600


def look_at_sound(source: Path) -> dict[str, Any]:
    """Duration and waveform of the first sound in it."""
    with av.open(str(source)) as container:
        peaks, seconds = _waveform(container)
    return {"seconds": seconds, "peaks": peaks}


def look_at_film(source: Path, folder: Path) -> dict[str, Any]:
    """Measures, duration, and its first frame as the thumbnail."""
    with av.open(str(source)) as container:
        if not container.streams.video:
            raise NoPicture
        stream = container.streams.video[0]
        if stream.width * stream.height > MOST_PIXELS:
            raise TooLarge
        frame = next(container.decode(stream))
        seconds = container.duration / av.time_base if container.duration else None
        picture = frame.to_image()
        turn = int(getattr(frame, "rotation", 0) or 0) % 360
    if turn:
        picture = picture.rotate(turn, expand=True)
    width, height = picture.size
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    picture.save(folder / "thumbnail.webp", quality=72, method=4)
    return {"width": width, "height": height, "seconds": seconds}


def make_film(source: Path, folder: Path) -> dict[str, Any]:
    """H.264 and AAC go into an MP4 that begins to play before it has all arrived."""
    target = folder / "film.mp4"
    with av.open(str(source)) as given:
        if not given.streams.video:
            raise NoPicture
        picture = given.streams.video[0]
        sounds = given.streams.audio
        if picture.codec_context.name != "h264" or len(sounds) > 1:
            raise OtherCodec
        if sounds and sounds[0].codec_context.name != "aac":
            raise OtherCodec
        with av.open(
            str(target), "w", format="mp4", options={"movflags": "faststart", "map_metadata": "-1"}
        ) as made:
            _pass_through(given, made, [picture, *sounds])
    return {"file": target.name, "mime": "video/mp4", **look_at_film(target, folder)}


def make_voice(source: Path, folder: Path) -> dict[str, Any]:
    """Ogg/Opus with one channel. A browser's own Opus is not encoded a second time."""
    target = folder / "voice.ogg"
    with av.open(str(source)) as given:
        stream = given.streams.audio[0]
        is_ready = stream.codec_context.name == "opus" and stream.codec_context.channels == 1
        with av.open(str(target), "w", format="ogg") as made:
            if is_ready:
                _pass_through(given, made, [stream])
            else:
                _encode(given, made, "libopus", rate=VOICE_RATE, bits=VOICE_BITS)
    return {"file": target.name, "mime": "audio/ogg; codecs=opus", **look_at_sound(target)}


def make_playable(source: Path, folder: Path) -> dict[str, Any]:
    """M4A with AAC, one channel."""
    target = folder / "playable.m4a"
    with (
        av.open(str(source)) as given,
        av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as made,
    ):
        _encode(given, made, "aac", rate=44100, bits=64000)
    return {"file": target.name, "mime": "audio/mp4"}


def _pass_through(given: Any, made: Any, streams: list[Any]) -> None:
    """Packets as they are, from one container into another, beginning at zero."""
    copies = {stream.index: made.add_stream_from_template(stream) for stream in streams}
    first: dict[int, int] = {}
    for packet in given.demux(streams):
        if packet.dts is None:
            continue
        start = first.setdefault(packet.stream.index, packet.dts)
        # Browsers count from when the page began to listen.
        packet.dts -= start
        packet.pts = packet.pts - start if packet.pts is not None else packet.dts
        packet.stream = copies[packet.stream.index]
        made.mux(packet)


def _encode(given: Any, made: Any, codec: str, *, rate: int, bits: int) -> None:
    stream = made.add_stream(codec, rate=rate)
    stream.layout = "mono"
    stream.bit_rate = bits
    resampler = AudioResampler(format=stream.format, layout="mono", rate=rate)
    for frame in _frames(given):
        for resampled in resampler.resample(frame):
            resampled.pts = None
            made.mux(stream.encode(resampled))
    for resampled in resampler.resample(None):
        resampled.pts = None
        made.mux(stream.encode(resampled))
    made.mux(stream.encode(None))


def _frames(container: Any) -> Iterator[Any]:
    seconds = 0.0
    for frame in container.decode(container.streams.audio[0]):
        seconds += frame.samples / frame.sample_rate
        if seconds > LONGEST_DECODED:
            raise TooLarge
        yield frame


def _waveform(container: Any) -> tuple[list[int], float]:
    """At most PEAKS bars, the loudest 100, and the seconds that were really decoded.

    The duration that a container announces may be missing (a browser's webm) or a lie.
    """
    resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
    loud: list[int] = []  # one value for each tenth of a second
    rest = array("h")
    samples = 0
    for frame in _resampled(container, resampler):
        samples += frame.samples
        rest.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
        while len(rest) >= RATE // 10:
            loud.append(_loudness(rest[: RATE // 10]))
            del rest[: RATE // 10]
    if rest:
        loud.append(_loudness(rest))
    return _bars(loud), samples / RATE


def _resampled(container: Any, resampler: AudioResampler) -> Iterator[Any]:
    for frame in _frames(container):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _loudness(samples: array[int]) -> int:
    return int(math.sqrt(sum(sample * sample for sample in samples) / len(samples)))


def _bars(loud: list[int]) -> list[int]:
    """Stretched or gathered to PEAKS bars, by the loudest in each."""
    if not loud:
        return []
    top = max(max(loud), 1)
    bars = []
    for bar in range(PEAKS):
        start = bar * len(loud) // PEAKS
        end = max((bar + 1) * len(loud) // PEAKS, start + 1)
        # The square root: quiet speech is seen too.
        bars.append(round(100 * math.sqrt(max(loud[start:end]) / top)))
    return bars
