"""Teacher, queue and the signs of collapse against plain implementations."""

import math

import pytest
import torch
from torch import nn

from pretrain import backbones
from pretrain.errors import UsageError
from pretrain.modules.class_attention import Aggregation
from pretrain.modules.collapse import effective_rank, feature_std
from pretrain.modules.heads import PrototypeHead
from pretrain.modules.multi_crop import each_size
from pretrain.modules.neighbours import most_similar, neighbours
from pretrain.modules.positions import fix_positions, sine_cosine
from pretrain.modules.queue import Queue
from pretrain.modules.targets import Targets
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
    assert effective_rank(line) == pytest.approx(1)
    outgrown = spread * torch.tensor([30.0] + [1.0] * 31)  # what BYOL's short run on the scenes comes to
    assert 1 < effective_rank(outgrown) < 1.5
    assert effective_rank(torch.ones(8, 4)) == 1  # exp of no entropy at all


def test_the_centre_is_a_slow_mean_of_the_outputs():
    targets, outputs = Targets(3, momentum=0.9), torch.randn(2, 5, 3)
    targets.update(outputs)
    torch.testing.assert_close(targets.centre, 0.1 * outputs.flatten(0, 1).mean(dim=0))
    targets.update(outputs)
    torch.testing.assert_close(targets.centre, 0.19 * outputs.flatten(0, 1).mean(dim=0))


def test_the_last_layer_is_weight_normalised():
    head = PrototypeHead(4, 16, 8, 12)
    features = torch.randn(5, 4)
    with torch.no_grad():
        head.last.weight.mul_(7)
    bottleneck = nn.functional.normalize(head.layers(features), dim=1)
    rows = torch.stack([row / row.norm() for row in head.last.weight])
    torch.testing.assert_close(head(features), bottleneck @ rows.T)
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.GELU] * 2 + [nn.Linear]

    assert head.last_parameters() == [head.last.weight]
    free = PrototypeHead(4, 16, 8, 12, norm=True, unit=False)
    assert free.last_parameters() == [free.last.weight, free.lengths]
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


@pytest.mark.parametrize(("wrap_around", "corner"), [(False, {1, 5, 6}), (True, {1, 4, 5, 6, 9, 10, 11, 14})])
def test_a_patchs_neighbours_are_the_adjacent_ones(wrap_around, corner):
    index, valid = neighbours(3, 5, 3, wrap_around)  # patches 0..14
    found = [set(row[here].tolist()) for row, here in zip(index, valid, strict=True)]
    assert found[7] == {1, 2, 3, 6, 8, 11, 12, 13}
    assert found[0] == corner
    wide, inside = neighbours(7, 7, 5, False)
    assert int(inside[24].sum()) == 24
    assert 24 not in wide[24]


def test_the_most_similar_neighbours_are_chosen():
    tokens = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    index, valid = neighbours(3, 4, 3, wrap_around=False)
    near, counts = most_similar(tokens, index, valid, count=4)
    assert near.shape == (2, 12, 4, 5)
    for b in range(2):
        for patch in range(12):
            there = index[patch][valid[patch]].tolist()
            cosine = {j: float(torch.cosine_similarity(tokens[b, patch], tokens[b, j], dim=0)) for j in there}
            best = sorted(there, key=cosine.__getitem__, reverse=True)[:4]
            assert int(counts[b, patch].sum()) == len(best) == min(4, len(there))
            assert torch.equal(near[b, patch][counts[b, patch]], tokens[b, best])


def test_neighbours_are_chosen_in_float32_under_autocast():
    tokens = 1 + 0.05 * torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(0))  # cosines close to 1
    index, valid = neighbours(4, 4, 3, wrap_around=False)
    plain = most_similar(tokens, index, valid, count=2)[0]
    with torch.autocast("cpu", torch.bfloat16):
        cast = most_similar(tokens, index, valid, count=2)[0]
    assert torch.equal(cast, plain)


def test_class_attention_is_its_equation_and_ignores_what_does_not_count():
    torch.manual_seed(0)
    module = Aggregation(128, heads=2, depth=1).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    block, tokens = module.blocks[0], torch.randn(1, 3, 128).double()
    token = module.token[0, 0]
    normed = block.norm1(torch.cat([token[None], tokens[0]]))
    heads = []
    for head in (slice(0, 64), slice(64, 128)):
        query = block.query(normed[0])[head]
        score = torch.stack([query @ block.key(other)[head] / 8 for other in normed])
        share = score.exp() / score.exp().sum()
        heads.append(sum(s * block.value(other)[head] for s, other in zip(share, normed, strict=True)))
    after = token + block.project(torch.cat(heads))
    after = after + block.mlp(block.norm2(after))
    torch.testing.assert_close(module(tokens)[0], module.norm(after))

    more = torch.cat([tokens, 100 * torch.randn(1, 2, 128).double()], dim=1)
    torch.testing.assert_close(module(more, torch.tensor([[True] * 3 + [False] * 2])), module(tokens))
    assert not torch.allclose(module(more), module(tokens))


def test_fixed_positions_are_sines_and_cosines_of_column_and_row():
    found = sine_cosine(3, 4, 16)
    for patch in range(12):
        expected = []
        for place in (patch % 4, patch // 4):
            angles = [place / 10000 ** (i / 4) for i in range(4)]
            expected += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert found[patch].tolist() == pytest.approx(expected, abs=1e-6)
    vit = backbones.build("vit_tiny_patch16", seed=0)
    fix_positions(vit)
    assert "pos_embed" in vit.state_dict()
    assert "pos_embed" not in dict(vit.named_parameters())
    torch.testing.assert_close(vit.pos_embed[0, 1:], sine_cosine(14, 14, 192))
