"""Clips of sound: public data sets and a user's own files."""

__all__ = [
    "DATASETS",
    "FSDD",
    "LJSPEECH_SAMPLE",
    "AudioFiles",
    "Clips",
    "equally_long",
    "fixed_length",
    "known_labels",
    "label_in_file_name",
    "load_clips",
    "load_folder",
    "load_fsdd",
    "load_ljspeech",
    "load_ljspeech_sample",
    "load_sc09",
    "split_fsdd",
    "split_ljspeech_sample",
    "with_labels",
]

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.datasets import Dataset, RemoteFile, load
from rostra.engine.errors import InputError
from rostra.engine.progress import progress

from .audio import Level, find_audio, normalise, read_audio
from .audio import resample as resample_audio

Samples = NDArray[np.float32]
Split = Literal["train", "test", "all"]
SC09Split = Literal["train", "validation", "test", "all"]

IN_MEMORY = 2**30
"""Bytes of float32 samples (3.4 hours at 22,050 Hz) above which a folder's files are read again at each use."""
LISTED_PROBLEMS = 10
"""Files that cannot be used after which the rest is not looked at."""


@dataclass(frozen=True, eq=False)
class AudioFiles(Sequence[Samples]):
    """Audio files as a sequence of arrays, each read when it is asked for: for sets too large for memory.

    Attributes:
        paths: the files.
        lengths: samples of each, int64, shape (n,).
        sample_rate, resample, mix: as for :func:`.read_audio`.
    """

    paths: tuple[Path, ...]
    lengths: NDArray[np.int64]
    sample_rate: int
    resample: bool
    mix: bool

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        """The samples of one file, float32, shape (L,), or some of the files for a slice."""
        if isinstance(index, slice):
            return replace(self, paths=self.paths[index], lengths=self.lengths[index])
        path = self.paths[index]
        return read_audio(path, sample_rate=self.sample_rate, resample=self.resample, mix=self.mix)[0]


@dataclass(frozen=True, eq=False)
class Clips:
    """Recordings of one sample rate, of any lengths.

    Attributes:
        audio: one array a clip, float32 in [-1, 1] (float files may go beyond), shape (L_i,). A list where the clips
            are in memory, else :class:`AudioFiles`, which reads a file at each access.
        sample_rate: in Hz.
        names: a name of each clip.
        labels: class of each clip, int64 in 0 to K - 1, shape (n,), or None.
        label_names: names of the K classes, or None.
        provenance: where a public data set came from (:attr:`rostra.engine.datasets.Loaded.provenance`), or None.

    Raises:
        InputError: if audio, names and labels are of different numbers, or a label is outside 0 to K - 1.
    """

    audio: Sequence[Samples]
    sample_rate: int
    names: list[str]
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] | None = None
    provenance: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        counts = {"names": len(self.names)} | ({} if self.labels is None else {"labels": len(self.labels)})
        for what, count in counts.items():
            if count != len(self.audio):
                raise InputError(f"there are {count} {what} for {len(self.audio)} clips; give one each")
        if self.labels is not None and len(self.labels):
            classes = len(self.label_names) if self.label_names is not None else None
            wrong = self.labels < 0 if classes is None else (self.labels < 0) | (self.labels >= classes)
            if wrong.any():
                first = int(wrong.argmax())
                raise InputError(
                    f"clip '{self.names[first]}' has label {self.labels[first]}; "
                    f"labels go from 0 to {'K' if classes is None else classes} - 1"
                )

    def __len__(self) -> int:
        return len(self.audio)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Samples of each clip, int64, shape (n,); reads no file."""
        if isinstance(self.audio, AudioFiles):
            return self.audio.lengths
        return np.array([len(samples) for samples in self.audio], dtype=np.int64)

    @property
    def seconds(self) -> float:
        """Duration of all clips together."""
        return float(self.lengths.sum()) / self.sample_rate

    def select(self, which: ArrayLike) -> "Clips":
        """Some of the clips, in the order asked for.

        Args:
            which: indices, shape (m,), negative ones from the end, or a mask, bool, shape (n,).

        Raises:
            InputError: for a mask of another length and an index that is out of range.
        """
        chosen = np.asarray(which)
        n = len(self)
        if chosen.dtype == np.bool_:
            if chosen.shape != (n,):
                raise InputError(f"the mask has shape {chosen.shape}; for these clips it must be ({n},)")
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or not (chosen.size == 0 or np.issubdtype(chosen.dtype, np.integer)):
            raise InputError(f"indices are {chosen.dtype} of shape {chosen.shape}; give integers of shape (m,)")
        outside = (chosen < -n) | (chosen >= n)
        if outside.any():
            raise InputError(f"there is no clip {chosen[outside][0]}; there are {n}, counted from 0")
        index: list[int] = chosen.astype(np.int64).tolist()
        audio: Sequence[Samples]
        if isinstance(self.audio, AudioFiles):
            paths = tuple(self.audio.paths[i] for i in index)
            audio = replace(self.audio, paths=paths, lengths=self.audio.lengths[index])
        else:
            audio = [self.audio[i] for i in index]
        labels = None if self.labels is None else self.labels[index]
        return replace(self, audio=audio, names=[self.names[i] for i in index], labels=labels)


def fixed_length(
    clips: Clips, length: int, *, level: Level | None = None, pad: bool = True
) -> tuple[Samples, NDArray[np.int64]]:
    """Clips of one length: the beginning of longer ones, zeros after the end of shorter ones (official SC09 code).

    A model learns the zeros as silence. The second result says how many there are: use it to mask the loss, to
    report the share of padding, ``1 - real.sum() / (len(clips) * length)``, or leave short clips out.

    Args:
        clips: recordings.
        length: samples, at least 1.
        level: scale each clip by its own peak or RMS (:func:`.normalise`) before it is cut or padded; None: leave it.
        pad: False leaves out the clips that are shorter than ``length``.

    Returns:
        Audio, float32, shape (n, length), and ``real``, int64, shape (len(clips),): how many samples of ``length``
        each of the clips has. Without padding n is the number of clips with ``real == length``, in their order.

    Raises:
        InputError: for a length below 1, no clips, and if all clips are too short to be used without padding.
    """
    if length < 1:
        raise InputError(f"length is {length}; it must be at least 1 sample")
    if not len(clips):
        raise InputError("there are no clips")
    real = np.minimum(clips.lengths, length)
    rows = np.arange(len(clips)) if pad else np.flatnonzero(real == length)
    if not len(rows):
        raise InputError(
            f"all {len(clips)} clips are shorter than {length} samples (the longest has {clips.lengths.max()}); "
            "pad them, or take a shorter length"
        )
    audio = np.zeros((len(rows), length), dtype=np.float32)
    for row, index in enumerate(rows.tolist()):
        audio[row, : real[index]] = normalise(clips.audio[index], level)[:length]
    return audio, real


def equally_long(sounds: Sequence[Samples]) -> list[Samples]:
    """Sounds, each of shape (L_i,), with zeros after the end of all but the longest; each of shape (max L_i,)."""
    length = max(len(samples) for samples in sounds)
    return [np.pad(samples, (0, length - len(samples))) for samples in sounds]


# --- Public data sets

DIGITS = tuple("0123456789")
_FSDD_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)")
_FSDD_TEST = 5
"""Recordings of a speaker and digit, from index 0, that are the official test set."""


def _fsdd_clips(recordings: Iterable[tuple[str, bytes]]) -> Clips:
    """Recordings under their names without ".wav", in the mirror's order: by index, speaker, digit."""
    found: list[tuple[int, str, int, str, Samples]] = []
    for name, content in recordings:
        match = _FSDD_NAME.fullmatch(name)
        if match is None:
            raise InputError(f"recording '{name}.wav' is not named DIGIT_SPEAKER_INDEX.wav")
        digit, speaker, index = match.groups()
        samples, _ = read_audio(content, name=f"{name}.wav", sample_rate=8000)
        found.append((int(index), speaker, int(digit), name, samples))
    found.sort(key=lambda recording: recording[:3])
    return Clips(
        audio=[samples for *_, samples in found],
        sample_rate=8000,
        names=[name for *_, name, _ in found],
        labels=np.array([digit for _, _, digit, _, _ in found], dtype=np.int64),
        label_names=DIGITS,
    )


def _fsdd_original(folder: Path) -> Clips:
    """From the archive as it was fetched, or from what it unpacks to."""
    archive = folder / FSDD.original[0].name
    if not archive.is_file():
        paths = sorted(path for path in folder.rglob("recordings/*.wav") if not path.name.startswith("."))
        if not paths:
            raise InputError(f"'{folder}' holds neither {archive.name} nor a folder 'recordings' with its WAV files")
        return _fsdd_clips((path.stem, path.read_bytes()) for path in paths)
    recordings: list[tuple[str, bytes]] = []
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.namelist():
                inside = Path(member)
                if inside.match("recordings/*.wav") and not inside.name.startswith("."):
                    recordings.append((inside.stem, file.read(member)))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise _damaged(archive, str(error)) from None
    if not recordings:
        raise _damaged(archive, "no recordings/*.wav in it")
    return _fsdd_clips(recordings)


_LJSPEECH_RATE = 22_050
_LJSPEECH_SAMPLE = tuple(f"LJ001-{number:04d}" for number in range(1, 33))
_LJSPEECH_TEST = frozenset(_LJSPEECH_SAMPLE[:6])


def _ljspeech_clips(recordings: Mapping[str, bytes]) -> Clips:
    read = [read_audio(recordings[name], name=f"{name}.wav", sample_rate=_LJSPEECH_RATE) for name in _LJSPEECH_SAMPLE]
    return Clips([samples for samples, _ in read], _LJSPEECH_RATE, list(_LJSPEECH_SAMPLE))


def _ljspeech_sample_original(folder: Path) -> Clips:
    """The 32 clips out of the archive of 13,100, which is unpacked only as far as they go."""
    archive = folder / LJSPEECH_SAMPLE.original[0].name
    wanted = set(_LJSPEECH_SAMPLE)
    recordings: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, mode="r|bz2") as file:
            for member in file:
                name = Path(member.name).stem
                if member.isfile() and member.name.endswith(f"wavs/{name}.wav") and name in wanted:
                    recordings[name] = file.extractfile(member).read()  # type: ignore[union-attr]
                    if len(recordings) == len(wanted):
                        break
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _damaged(archive, str(error)) from None
    missing = sorted(wanted - set(recordings))
    if missing:
        raise _damaged(archive, f"no wavs/{missing[0]}.wav in it")
    return _ljspeech_clips(recordings)


def _parquet_sounds(path: Path) -> list[tuple[str, bytes]]:
    """Names without ".wav" and contents of a parquet file's column of sounds."""
    import pandas as pd

    column = pd.read_parquet(path, columns=["audio"])["audio"]
    return [(sound["path"].removesuffix(".wav"), sound["bytes"]) for sound in column]


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"'{path}' is damaged ({' '.join(reason.split())}); delete it and fetch it again")


FSDD = Dataset(
    name="fsdd",
    title="Free Spoken Digit Dataset: 6 speakers, 10 digits, 50 times each",
    licence="CC BY-SA 4.0",
    columns="3,000 recordings, 8 kHz, 1,312 s in all",
    size=16_419_872,
    mirror={"recordings.parquet": "7fead71876a0655aa5565a29b9e6832eda3ba80424e81bcdec8042a72fec933f"},
    read_mirror=lambda folder: _fsdd_clips(_parquet_sounds(folder / "recordings.parquet")),
    # GitHub makes the archive anew now and then, so that its hash is no fixed one.
    original=(RemoteFile("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"),),
    read_original=_fsdd_original,
)
"""Jackson et al., "Free Spoken Digit Dataset", https://github.com/Jakobovski/free-spoken-digit-dataset."""

LJSPEECH_SAMPLE = Dataset(
    name="ljspeech_sample",
    title="LJ Speech, the first 32 of 13,100 clips (the original is fetched whole)",
    licence="public domain",
    columns="32 clips of one reader, 22,050 Hz, 222 s in all",
    size=2_748_572_632,
    mirror={"clips.parquet": "f695ffe84c4bf5e0abdaf2f907d5cb00bf2b207b357d529d4a4acdf2023b74ec"},
    read_mirror=lambda folder: _ljspeech_clips(dict(_parquet_sounds(folder / "clips.parquet"))),
    original=(
        RemoteFile(
            "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        ),
    ),
    read_original=_ljspeech_sample_original,
)
"""Ito and Johnson, "The LJ Speech Dataset", 2017, https://keithito.com/LJ-Speech-Dataset/."""

DATASETS = (FSDD, LJSPEECH_SAMPLE)
"""Where ``rostra datasets`` looks for the data sets of this method."""


def load_fsdd(split: Split) -> Clips:
    """Spoken digits: 3,000 recordings of 0.14 to 2.28 s at 8 kHz, levels as recorded (peaks of 0.02 to 1).

    Names are ``{digit}_{speaker}_{index}``, labels the digits.

    Args:
        split: "test": indices 0 to 4 (300), "train": 5 to 49 (2,700), the official split, or "all".

    Raises:
        InputError: for another split, and if the data are not at hand and cannot be fetched.
    """
    _check_split(split, Split)
    loaded = load(FSDD)
    return split_fsdd(replace(loaded.value, provenance=loaded.provenance), split)


def split_fsdd(clips: Clips, split: Split) -> Clips:
    """A part of the digits by the index in their names, as for :func:`load_fsdd`."""
    indices = np.array([int(name.rsplit("_", 1)[-1]) for name in clips.names])
    return _part(clips, indices < _FSDD_TEST, split)


def load_ljspeech_sample(split: Split) -> Clips:
    """The first 32 clips of LJ Speech, 1.8 to 10 s at 22,050 Hz; names such as LJ001-0001, no labels.

    Args:
        split: "test": LJ001-0001 to -0006, "train": the other 26, or "all". The split is the project's own.

    Raises:
        InputError: for another split, and if the data are not at hand and cannot be fetched.
    """
    _check_split(split, Split)
    loaded = load(LJSPEECH_SAMPLE)
    return split_ljspeech_sample(replace(loaded.value, provenance=loaded.provenance), split)


def split_ljspeech_sample(clips: Clips, split: Split) -> Clips:
    """A part of the clips by their names, as for :func:`load_ljspeech_sample`."""
    return _part(clips, np.array([name in _LJSPEECH_TEST for name in clips.names]), split)


def _part(clips: Clips, test: NDArray[np.bool_], split: Split) -> Clips:
    _check_split(split, Split)
    return clips if split == "all" else clips.select(test if split == "test" else ~test)


def _check_split(split: str, of: Any) -> None:
    if split not in get_args(of):
        raise InputError(f"split is {split!r}; it must be one of {', '.join(get_args(of))}")


# --- Folders of files

_LJSPEECH_NAME = re.compile(r"LJ\d{3}-\d{4}")
SC09_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SC09_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def load_folder(
    path: str | Path, *, sample_rate: int | None = None, resample: bool = False, mix: bool = False
) -> Clips:
    """A user's own audio files: a folder of them, or a CSV that lists them.

    Every file is read once and checked. Files of more than :data:`IN_MEMORY` bytes of samples are not kept, but read
    (and resampled, if they have to be) again at each access.

    Args:
        path: a folder, searched to any depth (:func:`.find_audio`), or a CSV with the columns ``path`` (absolute, or
            relative to the CSV's folder) and, if there are classes, ``label``. Others are ignored.
        sample_rate: in Hz; None: that of the first file.
        resample: bring files of other rates to ``sample_rate``, which must be given.
        mix: take the mean of the channels of files with several.

    Returns:
        Clips in the order of their names (folder; the paths in it) or of the rows (CSV; the paths as written).
        A CSV's labels are its distinct texts, in order of value if all are integers; a folder has none.

    Raises:
        InputError: if there is nothing to read, for a CSV without paths or with rows that have none, name no file,
            repeat a file or lack a label, and for files that cannot be used (wrong rate, several channels, empty,
            silent, NaN): the first is explained, the others are counted.
    """
    path = Path(path)
    if resample and sample_rate is None:
        raise InputError("resample needs a sample rate to go to; give sample_rate too")
    if path.is_dir():
        paths = find_audio(path)
        names = [file.relative_to(path).as_posix() for file in paths]
        audio, rate = _read_files(paths, sample_rate, resample=resample, mix=mix)
        return Clips(audio, rate, names)
    if not path.exists():
        raise InputError(f"'{path}' does not exist; give a folder of audio files or a CSV with a column 'path'")
    if path.suffix.lower() != ".csv":
        raise InputError(f"'{path}' is neither a folder of audio files nor a .csv file")
    names, labels, label_names = _read_listing(path)
    audio, rate = _read_files([path.parent / name for name in names], sample_rate, resample=resample, mix=mix)
    return Clips(audio, rate, names, labels, label_names)


def load_clips(
    source: str | Path, *, sample_rate: int | None = None, resample: bool = False, mix: bool = False
) -> Clips:
    """Clips of whatever a user names: files of their own, or a public data set.

    Args:
        source: a folder or a CSV, as for :func:`load_folder`; else "fsdd" or "ljspeech-sample", of which the training
            part is taken unless a split follows, as in "fsdd:test".
        sample_rate, resample, mix: as for :func:`load_folder`.

    Raises:
        InputError: as those of :func:`load_folder`, :func:`load_fsdd` and :func:`load_ljspeech_sample`; for a public
            data set of another rate without ``resample``.
    """
    loaders: dict[str, Callable[[Any], Clips]] = {"fsdd": load_fsdd, "ljspeech-sample": load_ljspeech_sample}
    name, _, split = str(source).partition(":")
    name = name.replace("_", "-")  # `rostra datasets` writes ljspeech_sample
    if name not in loaders or Path(source).exists():
        try:
            return load_folder(Path(source), sample_rate=sample_rate, resample=resample, mix=mix)
        except InputError as error:
            if Path(source).exists():
                raise
            raise InputError(f"{error}; or {', '.join(loaders)}") from None
    clips = loaders[name](split or "train")
    if sample_rate is None or clips.sample_rate == sample_rate:
        return clips
    if not resample:
        raise InputError(f"{name} has {clips.sample_rate} Hz, but {sample_rate} Hz is needed; pass --resample")
    audio = [resample_audio(samples, clips.sample_rate, sample_rate) for samples in clips.audio]
    return replace(clips, audio=audio, sample_rate=sample_rate)


def load_ljspeech(folder: str | Path, split: Split) -> Clips:
    """LJ Speech 1.1 whole (24 hours at 22,050 Hz), as its archive unpacks: FOLDER/wavs/LJ001-0001.wav and so on.

    Args:
        folder: LJSpeech-1.1.
        split: "test": the clips of LJ001, which the authors' code holds out, "train": all others, or "all".

    Returns:
        Clips in order of their names, without labels; read from the files at each access if there are many, as for
        :func:`load_folder`.

    Raises:
        InputError: for another split, another layout, and files that cannot be used.
    """
    _check_split(split, Split)
    wavs = Path(folder) / "wavs"
    if not wavs.is_dir():
        raise InputError(f"'{folder}' has no folder 'wavs'; give the folder LJSpeech-1.1 that the archive unpacks to")
    paths = _wavs(wavs)
    for path in paths:
        if not _LJSPEECH_NAME.fullmatch(path.stem):
            raise InputError(f"'{path}' is not named LJ000-0000.wav; only clips of LJ Speech belong there")
    test = [path.stem.startswith("LJ001-") for path in paths]
    chosen = [
        path for path, held_out in zip(paths, test, strict=True) if split == "all" or held_out == (split == "test")
    ]
    if not chosen:
        raise InputError(f"'{wavs}' holds no clips of the split '{split}' ({len(paths)} WAV files in all)")
    audio, rate = _read_files(chosen, _LJSPEECH_RATE)
    return Clips(audio, rate, [path.stem for path in chosen])


def load_sc09(folder: str | Path, split: SC09Split) -> Clips:
    """SC09: the spoken digits of Speech Commands (Warden 2018), 1 s or less at 16 kHz, as its archive unpacks.

    Other words and ``_background_noise_`` are ignored.

    Args:
        folder: with the folders zero to nine, and validation_list.txt and testing_list.txt.
        split: "validation" or "test": what these list, "train": the rest, or "all", which needs no lists.

    Returns:
        Clips in order of digit and name; names such as "zero/0a7c2a8d_nohash_0", labels the digits; read from the
        files at each access if there are many, as for :func:`load_folder`.

    Raises:
        InputError: for another split, a missing folder or list, a list that names a recording of a digit which is not
            there, and files that cannot be used.
    """
    _check_split(split, SC09Split)
    folder = Path(folder)
    missing = [word for word in SC09_WORDS if not (folder / word).is_dir()]
    if missing:
        raise InputError(f"'{folder}' has no folder '{missing[0]}'; it must hold the folders zero to nine")
    digit_of = {path: digit for digit, word in enumerate(SC09_WORDS) for path in _wavs(folder / word)}
    chosen = list(digit_of)
    if split != "all":
        listed = {part: _listed(folder, name, digit_of) for part, name in _SC09_LISTS.items()}
        held_out = listed["validation"] | listed["test"]
        chosen = [path for path in chosen if (path in listed[split] if split in listed else path not in held_out)]
    if not chosen:
        raise InputError(f"'{folder}' holds no recordings of the split '{split}' ({len(digit_of)} WAV files in all)")
    audio, rate = _read_files(chosen, 16_000)
    return Clips(
        audio,
        rate,
        names=[f"{path.parent.name}/{path.stem}" for path in chosen],
        labels=np.array([digit_of[path] for path in chosen], dtype=np.int64),
        label_names=SC09_WORDS,
    )


def _wavs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".wav" and not path.name.startswith("."))


def _listed(folder: Path, name: str, there: Mapping[Path, int]) -> set[Path]:
    """The recordings of digits that a list of Speech Commands names."""
    try:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"'{folder}' has no readable {name}, which says what belongs to which split") from None
    listed = {}
    for number, line in enumerate(lines, start=1):
        if line.strip().split("/")[0] in SC09_WORDS:
            listed[folder / line.strip()] = number
    for path, number in listed.items():
        if path not in there:
            raise InputError(
                f"line {number} of '{folder / name}' names {path.relative_to(folder).as_posix()}, which is not there; "
                "unpack the archive again, or take the line out"
            )
    return set(listed)


def _read_listing(path: Path) -> tuple[list[str], NDArray[np.int64] | None, tuple[str, ...] | None]:
    """Paths, labels and the labels' names of a CSV."""
    from rostra.fields.tabular.tables import check_names, read_table

    table = read_table(path, texts=("path", "label"))
    check_names(table, ["path"])
    columns: dict[str, list[str]] = {}
    for column in ("path", "label"):
        if column in table.columns:
            texts = table[column].str.strip()
            empty = (texts.isna() | (texts == "")).to_numpy()
            if empty.any():
                raise InputError(f"row {int(empty.argmax()) + 1} of '{path}' has nothing in column '{column}'")
            columns[column] = texts.tolist()
    rows: dict[Path, int] = {}
    for row, name in enumerate(columns["path"], start=1):
        file = path.parent / name
        if not file.is_file():
            raise InputError(
                f"row {row} of '{path}': column 'path' names '{name}', which is no file in '{path.parent}'; "
                "paths are absolute or start at the CSV's folder"
            )
        if file in rows:
            raise InputError(f"row {row} of '{path}': column 'path' repeats '{name}' of row {rows[file]}")
        rows[file] = row
    if "label" not in columns:
        return columns["path"], None, None
    return columns["path"], *_numbered(columns["label"])


def _read_files(
    paths: Sequence[Path], sample_rate: int | None, *, resample: bool = False, mix: bool = False
) -> tuple[Sequence[Samples], int]:
    """Read and check every file; keep the samples as far as memory is meant for them."""
    kept: list[Samples] = []
    lengths: list[int] = []
    problems: list[str] = []
    total = 0
    rate, first = sample_rate, paths[0]
    for path in progress(paths, "read", total=len(paths)):
        try:
            samples, found = read_audio(path, sample_rate=sample_rate, resample=resample, mix=mix)
            if rate is None:
                rate, first = found, path
            if found != rate:
                raise InputError(
                    f"'{path}' has {found} Hz, but '{first}' has {rate} Hz; "
                    "all must have one rate, or be resampled to one that you name"
                )
        except InputError as error:
            problems.append(str(error))
            if len(problems) == LISTED_PROBLEMS:
                break
            continue
        lengths.append(len(samples))
        total += samples.nbytes
        if total <= IN_MEMORY:
            kept.append(samples)
        else:
            kept.clear()
    if problems:
        more = len(problems) - 1
        at_least = "at least " if len(problems) == LISTED_PROBLEMS else ""
        others = f" ({at_least}{more} more file{'s' if more > 1 else ''} cannot be used either)" if more else ""
        raise InputError(problems[0] + others)
    assert rate is not None
    if len(kept) == len(paths):
        return kept, rate
    return AudioFiles(tuple(paths), np.array(lengths, dtype=np.int64), rate, resample, mix), rate


# --- Labels


def with_labels(clips: Clips, name: str = "clips") -> Clips:
    """Clips labelled by the first of these that tells classes apart: their labels, else folders, else file names.

    A folder is the last one in a clip's name; a file's label is its name up to the first underscore. Classes are
    numbered in order of their names, of value if all are whole numbers; there are at least two, and fewer than clips.

    Args:
        clips: recordings, named by their paths.
        name: what errors call them.

    Raises:
        InputError: if none does.
    """
    for texts in _label_texts(clips):
        if 1 < len(set(texts)) < len(texts):
            labels, label_names = _numbered(texts)
            return replace(clips, labels=labels, label_names=label_names)
    raise InputError(
        f"'{name}' has no labels of several classes; give a CSV with the columns path and label, a folder with a "
        "sub-folder a class, or files named LABEL_anything.wav"
    )


def known_labels(clips: Clips, names: Sequence[str]) -> NDArray[np.int64] | None:
    """Labels of clips as numbers of classes that are known by name, from the same places as for :func:`with_labels`.

    Args:
        clips: recordings; not all of the classes have to be there.
        names: of the classes; :func:`label_in_file_name` of them counts too.

    Returns:
        Places in ``names``, int64, shape (n,); None where no place gives every clip one of them.
    """
    number_of = {name: number for number, name in enumerate(names)}
    number_of = {label_in_file_name(name): number for name, number in number_of.items()} | number_of
    for texts in _label_texts(clips):
        if all(text in number_of for text in texts):
            return np.array([number_of[text] for text in texts], dtype=np.int64)
    return None


def label_in_file_name(label: str) -> str:
    """A label as it stands in the name of a file, before the first underscore."""
    return re.sub(r"[^\w.+-]|_", "-", label)


def _label_texts(clips: Clips) -> Iterator[list[str]]:
    """What may be the labels of clips, the best first; labels that they have leave no choice."""
    if clips.labels is not None:
        names = clips.label_names or tuple(map(str, range(int(clips.labels.max()) + 1)))
        yield [names[label] for label in clips.labels.tolist()]
        return
    paths = [PurePath(name) for name in clips.names]
    if all(path.parent.name for path in paths):
        yield [path.parent.name for path in paths]
    if all("_" in path.name for path in paths):
        yield [path.name.partition("_")[0] for path in paths]


def _numbered(texts: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels and the names of their classes, in order of value if all are whole numbers."""
    names = sorted(set(texts))
    if all(re.fullmatch(r"[+-]?\d+", name) for name in names):
        names.sort(key=int)
    number_of = {name: number for number, name in enumerate(names)}
    return np.array([number_of[text] for text in texts], dtype=np.int64), tuple(names)
