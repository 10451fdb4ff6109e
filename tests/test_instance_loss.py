"""The instance loss: golden numbers, its formula written out pixel by pixel, and its limits."""

import math
from itertools import permutations

import pytest
import torch
from golden_files import Golden, assert_close
from torch import Tensor

from gpnerf.losses import instance_loss

pytestmark = pytest.mark.usefixtures("float64")

CHANNELS, HEIGHT, WIDTH = 5, 6, 8


def random_case(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits of five channels and of none; instances 0, 1, 3 beside pixels of none (-1) and of no channel (7)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 5, (HEIGHT, WIDTH), generator=generator)
    return torch.randn(CHANNELS + 1, HEIGHT, WIDTH, generator=generator), torch.tensor([-1, 0, 1, 3, 7])[drawn]


def pair_cost(channel: list[float], mask: list[int]) -> float:
    """Cross entropy and 1 - soft IoU of one channel's probabilities and one mask."""
    entropy = [-math.log(p) if g else -math.log(1 - p) for p, g in zip(channel, mask, strict=True)]
    shared = sum(p * g for p, g in zip(channel, mask, strict=True))
    return sum(entropy) / len(entropy) + 1 - shared / (sum(channel) + sum(mask) - shared)


def by_hand(logits: Tensor, instances: Tensor, columns: dict[int, int]) -> float:
    """The loss when instance id -> channel is given; -1, none, is the last output's."""
    kept = [place for place, value in enumerate(instances.flatten().tolist()) if value < CHANNELS]
    channels = [[row[place] for place in kept] for row in logits.double().sigmoid().flatten(1).tolist()]
    labels = [instances.flatten().tolist()[place] for place in kept]
    present = {i: c for i, c in {**columns, -1: CHANNELS}.items() if i in labels}
    pairs = [pair_cost(channels[c], [int(label == i) for label in labels]) for i, c in present.items()]
    rest = [p for c, channel in enumerate(channels[:CHANNELS]) if c not in present.values() for p in channel]
    return sum(pairs) / len(pairs) + (sum(rest) / len(rest) if rest else 0.0)


@pytest.mark.parametrize("case", [key.split("/")[0] for key in Golden("06_instance").keys(end="out/criterion")])
def test_instance_loss_golden(case: str) -> None:
    golden = Golden("06_instance")
    probabilities, truth = golden[f"{case}/in/prob"][0, ..., :-1].permute(2, 0, 1), golden[f"{case}/in/gt"][0].long()
    compact = torch.unique(truth, return_inverse=True)[1]  # ids as channel numbers
    unused = torch.zeros(1, *compact.shape)  # the output of none, which these images do not have
    loss = instance_loss(torch.cat([probabilities.logit(), unused]), compact)
    assert_close(loss, golden[f"{case}/out/criterion"][0], 1e-5)


def test_hungarian_is_the_cheapest_pairing_of_the_formula() -> None:
    logits, instances = random_case()
    ids = (0, 1, 3)
    costs = {
        order: by_hand(logits, instances, dict(zip(ids, order, strict=True)))
        for order in permutations(range(CHANNELS), len(ids))
    }
    # The pairing is by the cost of the pairs alone, without the term of those left over.
    kept = instances.flatten() < CHANNELS
    rows = logits.double().sigmoid().flatten(1)[:, kept].tolist()
    labels = instances.flatten()[kept].tolist()
    chosen = min(
        costs,
        key=lambda order: sum(
            pair_cost(rows[c], [int(label == i) for label in labels]) for i, c in zip(ids, order, strict=True)
        ),
    )
    assert float(instance_loss(logits, instances)) == pytest.approx(costs[chosen], rel=1e-5)


def test_fixed_gives_every_instance_its_own_channel() -> None:
    logits, instances = random_case()
    expected = by_hand(logits, instances, {0: 0, 1: 1, 3: 3})
    assert float(instance_loss(logits, instances, "fixed")) == pytest.approx(expected, rel=1e-5)


def test_hungarian_does_not_depend_on_the_order_of_channels_or_ids() -> None:
    logits, instances = random_case()
    order = torch.tensor([3, 0, 4, 1, 2, 5])
    renamed = torch.tensor([4, 2, 0, 1, 7, 7, 7, 7, -1])[instances]
    for changed in (instance_loss(logits[order], instances), instance_loss(logits, renamed)):
        assert float(changed) == pytest.approx(float(instance_loss(logits, instances)), rel=1e-6)


@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_the_right_masks_cost_nothing_and_pixels_of_no_channel_do_not_count(assignment: str) -> None:
    _, instances = random_case()
    masks = torch.stack([instances == i for i in (*range(CHANNELS), -1)])
    logits = 40 * masks.float() - 20
    assert float(instance_loss(logits, instances, assignment)) == pytest.approx(0, abs=1e-5)
    disturbed = torch.where(instances == 7, torch.tensor(7.0), logits)
    assert torch.equal(instance_loss(disturbed, instances, assignment), instance_loss(logits, instances, assignment))
    spilt = torch.where((instances < 0) & (torch.arange(CHANNELS + 1) == 0)[:, None, None], torch.tensor(20.0), logits)
    assert float(instance_loss(spilt, instances, assignment)) > 0.5


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("channel", range(4))
def test_logits_that_are_not_finite_give_such_a_loss_and_no_error(value: float, channel: int) -> None:
    logits, instances = torch.randn(4, 5, 6, requires_grad=True), torch.arange(30).reshape(5, 6) % 2
    spoilt = logits.index_put((torch.tensor([channel]), torch.tensor([0]), torch.tensor([0])), torch.tensor(value))
    loss = instance_loss(spoilt, instances)
    assert not loss.isfinite()
    loss.backward()  # processes exchange a gradient of everything
    assert logits.grad is not None


@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_an_image_without_any_known_pixel_gives_zero_and_zero_gradients(assignment: str) -> None:
    logits = random_case()[0].requires_grad_()
    loss = instance_loss(logits, torch.full((HEIGHT, WIDTH), 7), assignment)
    loss.backward()
    assert float(loss.detach()) == 0 and float(logits.grad.abs().sum()) == 0


@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_an_image_of_none_alone_silences_every_channel(assignment: str) -> None:
    logits = random_case()[0].requires_grad_()
    loss = instance_loss(logits, torch.full((HEIGHT, WIDTH), -1), assignment)
    loss.backward()
    assert (logits.grad[:CHANNELS] > 0).all() and (logits.grad[CHANNELS] < 0).all()


@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_the_output_of_none_learns_nothing_where_there_is_no_such_pixel(assignment: str) -> None:
    logits, instances = random_case()
    logits.requires_grad_()
    instance_loss(logits, instances.clamp(min=0), assignment).backward()
    assert not logits.grad[CHANNELS].any() and logits.grad[:CHANNELS].any()


@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_gradients_are_finite_at_extreme_logits_and_when_every_channel_has_a_partner(assignment: str) -> None:
    logits = (1e4 * random_case()[0]).requires_grad_()
    instances = torch.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % CHANNELS
    loss = instance_loss(logits, instances, assignment)
    loss.backward()
    assert bool(torch.isfinite(loss)) and bool(torch.isfinite(logits.grad).all())


def test_descent_separates_the_instances() -> None:
    _, instances = random_case()
    logits = (0.01 * random_case(1)[0]).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        instance_loss(logits, instances).backward()
        optimizer.step()
    winners = logits.argmax(dim=0)
    owners = [set(winners[instances == i].tolist()) for i in (-1, 0, 1, 3)]
    assert all(len(each) == 1 for each in owners) and len(set.union(*owners)) == 4 and owners[0] == {CHANNELS}
