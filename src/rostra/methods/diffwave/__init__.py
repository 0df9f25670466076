"""DiffWave: raw audio by diffusion: vocoding, generation with or without a class, denoising, interpolation.

Kong, Ping, Huang, Zhao, Catanzaro, "DiffWave: A Versatile Diffusion Model for Audio Synthesis", ICLR 2021.
"""

__all__ = [
    "METHOD",
    "Clips",
    "DiffWave",
    "DiffWaveConfig",
    "DiffWaveTrainer",
    "Generator",
    "MelConfig",
    "NoiseSchedule",
    "SavedModel",
    "SoundClassifier",
    "TrainConfig",
    "Vocoder",
    "fit",
    "import_checkpoint",
    "load_folder",
    "load_model",
    "mel_spectrogram",
    "read_audio",
    "save_model",
    "train_classifier",
    "write_audio",
]

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

if TYPE_CHECKING:
    from .audio import read_audio, write_audio
    from .checkpoints import SavedModel, load_model, save_model
    from .classifier import SoundClassifier, train_classifier
    from .data import Clips, load_folder
    from .features import MelConfig, mel_spectrogram
    from .imports import import_checkpoint
    from .model import DiffWave, DiffWaveConfig
    from .objective import NoiseSchedule
    from .synthesis import Generator, Vocoder
    from .training import DiffWaveTrainer, TrainConfig, fit

METHOD = Method(
    title="DiffWave",
    field="audio generation",
    summary="Sound by diffusion on any CPU: vocode mel spectrograms, generate, denoise and interpolate.",
    paper="Kong, Ping, Huang, Zhao, Catanzaro. DiffWave: A Versatile Diffusion Model for Audio Synthesis. ICLR 2021.",
)

__getattr__ = lazy_names(
    __name__,
    {
        "audio": ("read_audio", "write_audio"),
        "checkpoints": ("SavedModel", "load_model", "save_model"),
        "classifier": ("SoundClassifier", "train_classifier"),
        "data": ("Clips", "load_folder"),
        "features": ("MelConfig", "mel_spectrogram"),
        "imports": ("import_checkpoint",),
        "model": ("DiffWave", "DiffWaveConfig"),
        "objective": ("NoiseSchedule",),
        "synthesis": ("Generator", "Vocoder"),
        "training": ("DiffWaveTrainer", "TrainConfig", "fit"),
    },
)
