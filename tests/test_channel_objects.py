"""What a scene's channels stand for: found out on training frames, whatever their order."""

import torch
from torch import nn

from gpnerf.data.instances import InstanceMap
from gpnerf.data.scene import Scene
from gpnerf.evaluation.instances import ChannelObjects, channel_objects
from gpnerf.models.gpnerf import GPNeRF


class _Shuffled(GPNeRF):
    """Knows the truth of each image, under other channel numbers."""

    def __init__(self, truths: list[torch.Tensor], channel_of: torch.Tensor) -> None:
        nn.Module.__init__(self)
        self.truths, self.channel_of = truths, channel_of

    def encode_semantics(self, image: torch.Tensor) -> torch.Tensor:
        return self.truths[int(image)]

    def segment(self, truth: torch.Tensor, height: int, width: int) -> tuple[None, torch.Tensor]:
        channels = self.channel_of[truth.clamp(min=0)]
        one_hot = nn.functional.one_hot(channels, len(self.channel_of) + 1).permute(2, 0, 1)
        return None, 5.0 * one_hot[:, :height, :width]


class _Frames(Scene):
    """A scene of images that are their own numbers; None where a frame lacks its file."""

    def __init__(self, truths: list[torch.Tensor | None], count: int) -> None:
        for name, value in (("truths", truths), ("instance_map", InstanceMap(tuple(range(count)), None))):
            object.__setattr__(self, name, value)

    def channels(self, index: int) -> torch.Tensor | None:
        return self.truths[index]

    def image(self, index: int) -> torch.Tensor:
        return torch.tensor(index)


def test_channels_are_told_apart_by_training_frames_whatever_their_order() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 6
    # Each frame shows some of the instances only, and pixels of none.
    truths = [torch.randint(-1, shown, (16, 20), generator=generator) for shown in (3, 6, 4, 6, 2)]
    channel_of = torch.randperm(count, generator=generator)
    scene, model = _Frames([*truths, None], count), _Shuffled(truths, channel_of)
    objects = channel_objects(model, scene, range(6), torch.device("cpu"))
    assert objects.ids[channel_of].tolist() == list(range(count)) and not objects.has_none
    truth = truths[1].clamp(min=0)
    logits = model.segment(truth, 16, 20)[1]
    assert torch.equal(objects.likeliest(logits), truth)
    scores = objects.scores(logits, logits, truth)
    assert scores["ap95"] == scores["ap75_query"] == scores["ap50_large"] == 1.0
    assert {"recall50_small", "recall50_small_query"} <= set(scores)


def test_the_last_output_is_none_where_the_data_has_such_an_id() -> None:
    logits = torch.tensor([[0.0, 2, 1], [1, 0, 1], [2, 1, 3]])[:, None]
    ids = torch.tensor([1, 0])
    for has_none, expected in ((True, [[-1, 1, -1]]), (False, [[0, 1, 1]])):
        objects = ChannelObjects(ids, has_none)
        assert objects.likeliest(logits).tolist() == expected
        assert objects.likeliest_thing(logits).tolist() == [[0, 1, 1]]
    truth = torch.tensor([[-1, 1, 1]])
    assert ChannelObjects(ids, True).scores(logits, logits, truth)["ap50"] == 0  # half of it is taken for none
    assert InstanceMap((3, 5), 0).to_raw(torch.tensor([[-1, 1, 0]])).tolist() == [[0, 5, 3]]
