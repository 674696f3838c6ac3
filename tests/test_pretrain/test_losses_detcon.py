"""DetCon's loss against plain loops written from the paper's equation, and against lightly."""

import math

import pytest
import torch
from lightly.loss import DetConBLoss, DetConSLoss
from made import naive_detection, unit

from pretrain.errors import UsageError
from pretrain.losses.detcon import Contrast, both_views, contrastive_detection

TEMPERATURE = 0.2
PAPERS = Contrast(TEMPERATURE)
ALL = torch.arange(3)


@pytest.fixture
def regions():
    predictions = [unit(3, 4, 8, seed=s).double() for s in (0, 1)]
    targets = [unit(3, 4, 8, seed=s).double() for s in (2, 3)]
    ids = [
        torch.tensor([[1, 1, 2, 3], [4, 4, 4, 4], [1, 2, 3, 5]]),
        torch.tensor([[1, 2, 2, 6], [4, 4, 4, 4], [7] * 4]),
    ]
    return predictions, targets, ids


def test_contrastive_detection_is_the_papers_equation(regions):
    predictions, targets, ids = regions
    expected = [
        naive_detection(predictions[this], targets[this], targets[other], ids[this], ids[other], TEMPERATURE)
        for this, other in ((0, 1), (1, 0))
    ]
    for this, other in ((0, 1), (1, 0)):
        arguments = (predictions[this], targets[this], targets[other], ids[this], ids[other], ALL, PAPERS)
        assert float(contrastive_detection(*arguments)) == pytest.approx(expected[this], rel=1e-6)
    assert float(both_views(predictions, targets, ids, ALL, PAPERS)) == pytest.approx(sum(expected), rel=1e-6)
    mixed = [ids[0].flip(0), ids[1]]
    assert abs(float(both_views(predictions, targets, mixed, ALL, PAPERS)) - sum(expected)) > 0.1


def test_contrastive_detection_is_lightlys(regions):
    predictions, targets, ids = ([one if one.dtype == torch.long else one.float() for one in part] for part in regions)
    found = both_views(predictions, targets, ids, ALL, Contrast(0.1))
    expected = DetConBLoss(0.1, gather_distributed=False)(*predictions, *targets, *ids)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    found = both_views(predictions, predictions, ids, ALL, Contrast(0.1))
    assert float(found) == pytest.approx(
        float(DetConSLoss(0.1, gather_distributed=False)(*predictions, *ids)), rel=1e-5
    )


@pytest.mark.parametrize("contrast", [PAPERS, Contrast(TEMPERATURE, negative_images=2)])
def test_contrastive_detection_of_shares_is_that_of_the_whole(regions, contrast):
    predictions, targets, ids = regions
    whole = both_views(predictions, targets, ids, ALL, contrast)
    parts = []
    for rank in range(3):
        share = slice(rank, rank + 1)
        mine = [[one[share] for one in part] for part in (predictions, ids)]
        parts.append(both_views(mine[0], targets, mine[1], ALL[share], contrast))
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


@pytest.mark.parametrize("negative_images", [None, 1, 2])
@pytest.mark.parametrize("local_negatives", [True, False])
@pytest.mark.parametrize("one_view", [True, False])
def test_ablations_take_their_terms_out_of_the_equation(regions, one_view, local_negatives, negative_images):
    if negative_images == 1 and not local_negatives:
        with pytest.raises(UsageError, match="Neither"):
            Contrast(TEMPERATURE, one_view, local_negatives, negative_images)
        return
    predictions, targets, ids = regions
    contrast = Contrast(TEMPERATURE, one_view, local_negatives, negative_images)
    found = float(both_views(predictions, targets, ids, ALL, contrast))
    naive = [
        naive_detection(
            predictions[this],
            targets[this],
            targets[1 - this],
            ids[this],
            ids[1 - this],
            TEMPERATURE,
            one_view,
            local_negatives,
            negative_images,
        )
        for this in (0, 1)
    ]
    assert found == pytest.approx(sum(naive), rel=1e-6)
    if contrast != PAPERS:
        assert abs(found - float(both_views(predictions, targets, ids, ALL, PAPERS))) > 0.01


def test_a_constant_encoder_has_the_logarithm_of_what_a_region_is_told_from():
    same = [torch.nn.functional.normalize(torch.ones(3, 4, 8), dim=2)] * 2
    ids = [torch.arange(1, 5).expand(3, 4)] * 2
    choices = 3 * 4 * 2 - 1  # of all views' regions all but itself
    found = both_views(same, same, ids, ALL, PAPERS)
    torch.testing.assert_close(found, torch.tensor(2 * math.log(choices)))
