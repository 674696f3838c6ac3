"""DINO's losses and targets against plain loops written from the paper's equations, and against lightly."""

import math

import pytest
import torch
from lightly.loss import DINOLoss
from made import naive_softmax

from pretrain.losses.self_distillation import across_views, entropy, mean_squared_error
from pretrain.modules.targets import sharpen, sinkhorn


@pytest.fixture
def outputs():
    """Four views' outputs of a student, two of a teacher, and a centre."""
    generator = torch.Generator().manual_seed(0)
    student = [torch.randn(3, 6, generator=generator).double() for _ in range(4)]
    teacher = [torch.randn(3, 6, generator=generator).double() for _ in range(2)]
    return student, teacher, 0.3 * torch.randn(6, generator=generator).double()


def test_dinos_loss_is_the_papers_equation_and_lightlys(outputs):
    student, teacher, centre = outputs
    terms = []
    for i, g in enumerate(teacher):
        for j, s in enumerate(student):
            if i != j:
                for t_row, s_row in zip(g, s, strict=True):
                    target = naive_softmax(t_row - centre, 0.07)
                    terms.append(-sum(p * math.log(q) for p, q in zip(target, naive_softmax(s_row, 0.1), strict=True)))
    targets = [sharpen(logits, centre, 0.07) for logits in teacher]
    found = float(across_views(student, targets, 0.1))
    assert found == pytest.approx(sum(terms) / len(terms), rel=1e-6)
    peer = DINOLoss(output_dim=6, teacher_temp=0.07)
    peer.center = centre[None, None].clone()
    assert found == pytest.approx(float(peer(teacher, student)), rel=1e-6)
    swapped = [sharpen(logits, centre, 0.07) for logits in teacher[::-1]]
    assert abs(float(across_views(student, swapped, 0.1)) - found) > 1e-2
    assert float(entropy(torch.stack(targets))) == pytest.approx(
        -sum(p * math.log(p) for view in targets for row in view.tolist() for p in row) / 6, rel=1e-6
    )


def test_sinkhorn_uses_every_output_as_often(outputs):
    _, teacher, _ = outputs
    matrix = [[math.exp(float(v) / 0.5) for v in row] for row in torch.cat(teacher)]  # (6, 6)
    for _ in range(3):
        columns = [sum(row[k] for row in matrix) for k in range(6)]
        matrix = [[v / (6 * columns[k]) for k, v in enumerate(row)] for row in matrix]
        matrix = [[v / (6 * sum(row)) for v in row] for row in matrix]
    found = sinkhorn(torch.cat(teacher), 0.5)
    torch.testing.assert_close(found, 6 * torch.tensor(matrix).double())
    torch.testing.assert_close(sinkhorn(torch.cat(teacher), 0.5, 200).sum(dim=0), torch.ones(6).double())


def test_dinos_mean_squared_error_goes_over_the_same_pairs(outputs):
    student, teacher, _ = outputs
    pairs = [(s, t) for j, s in enumerate(student) for i, t in enumerate(teacher) if i != j]
    rows = [(a / a.norm() - b / b.norm()).square().sum() for s, t in pairs for a, b in zip(s, t, strict=True)]
    assert float(mean_squared_error(student, teacher)) == pytest.approx(float(sum(rows)) / len(rows), rel=1e-6)


def test_a_constant_teacher_that_is_centred_gives_log_k(outputs):
    constant = torch.randn(8, generator=torch.Generator().manual_seed(0)).expand(3, 8)
    targets = [sharpen(constant, constant[0], 0.04)] * 2
    assert float(entropy(targets[0])) == pytest.approx(math.log(8), rel=1e-6)
    assert float(across_views([torch.zeros(3, 8)] * 2, targets, 0.1)) == pytest.approx(math.log(8), rel=1e-6)
    assert float(entropy(sharpen(constant, torch.zeros(8), 0.001))) == pytest.approx(0, abs=1e-6)  # not centred
