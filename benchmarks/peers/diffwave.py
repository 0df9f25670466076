"""Runs in the peer's own environment: the network of lmnt's package, as it was last released.

`python -P diffwave.py FOLDER` answers requests, a JSON document a line, on stdout until stdin ends. The folder holds
`weights.pt` ({"model", "params"}) and `inputs.npz` (audio (1, L), mel (1, 80, F)). Of the package only the model and
its parameters can be imported without torchaudio; its forward takes audio, mel and step in this order.
"""

import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch


class Peer:
    def __init__(self, folder):
        from diffwave.model import DiffWave
        from diffwave.params import AttrDict, params

        content = torch.load(folder / "weights.pt", weights_only=True)
        self.network = DiffWave(AttrDict({**params, **content["params"]})).eval()
        self.network.load_state_dict(content["model"])
        data = np.load(folder / "inputs.npz")
        self.audio, self.mel = torch.tensor(data["audio"]), torch.tensor(data["mel"])

    @torch.no_grad()
    def forward(self, step):
        return self.network(self.audio, self.mel, torch.tensor([step]))

    def predict(self, step):
        """The noise, (1, L)."""
        return {"noise": self.forward(step)[:, 0].tolist()}

    def time(self, step):
        """Seconds of a step."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.forward(step)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        peer = Peer(Path(sys.argv[1]))
        for line in sys.stdin:
            request = json.loads(line)
            answer = getattr(peer, request.pop("work"))(**request)
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
