"""DAC-MDP: a policy from a fixed log of transitions, by solving the finite MDP that it spans.

Shrestha, Lee, Tadepalli, Fern, "DeepAveragers: Offline Reinforcement Learning By Solving Derived Non-Parametric MDPs",
ICLR 2021.
"""

__all__ = [
    "METHOD",
    "DACMDP",
    "DACMDPContinuous",
    "KMeansActions",
    "NearestActions",
    "Solution",
    "TransitionDataset",
    "fitted_q_evaluation",
    "sweep",
    "train_bc",
    "train_bcq",
    "train_dqn",
]

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

if TYPE_CHECKING:
    from rostra.fields.rl.transitions import TransitionDataset

    from .agent import DACMDP, DACMDPContinuous
    from .encoders import train_bc, train_bcq, train_dqn
    from .off_policy import fitted_q_evaluation
    from .pairs import KMeansActions, NearestActions
    from .solution import Solution
    from .sweeps import sweep

METHOD = Method(
    title="DAC-MDP",
    field="offline reinforcement learning",
    summary="Turn a log of transitions into a policy by solving a finite MDP, and ask it what-if questions.",
    paper="Shrestha, Lee, Tadepalli, Fern. DeepAveragers: Offline Reinforcement Learning By Solving Derived "
    "Non-Parametric MDPs. ICLR 2021.",
)

__getattr__ = lazy_names(
    __name__,
    {
        "agent": ("DACMDP", "DACMDPContinuous", "TransitionDataset"),
        "encoders": ("train_bc", "train_bcq", "train_dqn"),
        "off_policy": ("fitted_q_evaluation",),
        "pairs": ("KMeansActions", "NearestActions"),
        "solution": ("Solution",),
        "sweeps": ("sweep",),
    },
)
