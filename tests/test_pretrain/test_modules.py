"""Teacher, queue and the signs of collapse against plain implementations."""

import pytest
import torch
from torch import nn

from pretrain.errors import UsageError
from pretrain.modules.centre import Centre
from pretrain.modules.collapse import effective_rank, feature_std
from pretrain.modules.heads import PrototypeHead
from pretrain.modules.multi_crop import each_size
from pretrain.modules.queue import Queue
from pretrain.modules.teacher import follow, linear_warmup, teacher_of


def test_teacher_follows_as_an_exponential_moving_average():
    student = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    teacher = teacher_of(student)
    expected = [parameter.detach().double() for parameter in student.parameters()]
    for step in range(5):
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)))
        follow(teacher, student, momentum=0.9)
        expected = [0.9 * k + 0.1 * q.detach().double() for k, q in zip(expected, student.parameters(), strict=True)]
    for found, wanted in zip(teacher.parameters(), expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


def test_teacher_takes_no_gradient_and_keeps_its_own_statistics():
    student = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    teacher = teacher_of(student)
    student(torch.randn(2, 3, 8, 8) + 5)
    follow(teacher, student, momentum=0.0)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert torch.equal(teacher[1].running_mean, torch.zeros(4))


def test_momentum_one_keeps_the_teacher():
    student = nn.Linear(3, 2)
    teacher = teacher_of(student)
    before = teacher.weight.clone()
    with torch.no_grad():
        student.weight.add_(1)
    follow(teacher, student, momentum=1.0)
    assert torch.equal(teacher.weight, before)


def test_queue_begins_with_unit_vectors():
    queue = Queue(50, 8)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(50))


@pytest.mark.parametrize("batch", [1, 3, 4, 7])
def test_queue_holds_the_last_keys_in_order(batch):
    queue = Queue(7, 2)
    history = [tuple(row) for row in queue.keys.tolist()]
    for step in range(5):
        keys = torch.arange(batch * 2).reshape(batch, 2) + 100.0 * step
        queue.push(keys)
        history += [tuple(row) for row in keys.tolist()]
        pointer = int(queue.pointer)
        oldest_first = torch.cat([queue.keys[pointer:], queue.keys[:pointer]]).tolist()
        assert [tuple(row) for row in oldest_first] == history[-7:]


def test_queue_refuses_more_keys_than_it_holds():
    with pytest.raises(UsageError, match="holds 4 keys"):
        Queue(4, 2).push(torch.zeros(5, 2))


def test_queue_is_saved_with_the_state():
    queue, restored = Queue(6, 2), Queue(6, 2)
    queue.push(torch.ones(4, 2))
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.keys, queue.keys)
    assert int(restored.pointer) == 4


def test_spread_features_and_collapsed_features_are_told_apart():
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(256, 32, generator=generator)
    same = torch.ones(256, 32) + 1e-4 * spread
    line = torch.cat([torch.randn(256, 1, generator=generator), torch.ones(256, 31)], dim=1)
    assert feature_std(spread) == pytest.approx(1, abs=0.02)
    assert feature_std(same) < 0.001
    assert 28 < effective_rank(spread) <= 32
    assert effective_rank(line) < 2.5


def test_the_centre_is_a_slow_mean_of_the_outputs():
    centre, outputs = Centre(3, momentum=0.9), torch.randn(2, 5, 3)
    centre.update(outputs)
    torch.testing.assert_close(centre.centre, 0.1 * outputs.flatten(0, 1).mean(dim=0))
    centre.update(outputs)
    torch.testing.assert_close(centre.centre, 0.19 * outputs.flatten(0, 1).mean(dim=0))


def test_the_last_layer_is_weight_normalised_and_can_be_frozen():
    head = PrototypeHead(4, 16, 8, 12)
    features = torch.randn(5, 4)
    with torch.no_grad():
        head.last.weight.mul_(7)
    bottleneck = nn.functional.normalize(head.layers(features), dim=1)
    rows = torch.stack([row / row.norm() for row in head.last.weight])
    torch.testing.assert_close(head(features), bottleneck @ rows.T)
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.GELU] * 2 + [nn.Linear]

    for frozen in (False, True):
        head.zero_grad()
        head.frozen = frozen
        head(features).square().sum().backward()
        assert bool((head.last.weight.grad == 0).all()) == frozen
        assert bool((head.layers[0].weight.grad != 0).any())

    free = PrototypeHead(4, 16, 8, 12, norm=True, unit=False)
    assert free.lengths.shape == (12, 1)
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in free.layers) == 2


def test_the_last_layer_works_in_float32_under_autocast():
    head, features = PrototypeHead(64, 64, 64, 32), torch.randn(5, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found = head(features)
        bottleneck = nn.functional.normalize(head.layers(features).float(), dim=1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, bottleneck @ nn.functional.normalize(head.last.weight, dim=1).T)


def test_views_of_one_size_go_through_the_network_together():
    seen = []

    def encode(images):
        seen.append(tuple(images.shape))
        return images.mean(dim=(2, 3))

    images = [torch.randn(2, 3, size, size) for size in (8, 8, 4, 4, 4)]
    for found, image in zip(each_size(encode, images), images, strict=True):
        torch.testing.assert_close(found, image.mean(dim=(2, 3)))
    assert seen == [(4, 3, 8, 8), (6, 3, 4, 4)]


def test_a_linear_warmup_ends_and_stays():
    found = [linear_warmup(0.04, 0.07, 0.5, progress) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert found == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert linear_warmup(0.04, 0.07, 0.0, 0.0) == 0.07
