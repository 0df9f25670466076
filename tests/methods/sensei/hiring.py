"""A small table of invented applicants, for several tests."""

import numpy as np
import pandas as pd

QUICK = {"hidden": (16,), "iterations": 150, "batch_size": 64, "lr": 1e-2, "random_state": 0, "device": "cpu"}


def people(rows=600, seed=0):
    """Sex, a proxy of it, and skill; the label follows skill and the proxy."""
    rng = np.random.default_rng(seed)
    male = rng.uniform(size=rows) < 0.5
    skill = rng.standard_normal(rows)
    proxy = np.where(rng.uniform(size=rows) < 0.9, male, ~male)
    good = skill + 1.5 * proxy + 0.3 * rng.standard_normal(rows) > 0.75
    return pd.DataFrame(
        {
            "skill": skill * 10 + 50,
            "sex": np.where(male, "man", "woman"),
            "title": np.where(proxy, "Mr", "Ms"),
            "veteran": rng.uniform(size=rows) < 0.2,
        }
    ), np.where(good, "hire", "reject")
