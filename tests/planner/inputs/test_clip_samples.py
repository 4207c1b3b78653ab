"""WAV clips of every common kind give the same numbers; what cannot be read costs one line."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from planner.errors import DataError
from planner.inputs.clip_samples import clip_samples
from planner.inputs.dataset import Input
from planner.inputs.load_samples import check_names, load_data
from planner.inputs.wav_file import read_wav
from planner.scenario.data_schema import SampleSpec

RATE, LENGTH = 8000, 100
X = Input("x", "float32", (1, LENGTH))
TONE = np.round(np.sin(np.arange(LENGTH) / 5) * 100) / 128  # exact in 8 bits


def encoded(values: np.ndarray, bits: int) -> bytes:
    """Samples of shape [frames] or [frames, channels] as PCM."""
    if bits == 8:
        return (values * 128 + 128).astype(np.uint8).tobytes()
    whole = (values * 2.0 ** (bits - 1)).astype("<i4")
    return whole[..., None].view(np.uint8)[..., : bits // 8].tobytes()


def save(path: Path, values=TONE, bits: int = 16, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.ndim if values.ndim == 1 else values.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(encoded(values, bits))
    return path


def extensible(content: bytes, tag: int) -> bytes:
    """The same file with the longer format of newer programs."""
    assert content[12:16] == b"fmt "
    fields = content[22:36]
    guid = struct.pack("<H", tag) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunk = struct.pack("<H", 0xFFFE) + fields + struct.pack("<HHI", 22, 16, 0) + guid
    rest = b"LIST" + struct.pack("<I", 3) + b"odd\0" + content[36:]
    body = b"WAVEfmt " + struct.pack("<I", len(chunk)) + chunk + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_width_and_number_of_channels_gives_the_same_numbers(tmp_path, bits, channels):
    around = np.linspace(-1, 1, channels) if channels > 1 else np.zeros(1)
    several = TONE[:, None] / 2 + around / 8
    path = save(tmp_path / "a.wav", several, bits)
    rate, values = read_wav(path, "d")
    assert rate == RATE
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, TONE / 2, atol=2.0 ** (1 - bits) * 1.01)
    path.write_bytes(extensible(path.read_bytes(), 1))
    np.testing.assert_array_equal(read_wav(path, "d")[1], values)


def spec_of(folder: Path, audio: dict | None = None, **keys) -> SampleSpec:
    return SampleSpec(**{"clips": str(folder), "audio": {"rate": RATE} | (audio or {})} | keys)


def test_clips_are_padded_behind_and_cut_to_the_length_of_the_input(tmp_path):
    save(tmp_path / "a.wav", TONE[:40])
    save(tmp_path / "b.WAV", np.tile(TONE, 2))
    (tmp_path / "notes.txt").write_text("no clip")
    for audio in ({}, {"seconds": LENGTH / RATE}):
        data = load_data(spec_of(tmp_path, audio), [X], "d")
        short, long = (feeds["x"] for feeds in data.samples)
        np.testing.assert_allclose(short[0], [*TONE[:40], *np.zeros(60)], atol=1e-6)
        np.testing.assert_allclose(long[0], TONE, atol=1e-6)
        assert data.labels is None


@pytest.mark.parametrize("shape", [(LENGTH,), (1, LENGTH), (1, 1, LENGTH), (1, LENGTH, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_row_of_samples_takes_the_shape_and_type_of_the_input(tmp_path, shape, dtype):
    save(tmp_path / "a.wav")
    (feeds,) = load_data(spec_of(tmp_path, {"full_scale": 32768}), [Input("x", dtype, shape)], "d").samples
    assert (feeds["x"].shape, feeds["x"].dtype) == (shape, np.dtype(dtype))
    np.testing.assert_allclose(feeds["x"].ravel(), TONE * 32768, rtol=1e-3)


def test_folders_and_tables_label_clips_as_they_do_pictures(tmp_path):
    for name in ("yes/a.wav", "no/b.wav", "no/c.wav"):
        save(tmp_path / "clips" / name)
    folder = tmp_path / "clips"
    assert load_data(spec_of(folder, labels="folders"), [X], "d").labels.tolist() == [0, 0, 1]
    ordered = spec_of(folder, labels="folders", classes=("yes", "no"))
    assert load_data(ordered, [X], "d").labels.tolist() == [1, 1, 0]
    (tmp_path / "labels.csv").write_text("path,label\nno/c.wav,no\nyes/a.wav,yes\n")
    table = spec_of(folder, labels=str(tmp_path / "labels.csv"))
    check_names(table, "d")
    assert load_data(table, [X], "d").labels.tolist() == [0, 1]


@pytest.fixture
def own(tmp_path):
    """Write functions that make features, and name one of them."""
    module = f"own_features_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(
        "import numpy as np\n"
        "def frames(samples, rate):\n return samples.reshape(-1, 20).mean(axis=1) * rate\n"
        "def words(samples, rate): return ['a']\n"
        "def nothing(samples, rate): return None\n"
        "def fails(samples, rate): raise ValueError('too\\nshort')\n"
    )

    def named(function: str, folder: Path, **keys) -> SampleSpec:
        spec = spec_of(folder, {"features": f"{module}:{function}", **keys})
        return spec.model_copy(
            update={"audio": spec.audio.model_copy(update={"features": f"{tmp_path}/{module}:{function}"})}
        )

    return named


def test_a_function_of_the_user_makes_features(tmp_path, own):
    save(tmp_path / "c" / "a.wav", np.tile(TONE, 2))
    save(tmp_path / "c" / "b.wav", TONE[:40])
    five = Input("x", "float32", (1, 1, 5, 1))
    spec = own("frames", tmp_path / "c", seconds=LENGTH / RATE)
    check_names(spec, "d")
    long, short = (feeds["x"] for feeds in load_data(spec, [five], "d").samples)
    np.testing.assert_allclose(long.ravel(), TONE.reshape(5, 20).mean(axis=1) * RATE, rtol=1e-3)
    assert np.all(short.ravel()[2:] == 0)
    with pytest.raises(DataError, match=r"d: a\.wav: input 'x' wants shape \[1, 1, 5, 1\], got \[10\]"):
        load_data(own("frames", tmp_path / "c"), [five], "d")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("words", "gives no array of numbers on a.wav"),
        ("nothing", "gives no array of numbers on a.wav"),
        ("fails", r"failed on a\.wav: ValueError: too\\nshort"),
        ("absent", r"d\.audio\.features: .*:absent cannot be used: AttributeError"),
    ],
)
def test_what_a_function_of_the_user_does_wrong_costs_one_line(tmp_path, own, function, message):
    save(tmp_path / "c" / "a.wav")
    with pytest.raises(DataError, match=message):
        load_data(own(function, tmp_path / "c"), [X], "d")


def bad_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    good = save(folder / "good.wav").read_bytes()
    return {
        "empty": (b"", "is no WAV file"),
        "text": (b"hello" * 20, "is no WAV file"),
        "mp3": (b"ID3\x04" + bytes(60), "is no WAV file"),
        "avi": (b"RIFF\x24\0\0\0AVI " + bytes(30), "is no WAV file"),
        "header": (good[:12], "is no whole WAV file: it does not say its format"),
        "half a format": (good[:24], "is no whole WAV file"),
        "no data": (good[:36], "is no whole WAV file"),
        "cut off": (good[:-50], "is cut off: its header says 100 samples"),
        "streamed": (good[:40] + b"\xff\xff\xff\xff" + good[44:], "is cut off: its header says"),
        "no samples": (save(folder / "e.wav", TONE[:0]).read_bytes(), "holds no samples"),
        "float": (good[:20] + b"\3\0" + good[22:], "holds floating point; convert it to PCM"),
        "float, extensible": (extensible(good, 3), "holds floating point; convert it to PCM"),
        "A-law": (good[:20] + b"\6\0" + good[22:], "holds A-law; convert it to PCM"),
        "mu-law": (good[:20] + b"\7\0" + good[22:], "holds mu-law; convert it to PCM"),
        "unknown": (good[:20] + b"\x99\x09" + good[22:], "holds encoding 2457; convert it to PCM"),
        "no channels": (good[:22] + b"\0\0" + good[24:], "is no whole WAV file: bad # of channels"),
        "no rate": (good[:24] + b"\0\0\0\0" + good[28:], "has 16 bits at 0 Hz"),
        "no bits": (good[:34] + b"\0\0" + good[36:], "is no whole WAV file: bad sample width"),
        "64 bits": (good[:34] + b"\x40\0" + good[36:], "has 64 bits at 8000 Hz; 8 to 32 bits are read"),
        "CD": (save(folder / "cd.wav", rate=44_100).read_bytes(), "has 44100 Hz, but audio.rate says 8000"),
    }  # fmt: skip


BAD = (
    "empty", "text", "mp3", "avi", "header", "half a format", "no data", "cut off", "streamed", "no samples",
    "float", "float, extensible", "A-law", "mu-law", "unknown", "no channels", "no rate", "no bits",
    "64 bits", "CD",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_read_costs_one_line_with_its_name(tmp_path, name):
    content, message = bad_files(tmp_path / "made")[name]
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.wav").write_bytes(content)
    with pytest.raises(DataError) as told:
        load_data(spec_of(folder), [X], "data.evaluation")
    assert str(told.value).startswith(f"data.evaluation.clips: {folder}/a.wav ")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_bytes_a_file_has_it_is_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = bytearray(save(tmp_path / "a.wav").read_bytes())
    for place in rng.integers(0, 48, rng.integers(1, 4)):
        content[place] = rng.integers(256)
    (tmp_path / "a.wav").write_bytes(bytes(content[: rng.integers(20, len(content) + 1)]))
    try:
        _, values = read_wav(tmp_path / "a.wav", "d")
    except DataError as exc:
        assert str(exc).startswith("d: ")
    else:
        assert np.abs(values).max() <= 1


@pytest.mark.parametrize(
    ("tensor", "audio", "message"),
    [
        (X, {"seconds": 1}, r"audio: 1 s at 8000 Hz are 8000 samples, but input 'x' wants shape \[1, 100\]"),
        (
            Input("x", "float32", (1, 10, 10)),
            {},
            r"which is no row of samples; name the function",
        ),
        (Input("x", "int16", (1, LENGTH)), {}, "input 'x' wants int16, got float32"),
    ],
)
def test_an_input_that_takes_no_such_row_is_refused(tmp_path, tensor, audio, message):
    save(tmp_path / "a.wav")
    with pytest.raises(DataError, match=message):
        load_data(spec_of(tmp_path, audio), [tensor], "d")


def test_a_folder_that_is_not_there_and_several_inputs_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"d\.clips: .*/none is not a folder"):
        clip_samples(spec_of(tmp_path / "none"), [X], "d")
    with pytest.raises(DataError, match=r"d\.clips: the model has 2 inputs; clips feed one"):
        clip_samples(spec_of(tmp_path), [X, X], "d")
    with pytest.raises(DataError, match=r"with clips give .*; got labels\.json"):
        load_data(spec_of(tmp_path, labels=str(tmp_path / "labels.json")), [X], "d")
