"""DropPos's targets and loss against plain loops written from the paper's equations."""

import math

import pytest
import torch
from made import dot, naive_softmax

from pretrain.losses.positions import affinity, position_loss, smoothed, smoothed_as_released


def test_positions_are_smoothed_by_the_papers_equation():
    found = smoothed(3, 4, 1.5).double()
    for i in range(12):
        weights = [math.exp(-((i // 4 - j // 4) ** 2 + (i % 4 - j % 4) ** 2) / 1.5**2) for j in range(12)]
        expected = torch.tensor([w / sum(weights) for w in weights]).double()
        torch.testing.assert_close(found[i], expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(smoothed(3, 4, 0.0), torch.eye(12))
    assert float(smoothed(3, 4, 0.01).diagonal().min()) == 1.0


def test_the_released_smoothing_is_another():
    released, right = smoothed_as_released(196, 16, 1.0), smoothed(14, 14, 1.0)
    weight = [math.exp(-((20 // 16 - j // 16) ** 2 + (20 % 16 - j % 16) ** 2)) for j in range(256)]
    columns = [
        sum(math.exp(-((j // 16 - i // 16) ** 2 + (j % 16 - i % 16) ** 2)) for i in range(256)) for j in range(196)
    ]
    expected = torch.tensor([weight[j] / columns[j] for j in range(196)])
    torch.testing.assert_close(released[20], expected, rtol=1e-5, atol=1e-7)
    assert float((released - right).abs().max()) > 0.1
    assert float((released.sum(dim=1) - 1).abs().max()) > 0.05


def test_droppos_loss_is_the_papers_equation():
    generator = torch.Generator().manual_seed(0)
    logits, tokens = (
        torch.randn(2, 3, 5, generator=generator).double(),
        torch.randn(2, 6, 4, generator=generator).double(),
    )
    targets = torch.rand(2, 3, 5, generator=generator).double().softmax(dim=2)
    dropped, place = torch.tensor([[1, 0, 1], [0, 1, 1]]), torch.tensor([[0, 2, 4], [1, 2, 3]])
    share = affinity(tokens, 0.1)
    top = bottom = 0.0
    for b in range(2):
        cosine = [dot(tokens[b, 0], t) / math.sqrt(dot(tokens[b, 0], tokens[b, 0]) * dot(t, t)) for t in tokens[b, 1:]]
        a = naive_softmax(cosine, 0.1)
        assert a == pytest.approx(share[b].tolist(), rel=1e-6)
        for v in range(3):
            o = naive_softmax(logits[b, v], 1.0)
            weight = a[int(place[b, v])] * int(dropped[b, v])
            top -= weight * sum(float(y) * math.log(p) for y, p in zip(targets[b, v], o, strict=True))
            bottom += weight
    weights = share.gather(1, place) * dropped
    assert float(position_loss(logits, targets, weights)) == pytest.approx(top / bottom, rel=1e-6)
    assert abs(float(position_loss(logits, targets, share.gather(1, place))) - top / bottom) > 1e-3
    constant = position_loss(torch.zeros(2, 3, 5), targets.float(), weights.float())
    assert float(constant) == pytest.approx(math.log(5), rel=1e-6)
