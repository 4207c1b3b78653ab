"""The samples of a WAV file."""

import io
import struct
import wave
from pathlib import Path

import numpy as np

from planner.errors import DataError
from profiling.arrays import Array
from profiling.input_files import read_input
from profiling.printable_text import reason

_MOST_BYTES = 256 * 2**20
_PCM, _EXTENSIBLE = 1, 0xFFFE
_ENCODINGS = {2: "ADPCM", 3: "floating point", 6: "A-law", 7: "mu-law", 17: "ADPCM", 85: "MP3"}
_HEADER, _CHUNK_HEADER = 12, 8
_SUBFORMAT = 24  # bytes into the format of an extensible file
_BIGGEST_WIDTH = 4  # bytes of a sample


def read_wav(path: Path, where: str) -> tuple[int, Array]:
    """Return the samples per second of a WAV file, and its samples: float32, -1 to 1, channels averaged.

    Raises
    ------
    DataError
        If it cannot be read, is not in PCM of 8, 16, 24 or 32 bits, is empty or cut off.
    """
    try:
        content = read_input(path, _MOST_BYTES)
        with wave.open(io.BytesIO(_as_plain_pcm(content))) as file:
            channels, width, rate, count, *_ = file.getparams()
            frames = file.readframes(count)
    except DataError as exc:
        raise DataError(f"{where}: {path} {exc}") from exc
    except OSError as exc:
        raise DataError(f"{where}: {path} cannot be read: {exc.strerror}") from exc
    except (wave.Error, EOFError, struct.error, ValueError, RuntimeError) as exc:
        raise DataError(f"{where}: {path} is no whole WAV file: {reason(exc)}") from exc
    if rate <= 0 or not 0 < width <= _BIGGEST_WIDTH:
        raise DataError(f"{where}: {path} has {8 * width} bits at {rate} Hz; 8 to 32 bits are read")
    if not count:
        raise DataError(f"{where}: {path} holds no samples")
    if len(frames) < count * channels * width:
        raise DataError(f"{where}: {path} is cut off: its header says {count} samples")
    return rate, _values(frames, width).reshape(count, channels).mean(axis=1, dtype=np.float32)


def _as_plain_pcm(content: bytes) -> bytes:
    """Return a file that says it holds PCM as older files do, which the standard library reads.

    Raises
    ------
    DataError
        If it holds another encoding.
    """
    if content[:4] != b"RIFF" or content[8:_HEADER] != b"WAVE":
        raise DataError("is no WAV file")
    place = _HEADER
    while place + _CHUNK_HEADER <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        place += _CHUNK_HEADER
        if name == b"fmt ":
            return _with_pcm_tag(content, place)
        place += size + size % 2
    raise DataError("is no whole WAV file: it does not say its format")


def _with_pcm_tag(content: bytes, place: int) -> bytes:
    (tag,) = struct.unpack_from("<H", content, place)
    if tag == _EXTENSIBLE:  # what the samples are follows
        (tag,) = struct.unpack_from("<H", content, place + _SUBFORMAT)
    if tag != _PCM:
        encoding = _ENCODINGS.get(tag, f"encoding {tag}")
        raise DataError(f"holds {encoding}; convert it to PCM, such as 16 bits")
    return content[:place] + struct.pack("<H", _PCM) + content[place + 2 :]


def _values(frames: bytes, width: int) -> Array:
    """Return little-endian samples as numbers from -1 to 1; those of 8 bits have no sign."""
    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float32) - 128) / 128
    # Widened to 32 bits: the bytes of a sample are the upper ones.
    wide = np.zeros((len(frames) // width, _BIGGEST_WIDTH), np.uint8)
    wide[:, _BIGGEST_WIDTH - width :] = np.frombuffer(frames, np.uint8).reshape(-1, width)
    return np.asarray(wide.view("<i4")[:, 0] / 2.0**31)
