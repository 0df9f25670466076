import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from rostra.engine.errors import InputError
from rostra.methods.curricula.pacing import PacingFunction
from rostra.methods.curricula.sampler import CurriculumBatchSampler, DistributedCurriculumBatchSampler

SCORES = np.random.default_rng(0).random(200)
PACING = PacingFunction("linear", 0.6, 0.2)


def sampler(**options):
    values = {"scores": SCORES, "batch_size": 8, "total_steps": 60, "pacing": PACING, "seed": 1, **options}
    return CurriculumBatchSampler(**values)


@pytest.mark.filterwarnings("ignore:b = ")
@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 120),
    batch_size=st.integers(1, 20),
    total_steps=st.integers(1, 60),
    a=st.floats(0.05, 1.0),
    b=st.floats(0.05, 1.0),
)
def test_a_dynamic_epoch_passes_once_over_its_prefix(n, batch_size, total_steps, a, b):
    batch_size = min(batch_size, n)
    made = CurriculumBatchSampler(
        np.arange(n),
        batch_size,
        total_steps,
        PacingFunction("root", a, b),
        min_size=min(n, max(batch_size, int(b * n))),
    )
    batches = list(made)
    assert len(batches) == total_steps
    for epoch in made.epochs:
        seen = [row for batch in batches[epoch.start : epoch.start + epoch.batches] for row in batch]
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(made.order[: epoch.size].tolist())
        if epoch.start + epoch.batches < total_steps:
            assert len(seen) == epoch.size
    assert batch_size == 1 or n == 1 or min(map(len, batches)) > 1


@pytest.mark.parametrize("order", ["curriculum", "anti-curriculum", "random"])
def test_everything_from_the_start_is_standard_training(order):
    """Each pass holds every example once, in the shuffle that any order has at this seed."""
    standard = sampler(scores=np.arange(200), order=None, pacing=None)
    paced = sampler(order=order, pacing=PacingFunction("step", 0.5, 1.0))
    assert [paced.order[batch].tolist() for batch in standard] == list(paced)
    epoch = [row for batch in list(sampler(order=order, pacing=None))[:25] for row in batch]
    assert sorted(epoch) == list(range(200))


@pytest.mark.parametrize("granularity", ["epoch", "step"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_where_it_was_whatever_the_workers(granularity, workers):
    whole = list(sampler(granularity=granularity))
    data = TensorDataset(torch.arange(200))
    kept = sampler(granularity=granularity)
    seen = []
    for step, (rows,) in enumerate(DataLoader(data, batch_sampler=kept, num_workers=workers)):
        seen.append(rows.tolist())
        if step == 22:
            state = copy.deepcopy(kept.state_dict(step=23))
            break
    resumed = sampler(granularity=granularity)
    resumed.load_state_dict(state)
    assert len(resumed) == 37
    seen += [rows.tolist() for (rows,) in DataLoader(data, batch_sampler=resumed, num_workers=workers)]
    assert seen == whole


def train(model, optimizer, made, workers, steps=None, **options):
    """An ordinary loop; gives the number of steps that it took."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(200, 5, generator=generator)
    data = TensorDataset(x, (x[:, 0] > 0).long())
    done = 0
    for rows, labels in DataLoader(data, batch_sampler=made, num_workers=workers, **options):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(rows), labels).backward()
        optimizer.step()
        done += 1
        if done == steps:
            break
    return done


def new_model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


@pytest.mark.parametrize(
    ("workers", "options"), [(0, {}), (2, {}), (2, {"persistent_workers": True, "prefetch_factor": 3})]
)
def test_a_training_that_was_stopped_ends_with_the_weights_of_one_that_was_not(workers, options):
    """To the bit, with any number of workers, which fetch ahead of the step at which it stops."""
    whole, optimizer = new_model()
    assert train(whole, optimizer, sampler(), 0) == 60
    model, optimizer = new_model()
    made = sampler()
    done = train(model, optimizer, made, workers, steps=31, **options)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), made.state_dict(step=done)))
    model, optimizer = new_model()
    made = sampler()
    for part, state in zip((model, optimizer, made), saved, strict=True):
        part.load_state_dict(state)
    assert train(model, optimizer, made, workers, **options) == 29
    assert all(torch.equal(model.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_step_granularity_draws_without_repetition_from_the_prefix_of_each_step():
    made = sampler(granularity="step")
    for step, batch in enumerate(made):
        assert len(set(batch)) == 8
        assert set(batch) <= set(made.order[: made.sizes[step]].tolist())


def test_draws_are_uniform_over_the_prefix():
    made = CurriculumBatchSampler(np.arange(20), 4, 5000, None, order=None, granularity="step")
    counts = np.bincount([row for batch in made for row in batch], minlength=20)
    assert ((counts - 1000) ** 2 / 1000).sum() < 45  # chi-squared with 19 degrees of freedom


def test_epochwise_iterations_are_the_dynamic_epochs():
    made, whole = sampler(epochwise=True), list(sampler())
    found = []
    for epoch in made.epochs:
        assert len(made) == epoch.batches
        found.append(list(made))
        assert len(found[-1]) == epoch.batches
    assert [batch for part in found for batch in part] == whole
    with pytest.warns(UserWarning, match="all 60 steps of the curriculum are done"):
        assert list(made) == []


def test_accumulation_reads_the_size_once_a_step():
    made = sampler(accumulate=3, granularity="step")
    assert len(made) == 180
    batches = list(made)
    assert all(set(batches[i]) <= set(made.order[: made.sizes[i // 3]].tolist()) for i in range(180))


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_shares_of_all_processes_are_the_batch(world_size):
    options = {"scores": SCORES[:101], "batch_size": 8, "total_steps": 40, "pacing": PACING, "seed": 2}
    whole = list(CurriculumBatchSampler(**options))
    shares = [
        list(DistributedCurriculumBatchSampler(**options, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    for number, batch in enumerate(whole):
        union = [row for share in shares for row in share[number]]
        assert set(union) == set(batch)
        assert len(union) == max(len(batch), world_size)
    padded = [
        list(DistributedCurriculumBatchSampler(**options, rank=rank, world_size=world_size, pad=True))
        for rank in range(world_size)
    ]
    assert all(len({len(share[number]) for share in padded}) == 1 for number in range(40))


def test_the_global_generators_do_not_matter():
    torch.manual_seed(1)
    first = list(sampler(order="random"))
    np.random.seed(9)
    torch.manual_seed(2)
    assert list(sampler(order="random")) == first
    assert list(sampler(order="random", seed=2)) != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 3.5}, "total_steps must be a whole number of 1 or more, got 3.5"),
        ({"total_steps": 0}, "total_steps must be a whole number of 1 or more, got 0"),
        ({"batch_size": 201}, "batch_size must be from 1 to the number of examples, 200; got 201"),
        ({"granularity": "batch"}, "granularity must be one of epoch, step"),
        ({"order": None}, "must be a permutation"),
        ({"start_step": 61}, "step must be from 0 to total_steps = 60, got 61"),
        ({"seed": -1}, "seed must be a whole number of 0 or more, got -1"),
    ],
)
def test_wrong_input_is_told(options, message):
    with pytest.raises(InputError, match=message):
        sampler(**options)


def test_what_a_user_may_not_have_meant_is_told():
    with pytest.warns(UserWarning, match=r"a = 1.6 is above 1: some of the data are never shown"):
        sampler(pacing=PacingFunction("step", 1.6, 0.4))
    with pytest.warns(UserWarning, match="is 0 of 200 examples, fewer than a batch"):
        sampler(pacing=PacingFunction("step", 0.5, 0.0025))


def test_the_state_of_another_run_is_refused():
    state = sampler().state_dict(step=3)
    with pytest.raises(InputError, match="state is of a sampler with seed 1; this one has 2"):
        sampler(seed=2).load_state_dict(state)
    for other in ({"pacing": None}, {"order": "random"}, {"total_steps": 61}, {"batch_size": 9}, {"drop_last": True}):
        with pytest.raises(InputError, match="other batches"):
            sampler(**other).load_state_dict(state)
    with pytest.raises(InputError, match="holds step, seed and digest"):
        sampler().load_state_dict({"step": 3})


def test_going_on_after_a_break_says_what_workers_had_fetched():
    """Batches that nobody saw are not skipped in silence."""
    made = sampler()
    for _ in DataLoader(TensorDataset(torch.arange(200)), batch_sampler=made, num_workers=2):
        break
    with pytest.warns(UserWarning, match="left after [3-9] batches had been given out"):
        next(iter(made))
    made.load_state_dict(made.state_dict(step=1))
    assert list(made) == list(sampler())[1:]
