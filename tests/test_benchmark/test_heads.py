"""Heads against naive implementations of the papers' equations."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.heads.depth import UpProjection, UpProjectionHead, reverse_huber
from benchmark.heads.linear import LinearDepthHead, LinearHead
from benchmark.heads.res5 import Res5ExtraNorm
from benchmark.heads.whitening import Whitening

BN = {"type": "BN"}


def unpool(x):
    """Laina et al., section 3.1: every entry goes to the upper left of a 2x2 block of zeros."""
    batch, channels, height, width = x.shape
    wide = x.new_zeros(batch, channels, 2 * height, 2 * width)
    wide[:, :, ::2, ::2] = x
    return wide


def five_by_five(block, out_channel):
    """Put the four small kernels of one output channel back into the 5x5 kernel they came from."""
    a, b, c, d = (convolution.weight[out_channel] for convolution in block.interleaved)
    kernel = a.new_zeros(a.shape[0], 5, 5)
    kernel[:, 0::2, 0::2] = a  # even row, even column: taps 0, 2, 4
    kernel[:, 0::2, 1::2] = b
    kernel[:, 1::2, 0::2] = c
    kernel[:, 1::2, 1::2] = d
    return kernel


def naive_up_projection(block, x):
    channels = block.convolution.out_channels
    kernel = torch.stack([five_by_five(block, k) for k in range(2 * channels)])
    wide = F.conv2d(unpool(x), kernel, padding=2)
    main, skip = wide[:, :channels], wide[:, channels:]
    main = block.norm_out(block.convolution(F.relu(block.norm_main(main))))
    return F.relu(main + block.norm_skip(skip))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (4, 4)])
def test_fast_up_projection_equals_unpooling_and_a_5x5_convolution(height, width):
    torch.manual_seed(0)
    block = UpProjection(6, 4, BN).eval()
    x = torch.randn(2, 6, height, width)
    expected = naive_up_projection(block, x)
    assert block(x).shape == (2, 4, 2 * height, 2 * width)
    torch.testing.assert_close(block(x), expected)
    block.interleaved[1], block.interleaved[2] = block.interleaved[2], block.interleaved[1]
    with pytest.raises((AssertionError, RuntimeError)):
        torch.testing.assert_close(block(x), expected)


def naive_reverse_huber(prediction, target):
    errors = [abs(p - t) for p, t in zip(prediction, target, strict=True) if t > 0]
    c = 0.2 * max(errors)
    return sum(e if e <= c else (e * e + c * c) / (2 * c) for e in errors) / len(errors)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_reverse_huber_against_a_loop(pairs):
    prediction, target = (list(values) for values in zip(*pairs, strict=True))
    prediction.append(99.0)
    target.append(0.0)  # an invalid pixel, which must not count
    if max(abs(p - t) for p, t in pairs) < 1e-3:
        return
    shape = (1, 1, 1, len(target))
    found = reverse_huber(torch.tensor(prediction).view(shape), torch.tensor(target).view(shape))
    assert float(found) == pytest.approx(naive_reverse_huber(prediction, target), rel=1e-4)


def test_reverse_huber_without_valid_pixels_is_zero_and_differentiable():
    prediction = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = reverse_huber(prediction, torch.zeros(1, 1, 2, 2))
    loss.backward()
    assert float(loss) == 0.0
    assert float(prediction.grad.abs().sum()) == 0.0


def test_up_projection_head_has_the_papers_shape():
    head = UpProjectionHead(2048, (512, 256, 128, 64), BN, max_depth=10.0)
    assert head.reduction.out_channels == 1024
    assert [block.convolution.out_channels for block in head.blocks] == [512, 256, 128, 64]
    small = UpProjectionHead(8, (8, 4, 4, 2), BN, max_depth=10.0).eval()
    depth = small([torch.randn(1, 8, 8, 10)])
    assert depth.shape == (
        1,
        1,
        128,
        160,
    )  # 304x228 pixels in the paper give 8x10 features and 128x160 depths
    predicted = small.predict([torch.randn(1, 8, 8, 10) * 100], [{"img_shape": (228, 304)}])
    assert predicted.shape == (1, 1, 228, 304)
    assert float(predicted.min()) >= 0 and float(predicted.max()) <= 10.0


def test_linear_probes_are_linear_in_the_features():
    torch.manual_seed(0)
    heads = [
        LinearHead(
            {"images": 8},
            in_channels=6,
            in_index=0,
            channels=6,
            num_classes=3,
            dropout_ratio=0.0,
        ),
        LinearDepthHead(6, {"images": 8}, 10.0),
    ]
    for head in heads:
        trained = [name for name, parameter in head.named_parameters() if parameter.requires_grad]
        assert len(trained) == 2  # one weight, one bias
        head.eval()
        a, b = torch.randn(1, 6, 4, 4), torch.randn(1, 6, 4, 4)
        torch.testing.assert_close(head([a + b]) + head([a * 0]), head([a]) + head([b]))


def covariance(maps):
    """Of positions, (C, C), from the definition."""
    rows = torch.cat([one.permute(0, 2, 3, 1).reshape(-1, one.shape[1]) for one in maps]).double()
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)


def test_whitening_decorrelates_and_leaves_weak_directions_weak():
    torch.manual_seed(0)
    mix = torch.randn(6, 6)
    maps = [torch.einsum("dc,bchw->bdhw", mix, torch.randn(2, 6, 5, 7)) + 3.0 for _ in range(20)]
    whitening = Whitening(6, images=40)
    whitening.fit(iter(maps))
    whitened = [whitening(one) for one in maps]
    torch.testing.assert_close(covariance(whitened), torch.eye(6).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cat(whitened).mean((0, 2, 3)), torch.zeros(6), atol=1e-4, rtol=0)
    scaled = [one / one.std((0, 2, 3), keepdim=True) for one in maps]  # what a norm would do
    assert float((covariance(scaled) - torch.eye(6).double()).abs().max()) > 0.1

    dead = [one * torch.tensor([1.0, 1, 1, 1, 1, 1e-4])[:, None, None] for one in maps]
    whitening.fit(iter(dead))
    variances = torch.linalg.eigvalsh(covariance([whitening(one) for one in dead]))
    assert float(variances[0]) < 1e-2  # the sixth channel was all but constant: it is not blown up to noise
    assert float(variances[-1]) == pytest.approx(1.0, abs=1e-3)
    whitening.fit([torch.zeros(1, 6, 2, 2)])
    assert whitening(torch.zeros(1, 6, 2, 2)).isfinite().all()


def test_a_probe_after_whitening_sees_no_difference_between_equivalent_features():
    torch.manual_seed(0)
    maps = torch.randn(4, 6, 5, 7)
    mixed = torch.einsum("dc,bchw->bdhw", torch.randn(6, 6), maps)
    whitening = Whitening(6, images=4)
    similarities = []
    for features in (maps, mixed):
        whitening.fit([features])
        rows = whitening(features).permute(0, 2, 3, 1).reshape(-1, 6)
        similarities.append(rows @ rows.T)  # all that gradient descent on a linear layer depends on
    torch.testing.assert_close(similarities[0], similarities[1], atol=1e-2, rtol=1e-3)


def test_the_c4_box_head_has_one_more_norm_than_res5():
    head = Res5ExtraNorm(18, BN)
    extra = {name for name in head.state_dict() if not name.startswith("layer4.")}
    assert extra == {
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    }
    head.train()
    features = head(torch.randn(8, 256, 14, 14))
    assert features.shape == (8, 512, 7, 7)
    means = features.mean((0, 2, 3))  # the norm comes last
    torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-4, rtol=0)


def test_depth_heads_start_near_a_constant_depth():
    torch.manual_seed(0)
    decoder = UpProjectionHead(512, (32, 16, 8, 4), BN, 10.0)
    probe = LinearDepthHead(512, {"images": 8}, 10.0)
    for head, start, bound in ((decoder, 0.0, 0.5), (probe, 5.0, 5.0)):
        head.init_weights()  # by Kaiming's fan-out: 3 and 250 metres off
        assert 0 < (head([torch.randn(4, 512, 5, 5)]) - start).abs().mean() < bound
