"""Every loss against plain loops written from the papers' equations, and against lightly."""

import math

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from lightly.models.utils import select_most_similar
from made import dot, unit

from pretrain.losses.classification import cross_entropy, sigmoid_cross_entropy
from pretrain.losses.dense import dense_info_nce, match
from pretrain.losses.info_nce import info_nce
from pretrain.losses.nt_xent import nt_xent
from pretrain.losses.regression import cosine_regression
from pretrain.losses.vicreg import covariance, invariance, variance

TEMPERATURE = 0.2


def naive_info_nce(query, positive, negatives, temperature):
    """MoCo, Eq. 1, term by term."""
    terms = []
    for q, k in zip(query, positive, strict=True):
        numerator = math.exp(dot(q, k) / temperature)
        others = sum(math.exp(dot(q, n) / temperature) for n in negatives)
        terms.append(-math.log(numerator / (numerator + others)))
    return sum(terms) / len(terms)


def naive_match(query, key):
    """DenseCL, Section 3.4: the most similar key location of every query location."""
    rows = []
    for f, g in zip(query, key, strict=True):
        row = []
        for a in f:
            similarity = [dot(a, b) / math.sqrt(dot(a, a) * dot(b, b)) for b in g]
            row.append(similarity.index(max(similarity)))
        rows.append(row)
    return torch.tensor(rows)


def naive_dense(query, key, correspondence, negatives, temperature):
    """DenseCL, Eq. 2, with every logit divided by the temperature."""
    per_image = []
    for r, t, c in zip(query, key, correspondence, strict=True):
        per_image.append(naive_info_nce(r, [t[j] for j in c], negatives, temperature))
    return sum(per_image) / len(per_image)


@pytest.fixture
def dense():
    query, key = unit(3, 6, 8, seed=0), unit(3, 6, 8, seed=1)
    features, key_features = (torch.randn(3, 6, 10, generator=torch.Generator().manual_seed(s)) for s in (2, 3))
    return query, key, features, key_features, unit(12, 8, seed=4)


def test_info_nce_is_the_papers_equation():
    query, positive, negatives = unit(5, 8, seed=0), unit(5, 8, seed=1), unit(12, 8, seed=2)
    expected = naive_info_nce(query, positive, negatives, TEMPERATURE)
    assert float(info_nce(query, positive, negatives, TEMPERATURE)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("logits", [1, 12, 30, 2**23])
def test_info_nce_has_the_gradient_of_all_logits_at_once(monkeypatch, logits):
    monkeypatch.setattr("pretrain.losses.info_nce._LOGITS", logits)
    query, positive, negatives = unit(5, 8, seed=0), unit(5, 8, seed=1), unit(12, 8, seed=2)
    query.requires_grad_()
    positive.requires_grad_()
    found = torch.autograd.grad(info_nce(query, positive, negatives, TEMPERATURE), (query, positive))
    whole = torch.cat([(query * positive).sum(dim=1, keepdim=True), query @ negatives.T], dim=1) / TEMPERATURE
    first = torch.zeros(5, dtype=torch.long)
    expected = torch.autograd.grad(torch.nn.functional.cross_entropy(whole, first), (query, positive))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("scale", [1e-3, 1, 100])
def test_info_nce_is_finite_for_any_length(scale):
    query = (scale * unit(5, 8, seed=0)).requires_grad_()
    loss = info_nce(query, scale * unit(5, 8, seed=1), scale * unit(12, 8, seed=2), 0.07)
    (gradient,) = torch.autograd.grad(loss, query)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_info_nce_is_lightlys():
    query, positive = unit(5, 8, seed=0), unit(5, 8, seed=1)
    peer = NTXentLoss(temperature=TEMPERATURE, memory_bank_size=(16, 8))
    peer(query, positive)  # fills the bank's first keys
    negatives = peer.memory_bank.bank.clone()
    negatives = negatives.T if negatives.shape[0] == 8 else negatives
    expected = peer(query, positive)
    assert float(info_nce(query, positive, negatives, TEMPERATURE)) == pytest.approx(float(expected), rel=1e-5)


def test_info_nce_without_the_positive_in_the_denominator_is_another_loss():
    query, positive, negatives = unit(5, 8, seed=0), unit(5, 8, seed=1), unit(12, 8, seed=2)
    right = info_nce(query, positive, negatives, TEMPERATURE)
    logits = query @ negatives.T / TEMPERATURE
    dropped = (logits.logsumexp(dim=1) - (query * positive).sum(dim=1) / TEMPERATURE).mean()
    assert abs(float(right - dropped)) > 1e-2


def test_an_unnormalised_queue_gives_another_loss():
    query, positive, negatives = unit(5, 8, seed=0), unit(5, 8, seed=1), unit(12, 8, seed=2)
    right = info_nce(query, positive, negatives, TEMPERATURE)
    assert abs(float(right - info_nce(query, positive, 3 * negatives, TEMPERATURE))) > 1e-2


def test_match_is_the_papers_equation(dense):
    _, _, features, key_features, _ = dense
    assert torch.equal(match(features, key_features), naive_match(features, key_features))


def test_match_ignores_the_features_lengths(dense):
    _, _, features, key_features, _ = dense
    longer = key_features * torch.linspace(0.1, 9, 6)[None, :, None]
    assert torch.equal(match(features, longer), match(features, key_features))


def test_match_picks_what_lightly_picks(dense):
    _, key, features, key_features, _ = dense
    index = match(features, key_features)[:, :, None].expand(-1, -1, key.shape[2])
    assert torch.equal(key.gather(1, index), select_most_similar(features, key_features, key))


def test_dense_loss_is_the_papers_equation(dense):
    query, key, features, key_features, negatives = dense
    correspondence = naive_match(features, key_features)
    expected = naive_dense(query, key, correspondence, negatives, TEMPERATURE)
    found = dense_info_nce(query, key, correspondence, negatives, TEMPERATURE)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_dense_loss_depends_on_the_matching(dense):
    query, key, features, key_features, negatives = dense
    right = dense_info_nce(query, key, match(features, key_features), negatives, TEMPERATURE)
    transposed = dense_info_nce(query, key, match(key_features, features), negatives, TEMPERATURE)
    same_place = dense_info_nce(query, key, torch.arange(6).expand(3, 6), negatives, TEMPERATURE)
    assert abs(float(right - transposed)) > 1e-3
    assert abs(float(right - same_place)) > 1e-3


def test_losses_are_computed_in_float32_under_autocast():
    query, positive, negatives = unit(5, 64, seed=0), unit(5, 64, seed=1), unit(200, 64, seed=2)
    plain = info_nce(query, positive, negatives, TEMPERATURE)
    with torch.autocast("cpu", torch.bfloat16):
        cast = info_nce(query, positive, negatives, TEMPERATURE)
    assert cast.dtype == torch.float32
    assert torch.equal(plain, cast)


def test_classification_losses_are_their_equations():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, generator=generator)
    label = torch.tensor([0, 3, 4, 1])
    rows = [[float(x) for x in row] for row in logits]
    expected = [-row[y] + math.log(sum(map(math.exp, row))) for row, y in zip(rows, label.tolist(), strict=True)]
    assert float(cross_entropy(logits, label)) == pytest.approx(sum(expected) / 4, rel=1e-6)

    present = (torch.rand(4, 5, generator=generator) > 0.5).float()
    probability = [[1 / (1 + math.exp(-x)) for x in row] for row in rows]
    expected = [
        -math.log(p if y else 1 - p)
        for row, targets in zip(probability, present.tolist(), strict=True)
        for p, y in zip(row, targets, strict=True)
    ]
    assert float(sigmoid_cross_entropy(logits, present)) == pytest.approx(sum(expected) / 20, rel=1e-6)


def naive_nt_xent(views, temperature):
    """SimCLR, Eq. 1, averaged over the 2N views; `views` lists all first views, then all second ones."""
    terms = []
    for i, z in enumerate(views):
        other = (i + len(views) // 2) % len(views)
        numerator = math.exp(dot(z, views[other]) / temperature)
        terms.append(
            -math.log(numerator / sum(math.exp(dot(z, k) / temperature) for j, k in enumerate(views) if j != i))
        )
    return sum(terms) / len(terms)


def test_nt_xent_is_the_papers_equation_and_lightlys():
    z = unit(2, 5, 8, seed=0).double()
    found = float(nt_xent(z, z, torch.arange(5), TEMPERATURE))
    assert found == pytest.approx(naive_nt_xent(z.flatten(0, 1), TEMPERATURE), rel=1e-6)
    assert found == pytest.approx(float(NTXentLoss(TEMPERATURE)(z[0].float(), z[1].float())), rel=1e-5)


def test_nt_xent_of_shares_is_that_of_the_whole():
    z = unit(2, 6, 8, seed=0).double()
    parts = [nt_xent(z[:, own], z, own, TEMPERATURE) for own in (torch.arange(3), torch.arange(3, 6))]
    torch.testing.assert_close(torch.stack(parts).mean(), nt_xent(z, z, torch.arange(6), TEMPERATURE))
    misplaced = nt_xent(z[:, 3:], z, torch.arange(3), TEMPERATURE)
    assert abs(float(misplaced - parts[1])) > 0.1


def test_cosine_regression_is_the_papers_equation_and_lightlys():
    q, z = (torch.randn(5, 8, generator=torch.Generator().manual_seed(s)).double() for s in (0, 1))
    terms = [
        sum((float(a) - float(b)) ** 2 for a, b in zip(x / x.norm(), y / y.norm(), strict=True))
        for x, y in zip(q, z, strict=True)
    ]
    found = float(cosine_regression(q, z))
    assert found == pytest.approx(sum(terms) / 5, rel=1e-6)
    assert found == pytest.approx(2 + 2 * float(NegativeCosineSimilarity()(q, z)), rel=1e-6)
    assert float(cosine_regression(q, 3 * q)) == pytest.approx(0, abs=1e-6)


def test_vicregs_terms_are_the_papers_equations_and_lightlys():
    a, b = (torch.randn(7, 5, generator=torch.Generator().manual_seed(s)).double() * 0.7 for s in (0, 1))
    n, d = a.shape
    mean = [sum(float(row[j]) for row in a) / n for j in range(d)]

    def covary(i, j):
        return sum((float(row[i]) - mean[i]) * (float(row[j]) - mean[j]) for row in a) / (n - 1)

    hinge = sum(max(0.0, 1 - math.sqrt(covary(j, j) + 1e-4)) for j in range(d)) / d
    mixed = sum(covary(i, j) ** 2 for i in range(d) for j in range(d) if i != j) / d
    apart = sum((float(x) - float(y)) ** 2 for x, y in zip(a.flatten(), b.flatten(), strict=True)) / (n * d)
    assert float(variance(a)) == pytest.approx(hinge, rel=1e-6)
    assert float(covariance(a)) == pytest.approx(mixed, rel=1e-6)
    assert float(invariance(a, b)) == pytest.approx(apart, rel=1e-6)
    # lightly, as the released code, averages the branches' variances where the paper adds them
    ours = 25 * invariance(a, b) + 25 * (variance(a) + variance(b)) / 2 + covariance(a) + covariance(b)
    assert float(ours) == pytest.approx(float(VICRegLoss()(a, b)), rel=1e-6)


def test_a_constant_encoder_has_the_losses_known_values():
    same = unit(1, 8, seed=0).expand(6, 8)
    assert float(nt_xent(*[same.expand(2, 6, 8)] * 2, torch.arange(6), 0.1)) == pytest.approx(math.log(11), rel=1e-6)
    assert float(info_nce(same, same, same, 0.1)) == pytest.approx(math.log(7), rel=1e-6)
    assert float(cosine_regression(same, same)) == pytest.approx(0, abs=1e-6)
    assert float(invariance(same, same)) + float(covariance(same)) == pytest.approx(0, abs=1e-6)
    assert float(variance(same)) == pytest.approx(1 - 1e-2, rel=1e-5)
