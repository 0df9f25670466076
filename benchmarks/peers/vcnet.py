"""Runs in the peers' own environment: curves by a causal forest and by a generalised propensity score.

`python vcnet.py FOREST_OR_GPS DATA.npz` prints {"curves": [...], "seconds": [...]} as JSON. The file holds, for
each data set, training rows (x, t, y), test covariates and the doses at which the curve is wanted.
"""

import contextlib
import json
import sys
import time
import warnings

import numpy as np


def forest_curve(x, t, y, x_new, doses, seed):
    """EconML's CausalForestDML with splines of the dose as treatment features.

    The forest gives effects between two doses; the level comes from the outcomes: each training row's outcome is
    moved from its own dose to the median dose, and the mean of these is the curve there. The rest is the mean
    effect, over the new covariates, of going from the median dose to t. Of polynomials of degree 3 and 4 and
    splines of degree 2 and 3, with the default nuisance models, these had the least error on data sets that are not
    reported.
    """
    from econml.dml import CausalForestDML
    from sklearn.preprocessing import SplineTransformer

    features = SplineTransformer(n_knots=4, degree=2, include_bias=False)
    forest = CausalForestDML(treatment_featurizer=features, n_estimators=200, n_jobs=1, random_state=seed)
    forest.fit(y, t[:, None], X=x)
    anchor = float(np.median(t))
    level = np.mean(y + forest.effect(x, T0=t[:, None], T1=np.full((len(t), 1), anchor)).ravel())
    effects = forest.const_marginal_effect(x_new).reshape(len(x_new), -1).mean(axis=0)
    basis = features.fit(t[:, None]).transform(np.append(doses, anchor)[:, None])
    return level + (basis[:-1] - basis[-1]) @ effects


def gps_curve(x, t, y, x_new, doses, seed):
    """causal-curve's GPS_Regressor with its defaults, on a grid over all training doses, interpolated."""
    import pandas as pd
    from causal_curve import GPS_Regressor

    model = GPS_Regressor(lower_grid_constraint=0.0, upper_grid_constraint=1.0, random_seed=seed)
    columns = [f"x{i}" for i in range(x.shape[1])]
    model.fit(T=pd.Series(t), X=pd.DataFrame(x, columns=columns), y=pd.Series(y))
    curve = model.calculate_CDRC()
    return np.interp(doses, curve["Treatment"], curve["Causal_Dose_Response"])


def main() -> None:
    method = {"forest": forest_curve, "gps": gps_curve}[sys.argv[1]]
    warnings.simplefilter("ignore")
    data = np.load(sys.argv[2])
    arguments = [data[name] for name in ("x", "t", "y", "x_new", "doses")]
    found, seconds = [], []
    with contextlib.redirect_stdout(sys.stderr):
        method(*(values[0][:100] for values in arguments), seed=0)  # imports and compilation are not timed
        for seed, one in enumerate(zip(*arguments, strict=True)):
            start = time.process_time()
            found.append(method(*one, seed=seed).tolist())
            seconds.append(time.process_time() - start)
    print(json.dumps({"curves": found, "seconds": seconds}))


if __name__ == "__main__":
    main()
