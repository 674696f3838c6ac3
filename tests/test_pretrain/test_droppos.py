"""DropPos: its loss step by step, what it hides, its switches."""

import math

import pytest
import torch
import torch.nn.functional as F
from made import batch, build

from pretrain.errors import UsageError

SMALL_DROPPOS = {"decoder_width": 32, "decoder_heads": 4}


def test_droppos_is_the_papers_loss_step_by_step():
    method = build(
        "droppos", "vit_tiny_patch16", **SMALL_DROPPOS, mask_ratio=0.25, sigma=2.0
    )  # 4 x 4 patches, 12 shown
    method.before_step(0.5)
    views = batch(method)
    shown, told = views.masks[0].flatten(2).unbind(dim=1)
    vit, found = method.backbone, method.loss(views)
    top = bottom = right = 0.0
    for b in range(4):
        index = shown[b].nonzero()[:, 0]
        patches, positions = vit.patches(views.images[0][b : b + 1])[0], vit.positions(4, 4)[0]
        rows = [patches[i] + (positions[1 + i] if told[b, i] else method.token[0, 0]) for i in index.tolist()]
        tokens = vit.encode(torch.stack([vit.cls_token[0, 0] + positions[0], *rows])[None])
        logits = method.decoder(tokens)[0]
        whole = vit.tokens(views.images[0][b : b + 1])[0]
        cosine = torch.stack([F.cosine_similarity(whole[0], whole[1 + i], dim=0) for i in index.tolist()])
        a = torch.exp(cosine / 0.1) / torch.exp(cosine / 0.1).sum()  # over the visible ones
        for v, i in enumerate(index.tolist()):
            if not told[b, i]:
                near = torch.tensor([math.exp(-((i // 4 - j // 4) ** 2 + (i % 4 - j % 4) ** 2)) for j in range(16)])
                top = top - a[v] * (near / near.sum() * logits[v].log_softmax(dim=0)).sum()
                bottom = bottom + a[v]
                right += float(logits[v].argmax() == i)
    torch.testing.assert_close(found["loss"], top / bottom, rtol=1e-4, atol=1e-5)
    assert float(found["accuracy"]) == pytest.approx(right / 36)


def test_droppos_hides_what_it_asks_for(monkeypatch):
    """Neither hidden patches nor dropped positions reach the logits; shown patches and told positions do."""
    method = build("droppos", "vit_tiny_patch16", **SMALL_DROPPOS, attentive=False).eval()
    views = batch(method, size=1)
    (image,), (shown, told) = views.images, views.masks[0][0]  # (4, 4) patches
    loss = method.loss(views)["loss"]

    def unchanged():
        return torch.allclose(method.loss(views)["loss"], loss)

    for patches, alike in ((~shown, True), (shown, False)):
        pixels = patches.repeat_interleave(16, dim=0).repeat_interleave(16, dim=1)
        views.images = [torch.where(pixels, torch.randn_like(image), image)]
        assert unchanged() == alike
    views.images = [image]
    positions = method.backbone.positions(4, 4)
    for patches, alike in ((shown & ~told, True), (told, False)):
        other = positions.clone()
        other[0, 1:][patches.flatten()] = torch.randn(192)
        monkeypatch.setattr(method.backbone, "positions", lambda *_, other=other: other)
        assert unchanged() == alike


def test_droppos_switches_change_what_they_name():
    losses = {}
    changes = {"position_token": "zeros", "sigma": 0.0, "smoothing_as_released": True, "attentive": False}
    changes |= {"mask_ratio": 0.5, "position_mask_ratio": 0.5, "attention_temperature": 1.0}
    for name, value in {"": None, **changes}.items():
        method = build("droppos", "vit_tiny_patch16", **SMALL_DROPPOS, **({name: value} if name else {}))
        losses[name] = float(method.loss(batch(method))["loss"].detach())
    wrong = build("droppos", "vit_tiny_patch16", **SMALL_DROPPOS, position_token="wrong", mask_ratio=0.0)
    losses["wrong"] = float(wrong.loss(batch(wrong))["loss"].detach())
    assert len(set(losses.values())) == len(losses)
    for decays, sigma in ((True, 0.5), (False, 1.0)):
        method = build("droppos", "vit_tiny_patch16", **SMALL_DROPPOS, sigma_decay=decays)
        method.before_step(0.5)
        assert method.sigma == sigma
    for keywords, message in (
        ({"position_token": "none"}, "position_token"),
        ({"mask_ratio": 0.95}, "leave 2 patches"),
    ):
        with pytest.raises(UsageError, match=message):
            build("droppos", "vit_tiny_patch16", **keywords)


def test_the_released_smoothing_has_room_for_few_patches():
    with pytest.raises(UsageError, match=r"room for 8 x 8 patches; a view of 72 pixels has 9 x 9"):
        build("droppos", "vit_tiny_patch8", image_size=72, **SMALL_DROPPOS, smoothing_as_released=True)
