"""Runs in the peer's own environment: trainings and audits by inFairness.

`python sensei.py DATA.npz` answers requests, a JSON document a line, on stdout until stdin ends. The file holds rows
(x, y) and sensitive directions. Weights in a request are lists [weight, bias, ...] of ``torch.nn.Linear`` layers;
CPU seconds are those of the work alone.
"""

import contextlib
import itertools
import json
import sys
import time
import warnings
from unittest import mock

import numpy as np
import torch
from torch import nn

NOISE = 0.1  # inFairness's


class Peer:
    def __init__(self, data):
        from inFairness.distances import SensitiveSubspaceDistance, SquaredEuclideanDistance

        self.data = data
        self.x, self.y = torch.tensor(data["x"], dtype=torch.get_default_dtype()), torch.tensor(data["y"])
        self.distance_x = SensitiveSubspaceDistance()
        self.distance_x.fit(torch.tensor(data["directions"]).to(self.x))
        self.distance_y = SquaredEuclideanDistance()
        self.distance_y.fit(int(self.y.max()) + 1)

    def network(self, hidden, weights=None):
        widths = [self.x.shape[1], *hidden, int(self.y.max()) + 1]
        layers = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
        if weights is not None:
            with torch.no_grad():
                for parameter, value in zip(network.parameters(), weights, strict=True):
                    parameter.copy_(torch.tensor(value))
        return network

    def model(self, hidden, rho, eps, steps, auditor_lr, weights=None):
        from inFairness.fairalgo import SenSeI

        network = self.network(hidden, weights)
        loss = nn.functional.cross_entropy
        return SenSeI(network, self.distance_x, self.distance_y, loss, rho, eps, steps, auditor_lr).train()

    def check(self, **settings):
        """Steps on given minibatches from given noise, in double precision; what each found."""
        torch.set_default_dtype(torch.float64)
        try:
            return Peer(self.data).steps(**settings)
        finally:
            torch.set_default_dtype(torch.float32)

    def steps(self, batches, noises, lr, **settings):
        model = self.model(**settings)
        optimiser = torch.optim.Adam(model.parameters(), lr=lr)
        attack = model.auditor.generate_worst_case_examples
        found = {"worst": [], "dual": [], "loss": []}

        def recorded(*arguments, **options):
            worst = attack(*arguments, **options)
            found["worst"].append(worst.tolist())
            return worst

        model.auditor.generate_worst_case_examples = recorded
        for rows, noise in zip(batches, noises, strict=True):
            with starting_from(noise):
                loss = self.step(model, optimiser, torch.tensor(rows))
            found["dual"].append(model.lamb.item())
            found["loss"].append(loss.item())
        return found

    def step(self, model, optimiser, rows):
        optimiser.zero_grad()
        loss = model(self.x[rows], self.y[rows]).loss
        loss.backward()
        optimiser.step()
        return loss

    def train(self, rhos, iterations, batch_size, lr, **settings):
        """CPU seconds of trainings, one rho after another."""
        start = time.process_time()
        for rho in rhos:
            model = self.model(rho=rho, **settings)
            optimiser = torch.optim.Adam(model.parameters(), lr=lr)
            rows = torch.empty(0, dtype=torch.long)
            for _ in range(iterations):
                if len(rows) < batch_size:
                    rows = torch.randperm(len(self.x))
                self.step(model, optimiser, rows[:batch_size])
                rows = rows[batch_size:]
        return {"seconds": time.process_time() - start}

    def audit(self, rows, hidden, weights, steps, lr, dual, noise=None):
        """Loss ratio of the first rows by gradient ascent. inFairness's gradient is that of the mean over rows."""
        from inFairness.auditor import SenSRAuditor

        network = self.network(hidden, weights)
        auditor = SenSRAuditor(nn.functional.cross_entropy, self.distance_x, steps, lr * rows)
        start = time.process_time()
        with contextlib.nullcontext() if noise is None else starting_from(noise):
            found = auditor.audit(network, self.x[:rows], self.y[:rows], lambda_param=float(dual))
        return {"seconds": time.process_time() - start, "mean": float(found.lossratio_mean)}


def starting_from(noise):
    """While this holds, auditors start from this noise; they draw it by ``torch.rand_like``."""
    return mock.patch.object(torch, "rand_like", return_value=(torch.tensor(noise) + NOISE) / (2 * NOISE))


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        peer = Peer(np.load(sys.argv[1]))
        for line in sys.stdin:
            request = json.loads(line)
            answer = getattr(peer, request.pop("work"))(**request)
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
