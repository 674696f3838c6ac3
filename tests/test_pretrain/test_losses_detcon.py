"""DetCon's loss against plain loops written from the paper's equation, and against lightly."""

import pytest
import torch
from lightly.loss import DetConBLoss, DetConSLoss
from made import naive_detection, unit

from pretrain.losses.detcon import both_views, contrastive_detection

TEMPERATURE = 0.2


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
        own = torch.arange(3)
        arguments = (predictions[this], targets[this], targets[other], ids[this], ids[other], own, TEMPERATURE)
        assert float(contrastive_detection(*arguments)) == pytest.approx(expected[this], rel=1e-6)
    assert float(both_views(predictions, targets, ids, 0, TEMPERATURE)) == pytest.approx(sum(expected), rel=1e-6)
    mixed = [ids[0].flip(0), ids[1]]
    assert abs(float(both_views(predictions, targets, mixed, 0, TEMPERATURE)) - sum(expected)) > 0.1


def test_contrastive_detection_is_lightlys(regions):
    predictions, targets, ids = ([one if one.dtype == torch.long else one.float() for one in part] for part in regions)
    found = both_views(predictions, targets, ids, 0, 0.1)
    expected = DetConBLoss(0.1, gather_distributed=False)(*predictions, *targets, *ids)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    found = both_views(predictions, predictions, ids, 0, 0.1)
    assert float(found) == pytest.approx(
        float(DetConSLoss(0.1, gather_distributed=False)(*predictions, *ids)), rel=1e-5
    )


def test_contrastive_detection_of_shares_is_that_of_the_whole(regions):
    predictions, targets, ids = regions
    whole = both_views(predictions, targets, ids, 0, TEMPERATURE)
    parts = [
        both_views(
            [p[rank : rank + 1] for p in predictions], targets, [i[rank : rank + 1] for i in ids], rank, TEMPERATURE
        )
        for rank in range(3)
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)
