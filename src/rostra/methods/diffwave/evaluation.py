"""How good sounds are: two sets by a classifier (tables 2 and 3 of Kong et al. 2021), or each by its own recording."""

__all__ = ["evaluate_pairs", "evaluate_sounds", "judge_data", "sounds_table", "train_judge"]

import contextlib
import hashlib
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from rostra.engine.errors import InputError
from rostra.engine.numbers import number
from rostra.engine.progress import progress

from . import metrics
from .audio import Level
from .classifier import ClassifierConfig, SoundClassifier, train_classifier
from .data import Clips, fixed_length, known_labels, load_clips, split_fsdd, with_labels

if TYPE_CHECKING:
    import pandas as pd


def evaluate_sounds(
    judge: SoundClassifier,
    generated: Clips,
    real: Clips,
    *,
    bins: int = 50,
    seed: int = 0,
    trained_on: Clips | None = None,
) -> dict[str, Any]:
    """Compare a set of generated sounds with a set of recordings, by a classifier's features and probabilities.

    Sounds are cut or padded to the classifier's length. Their labels (:func:`.known_labels`), where all are classes of
    the classifier, add the numbers that need them. Numbers of different classifiers cannot be compared.

    Args:
        judge: the classifier.
        generated, real: sounds at its rate, at least two each.
        bins: most bins of NDB/K; a bin has ten recordings at least, and there are two bins at least.
        seed: of the bins.
        trained_on: recordings that the classifier was trained on, where they are known.

    Returns:
        ``classifier_accuracy`` on ``classifier_validation_size`` recordings that it was not trained on, or None.
        ``generated_sounds``, ``real_sounds``: how many there are; ``real_sounds_trained_on``: how many of the latter
        are, sample for sample, among those of ``trained_on``, or None. ``warnings``: texts, which are given as
        UserWarning too: NDB/K says little for fewer than two generated sounds a bin. ``fid``, ``inception_score``,
        ``modified_inception_score``, ``am_score``, ``ndb`` (share, of ``ndb_bins``); the scores of recordings begin
        with ``real_``. None where labels are not known: ``accuracy`` with the ends of its ``accuracy_interval``
        (Wilson, 95 %), ``real_accuracy``, and ``fid_class`` with ``fid_class_deviation``: mean and deviation over the
        classes that were generated, None too if one of them has a single sound.

    Raises:
        InputError: for another rate, and sets that are too small for a metric.
    """
    for name, clips in (("generated", generated), ("real", real)):
        if clips.sample_rate != judge.config.sample_rate:
            raise InputError(
                f"the {name} sounds are at {clips.sample_rate} Hz and the classifier at {judge.config.sample_rate} Hz; "
                "resample the sounds"
            )
    (features, p), (real_features, real_p) = (
        judge.features_and_probabilities(fixed_length(clips, judge.config.length)[0]) for clips in (generated, real)
    )
    labels, real_labels = (known_labels(clips, judge.label_names) for clips in (generated, real))
    used_bins = min(bins, max(2, len(real) // 10), len(np.unique(real_features, axis=0)))
    texts = []
    if len(generated) < 2 * used_bins:
        texts.append(
            f"{len(generated)} generated sounds are too few for {used_bins} bins of NDB/K: a small share may come of "
            f"that alone; give at least {2 * used_bins} sounds, or fewer bins"
        )
        warnings.warn(texts[-1], stacklevel=2)
    known = None if trained_on is None else set(_digests(trained_on))
    found: dict[str, Any] = {
        "classifier_accuracy": judge.accuracy_,
        "classifier_validation_size": judge.validation_size_,
        "generated_sounds": len(generated),
        "real_sounds": len(real),
        "real_sounds_trained_on": None if known is None else sum(digest in known for digest in _digests(real)),
        "warnings": texts,
        "fid": metrics.frechet_distance(real_features, features),
        "inception_score": metrics.inception_score(p),
        "real_inception_score": metrics.inception_score(real_p),
        "modified_inception_score": metrics.modified_inception_score(p),
        "real_modified_inception_score": metrics.modified_inception_score(real_p),
        "am_score": metrics.am_score(real_p, p),
        "ndb": metrics.ndb(real_features, features, used_bins, seed),
        "ndb_bins": used_bins,
        "accuracy": None,
        "accuracy_interval": None,
        "real_accuracy": None,
        "fid_class": None,
        "fid_class_deviation": None,
    }
    if labels is not None:
        found["accuracy"] = metrics.class_accuracy(p, labels)
        found["accuracy_interval"] = metrics.wilson_interval(int((p.argmax(1) == labels).sum()), len(labels))
    if real_labels is not None:
        found["real_accuracy"] = metrics.class_accuracy(real_p, real_labels)
    if labels is not None and real_labels is not None:
        common = np.isin(real_labels, labels)  # of classes that were not generated there is nothing to say
        with contextlib.suppress(InputError):  # a class of a single sound has no covariance
            found["fid_class"], found["fid_class_deviation"] = metrics.frechet_distance_per_class(
                real_features[common], real_labels[common], features, labels
            )
    return found


def _digests(clips: Clips) -> list[bytes]:
    """What tells recordings apart, one for each."""
    return [hashlib.sha256(samples.tobytes()).digest() for samples in clips.audio]


def sounds_table(found: dict[str, Any]) -> str:
    """The numbers of :func:`evaluate_sounds` as a table for people."""
    accuracy = found["classifier_accuracy"]
    known = (
        f"right on {accuracy:.1%} of {found['classifier_validation_size']} recordings that it was not trained on"
        if accuracy is not None
        else "of unknown accuracy"
    )
    share = real_share = "labels not known"
    if found["accuracy"] is not None:
        low, high = found["accuracy_interval"]
        share = f"{found['accuracy']:.1%} ({low:.1%} to {high:.1%})"
    if found["real_accuracy"] is not None:
        real_share = f"{found['real_accuracy']:.1%}" + " *" * bool(found["real_sounds_trained_on"])
    rows = [
        ("", "generated", "real"),
        ("sounds", str(found["generated_sounds"]), str(found["real_sounds"])),
        ("named rightly", share, real_share),
        ("IS", number(found["inception_score"]), number(found["real_inception_score"])),
        ("mIS", number(found["modified_inception_score"]), number(found["real_modified_inception_score"])),
        ("FID", number(found["fid"]), "0"),
        ("FID-class", f"{number(found['fid_class'])} ± {number(found['fid_class_deviation'])}", "0"),
        ("AM", number(found["am_score"]), ""),
        (f"NDB/K (K = {found['ndb_bins']})", number(found["ndb"]), ""),
    ]
    if found["fid_class"] is None:
        rows = [row for row in rows if row[0] != "FID-class"]
    lines = [f"{name:<18}{own:>26}{real:>18}".rstrip() for name, own, real in rows]
    if found["real_sounds_trained_on"]:
        lines.append(
            f"* {found['real_sounds_trained_on']} of the {found['real_sounds']} real sounds are of its training "
            "recordings, which a classifier names better than others"
        )
    lines.append(f"judged by a classifier {known}; compare only with numbers of the same classifier")
    return "\n".join(lines)


def evaluate_pairs(
    generated: Clips, real: Clips, *, generated_name: str = "generated", real_name: str = "real"
) -> "pd.DataFrame":
    """Compare sounds with the recordings of the same names, such as copies by a vocoder; suffixes do not count.

    Args:
        generated: sounds.
        real: a recording for each, at the same rate; others are not looked at.
        generated_name, real_name: what errors call the two sets.

    Returns:
        A row a sound: ``file``, its name, and the numbers of :func:`.vocoder_metrics`.

    Raises:
        InputError: if a sound has no recording or another rate, if two files of one set differ by nothing but their
            suffix, and for sounds that cannot be compared.
    """
    import pandas as pd

    if generated.sample_rate != real.sample_rate:
        raise InputError(
            f"the sounds are at {generated.sample_rate} Hz and the recordings at {real.sample_rate} Hz; resample one"
        )
    _places(generated.names, generated_name)
    place = _places(real.names, real_name)
    missing = [name for name in generated.names if _stem(name) not in place]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(
            f"'{real_name}' has no recording of the name '{missing[0]}'{others}; pairs are files of equal names"
        )
    rows = []
    for index, name in progress(list(enumerate(generated.names)), "compare", total=len(generated)):
        try:
            numbers = metrics.vocoder_metrics(
                real.audio[place[_stem(name)]], generated.audio[index], generated.sample_rate
            )
        except InputError as error:
            raise InputError(f"'{name}': {error}") from None
        rows.append({"file": name, **numbers})
    return pd.DataFrame(rows)


def _places(names: Iterable[str], source: str) -> dict[str, int]:
    """Where the file of each name without suffix stands."""
    first: dict[str, tuple[int, str]] = {}
    for index, name in enumerate(names):
        place, other = first.setdefault(_stem(name), (index, name))
        if place != index:
            raise InputError(
                f"'{other}' and '{name}' of '{source}' have one name without their suffixes, which pairs go by; "
                "leave one of them out"
            )
    return {stem: index for stem, (index, _) in first.items()}


def _stem(name: str) -> str:
    return str(PurePath(name).with_suffix(""))


def judge_data(
    source: str, sample_rate: int, *, resample: bool = False, mix: bool = False, seed: int = 0
) -> tuple[Clips, Clips]:
    """Labelled recordings for :func:`train_judge`, and others of them to measure it on.

    The others are the official test part of "fsdd"; else a tenth of each class, at least one recording, at random.

    Args:
        source, sample_rate, resample, mix: as for :func:`.load_clips`.
        seed: of the draw.

    Raises:
        InputError: if there are no labels (:func:`.with_labels`), or a class has a single recording.
    """
    if source == "fsdd" and not Path(source).exists():
        clips = load_clips("fsdd:all", sample_rate=sample_rate, resample=resample, mix=mix)
        return split_fsdd(clips, "train"), split_fsdd(clips, "test")
    clips = with_labels(load_clips(source, sample_rate=sample_rate, resample=resample, mix=mix), source)
    assert clips.labels is not None
    assert clips.label_names is not None
    held_out = np.zeros(len(clips), dtype=bool)
    draws = np.random.default_rng([seed, 17])
    for label, name in enumerate(clips.label_names):
        members = draws.permutation(np.flatnonzero(clips.labels == label))
        if len(members) < 2:
            raise InputError(
                f"class '{name}' of '{source}' has {len(members)} recording; a classifier needs at least 2, one of "
                "them to be measured on"
            )
        held_out[members[: max(1, len(members) // 10)]] = True
    return clips.select(~held_out), clips.select(held_out)


def train_judge(
    train: Clips,
    test: Clips,
    *,
    length: int,
    level: Level | None = None,
    epochs: int = 20,
    channels: int = 16,
    seed: int = 0,
    device: str | None = None,
) -> SoundClassifier:
    """A classifier for sounds of one length, with its accuracy on recordings that it was not trained on.

    Args:
        train, test: recordings of one rate with labels of the same classes, as :func:`judge_data` gives them.
        length: samples of the sounds that it is to judge; the recordings are cut or padded to it.
        level: of each recording, before it is cut or padded (:func:`.fixed_length`).
        epochs, channels, seed: as for :class:`.ClassifierConfig`.
        device: as for :func:`.train_classifier`.

    Raises:
        InputError: if there are no labels, and as :func:`.train_classifier` does.
    """
    if train.labels is None or test.labels is None:
        raise InputError("a classifier needs recordings with labels, to train on and to be measured on")
    names = train.label_names or tuple(map(str, range(int(train.labels.max()) + 1)))
    config = ClassifierConfig(
        sample_rate=train.sample_rate,
        length=length,
        n_classes=len(names),
        channels=channels,
        epochs=epochs,
        seed=seed,
    )
    return train_classifier(
        fixed_length(train, length, level=level)[0],
        train.labels,
        config,
        validation=(fixed_length(test, length, level=level)[0], test.labels),
        label_names=names,
        device=device,
    )
