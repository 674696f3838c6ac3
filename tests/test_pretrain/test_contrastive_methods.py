"""The methods that compare two views of an image: their loss step by step, their switches and defaults."""

import copy

import pytest
import torch
import torch.nn.functional as F
from made import batch, build, naive_detection

from pretrain import backbones, methods
from pretrain.errors import UsageError
from pretrain.losses.dense import dense_info_nce, match
from pretrain.losses.info_nce import info_nce, info_nce_within
from pretrain.losses.vicreg import covariance, variance
from pretrain.recipe import keywords_of


def test_densecl_is_the_papers_loss_step_by_step():
    method = build("densecl", queue_size=32, loss_weight=0.3, temperature=0.15)
    views = batch(method)
    queue, dense_queue = method.contrast.queue.keys.clone(), method.dense_queue.keys.clone()
    student, teacher = copy.deepcopy(method.contrast.encoder), copy.deepcopy(method.contrast.teacher)
    found = method.loss(views)

    f, g = student.backbone(views.images[0]), teacher.backbone(views.images[1])  # (B, C, 2, 2)
    q, k = F.normalize(student.head(f), dim=1), F.normalize(teacher.head(g), dim=1)
    r, t = student.dense_head(f).flatten(2).transpose(1, 2), teacher.dense_head(g).flatten(2).transpose(1, 2)
    correspondence = match(f.flatten(2).transpose(1, 2), g.flatten(2).transpose(1, 2))
    whole = info_nce(q, k, queue, 0.15)
    dense = dense_info_nce(F.normalize(r, dim=2), F.normalize(t, dim=2), correspondence, dense_queue, 0.15)
    torch.testing.assert_close(found["loss"], 0.7 * whole + 0.3 * dense)

    torch.testing.assert_close(method.contrast.queue.keys[:4], k)
    torch.testing.assert_close(method.dense_queue.keys[:4], F.normalize(t.mean(dim=1), dim=1))
    torch.testing.assert_close(method.dense_queue.keys.norm(dim=1), torch.ones(32))


@pytest.mark.parametrize(("name", "temperature"), [("moco_v1", 0.07), ("moco_v2", 0.2)])
def test_moco_is_the_papers_loss_step_by_step(name, temperature):
    method = build(name, queue_size=32)
    contrast, views = method.contrast, batch(method)
    queue = contrast.queue.keys.clone()
    student, teacher = copy.deepcopy(contrast.encoder), copy.deepcopy(contrast.teacher)
    found = method.loss(views)
    q = F.normalize(student.head(student.backbone(views.images[0])), dim=1)
    k = F.normalize(teacher.head(teacher.backbone(views.images[1])), dim=1)
    torch.testing.assert_close(found["loss"], info_nce(q, k, queue, temperature))
    torch.testing.assert_close(contrast.queue.keys[:4], k)
    torch.testing.assert_close(contrast.queue.keys[4:], queue[4:])
    assert len(contrast.encoder.head.layers) == (1 if name == "moco_v1" else 3)


def test_end_to_end_training_contrasts_the_batch_and_trains_both_its_encoders():
    method = build("moco_v1", mechanism="end-to-end").double()
    views = batch(method)
    views.images = [image.double() for image in views.images]
    twin = copy.deepcopy(method.encoder)
    q, k = (F.normalize(twin.head(twin.backbone(image)).float(), dim=1) for image in views.images)
    terms = [-torch.log(torch.exp(k[i] @ q[i] / 0.07) / torch.exp(k @ q[i] / 0.07).sum()) for i in range(4)]
    expected, found = torch.stack(terms).mean(), method.loss(views)["loss"]
    torch.testing.assert_close(found, expected)
    found.backward()
    gradients = torch.autograd.grad(expected, list(twin.parameters()), retain_graph=True)
    for parameter, gradient in zip(method.encoder.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5)
    stopped = torch.autograd.grad(info_nce_within(q, k.detach(), torch.arange(4), 0.07), list(twin.head.parameters()))
    assert not torch.allclose(method.encoder.head.layers[0].weight.grad, stopped[0], rtol=1e-3)
    assert method.export() is method.encoder.backbone


def test_the_memory_bank_gives_what_images_looked_like_when_last_seen():
    method = build("moco_v1", mechanism="memory-bank", images=6, queue_size=5, bank_momentum=0.25)
    views = batch(method)
    assert len(views.images) == 1
    views.index = torch.tensor([5, 0, 3, 2])
    before, twin = method.bank.vectors.clone(), copy.deepcopy(method.encoder)
    torch.manual_seed(3)
    found = method.loss(views)["loss"]
    torch.manual_seed(3)
    negatives = before[torch.randint(6, (5,))]
    q = F.normalize(twin.head(twin.backbone(views.images[0])), dim=1)
    torch.testing.assert_close(found, info_nce(q, before[views.index], negatives, 0.07))
    torch.testing.assert_close(method.bank.vectors[views.index], F.normalize(0.25 * before[views.index] + 0.75 * q))
    assert torch.equal(method.bank.vectors[[1, 4]], before[[1, 4]])
    assert method.export() is method.encoder.backbone
    with pytest.raises(UsageError, match="mechanism"):
        build("moco_v1", mechanism="bank")


def test_moco_v2_without_its_head_and_its_augmentation_is_moco_v1():
    plain = {"mlp_head": False, "strong_augmentation": False}
    old, new = build("moco_v1", queue_size=32), build("moco_v2", queue_size=32, temperature=0.07, **plain)
    for first, second in zip(batch(old).images, batch(new).images, strict=True):
        assert torch.equal(first, second)
    assert torch.equal(old.loss(batch(old))["loss"], new.loss(batch(new))["loss"])
    strong = build("moco_v2", queue_size=32)
    for keyword in plain:
        method = build("moco_v2", queue_size=32, **{keyword: False})
        assert len(method.contrast.encoder.head.layers) == (1 if keyword == "mlp_head" else 3)
        assert torch.equal(batch(method).images[0], batch(strong).images[0]) == (keyword == "mlp_head")


def test_simclr_is_the_papers_loss_step_by_step():
    method = build("simclr")
    views = batch(method)
    encoder = copy.deepcopy(method.encoder)
    z = F.normalize(encoder(torch.cat(views.images)), dim=1).double()  # views 0..3, then their others 4..7
    terms = []
    for i in range(8):
        similarity = torch.exp(z @ z[i] / 0.1)
        terms.append(-torch.log(similarity[(i + 4) % 8] / (similarity.sum() - similarity[i])))
    torch.testing.assert_close(method.loss(views)["loss"].double(), torch.stack(terms).mean(), rtol=1e-5, atol=0)


def test_heads_have_the_released_biases():
    *_, linear, norm = build("simclr").encoder.head.layers
    assert (linear.bias, norm.bias) == (None, None) and norm.weight.requires_grad
    assert [type(layer) for layer in build("simclr", head_norm=False).encoder.head.layers][-1] is torch.nn.Linear
    byol, regions, shared = (build(name, hidden=32) for name in ("byol", "detcon_b", "detcon_s"))
    heads = [byol.encoder.head.layers, byol.predictor, regions.encoder.head, regions.predictor, shared.encoder.head]
    for head in heads:
        first, _, _, last = head
        assert first.bias is not None and last.bias is None


def test_byol_is_the_papers_loss_step_by_step():
    method = build("byol", hidden=32, dimension=16)
    views = batch(method)
    online, predictor, target = (copy.deepcopy(m) for m in (method.encoder, method.predictor, method.teacher))
    found = method.loss(views)["loss"]
    total = torch.zeros(())
    q = [F.normalize(predictor(online(image)), dim=1) for image in views.images]
    z = [F.normalize(target(image), dim=1) for image in views.images]
    for mine, other in ((0, 1), (1, 0)):
        total = total + (q[mine] - z[other]).square().sum(dim=1).mean()
    torch.testing.assert_close(found, total)


def test_byols_teacher_slows_down():
    method = build("byol", hidden=32, ema_momentum=0.9)
    for progress, momentum in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0)):
        before = next(method.teacher.parameters()).clone()
        with torch.no_grad():
            next(method.encoder.parameters()).copy_(before + 1.0)
        method.before_step(progress)
        torch.testing.assert_close(next(method.teacher.parameters()), before + 1 - momentum)
    copied = build("byol", hidden=32, momentum_encoder=False)
    for progress in (0.0, 0.5):
        with torch.no_grad():
            next(copied.encoder.parameters()).add_(1.0)
        copied.before_step(progress)
        assert torch.equal(next(copied.teacher.parameters()), next(copied.encoder.parameters()))


@pytest.mark.parametrize("name", ["detcon_b", "detcon_s"])
def test_detcon_is_the_papers_loss_step_by_step(name):
    method = build(name, regions=3, hidden=16, dimension=8, temperature=0.2).double()
    views = batch(method)
    views.images = [image.double() for image in views.images]
    student, teacher = copy.deepcopy(method.encoder), copy.deepcopy(getattr(method, "teacher", method.encoder))
    predictor = copy.deepcopy(getattr(method, "predictor", torch.nn.Identity()))
    found = method.loss(views)["loss"]

    def encode(encoder, then, view):
        features, masks = encoder.backbone(views.images[view]), views.masks[view]  # (4, C, 2, 2), (4, 3, 2, 2)
        pooled = [features[b][:, mask].mean(dim=1) for b in range(4) for mask in masks[b]]
        return F.normalize(then(encoder.head(torch.stack(pooled))), dim=1).view(4, 3, 8)

    with torch.no_grad():
        q = [encode(student, predictor, view) for view in (0, 1)]
        t = [encode(teacher, torch.nn.Identity(), view) for view in (0, 1)] if name == "detcon_b" else q
    ids = views.regions
    expected = [naive_detection(q[i], t[i], t[1 - i], ids[i], ids[1 - i], 0.2) for i in (0, 1)]
    assert float(found.detach()) == pytest.approx(sum(expected), rel=1e-6)
    assert len({tuple(row) for row in ids[0].tolist()}) > 1


@pytest.mark.parametrize("name", ["detcon_b", "detcon_s"])
def test_regions_want_views_of_whole_cells(name):
    with pytest.raises(UsageError, match="Set image_size to a multiple of 32"):
        build(name, image_size=80)


def test_byol_takes_vicregs_terms_of_its_projections():
    """VICReg's Table 4: the terms are of what the predictor reads, before it is normalised."""
    plain, method = build("byol", hidden=32), build("byol", hidden=32, variance_weight=0.7, covariance_weight=0.3)
    views = batch(method)
    z = [copy.deepcopy(method.encoder)(image) for image in views.images]
    added = 0.7 * (variance(z[0]) + variance(z[1])) + 0.3 * (covariance(z[0]) + covariance(z[1]))
    torch.testing.assert_close(method.loss(views)["loss"], plain.loss(views)["loss"] + added)
    assert added > 0.1


@pytest.mark.parametrize("name", ["densecl", "moco_v1", "moco_v2", "resim"])
def test_the_teacher_follows_before_the_step(name):
    method = build(name, queue_size=32, ema_momentum=0.9)
    contrast = method.contrast
    before = next(contrast.teacher.parameters()).clone()
    with torch.no_grad():
        next(contrast.encoder.parameters()).add_(1.0)
    method.before_step(0.0)
    torch.testing.assert_close(next(contrast.teacher.parameters()), before + 0.1)


def test_densecl_switches_change_what_they_name():
    losses = {}
    for matching in ("backbone", "projected", "random"):
        method = build("densecl", queue_size=32, matching=matching)
        torch.manual_seed(1)
        losses[matching] = method.loss(batch(method))
    assert len({float(terms["loss_dense"]) for terms in losses.values()}) == 3
    assert len({float(terms["loss_global"]) for terms in losses.values()}) == 1

    method = build("densecl", queue_size=32, grid=3)
    _, dense, _, features = method.contrast.encoder(batch(method).images[0])
    assert dense.shape == (4, 9, 128)
    assert features.shape == (4, 9, 512)
    with pytest.raises(UsageError, match="matching"):
        build("densecl", matching="nearest")


def test_lambda_weighs_the_two_losses():
    for weight, term in ((0.0, "loss_global"), (1.0, "loss_dense")):
        method = build("densecl", queue_size=32, loss_weight=weight)
        terms = method.loss(batch(method))
        torch.testing.assert_close(terms["loss"], terms[term])


def test_the_dense_loss_waits_for_its_warmup():
    method = build("densecl", queue_size=32, dense_warmup=0.5)
    for progress, weight in ((0.0, 0.0), (0.49, 0.0), (0.5, 0.5), (1.0, 0.5)):
        method.before_step(progress)
        terms = method.loss(batch(method))
        expected = (1 - weight) * terms["loss_global"] + weight * terms["loss_dense"]
        torch.testing.assert_close(terms["loss"], expected)
        assert terms["loss_global"] != terms["loss_dense"]
    with pytest.raises(UsageError, match="share of the steps"):  # the released hook counts iterations
        build("densecl", dense_warmup=1000)


@pytest.mark.parametrize("name", ["densecl", "moco_v2"])
def test_keywords_have_the_papers_defaults(name):
    published = {
        "dimension": 128,
        "queue_size": 65536,
        "temperature": 0.2,
        "ema_momentum": 0.999,
        "image_size": 224,
        "crop_scale": (0.2, 1.0),
    }
    keywords = keywords_of(methods.load(name))
    assert {key: keywords[key] for key in published} == published
    if name == "densecl":
        assert (keywords["loss_weight"], keywords["matching"], keywords["grid"]) == (0.5, "backbone", None)
        assert keywords["dense_warmup"] == 0.0
    augment = methods.load(name)(backbones.build("resnet18"), queue_size=4).views().views[0]
    assert (augment.jitter, augment.jitter_probability) == ((0.4, 0.4, 0.4, 0.1), 0.8)
    assert (augment.grey_probability, augment.blur_probability, augment.blur_sigma) == (0.2, 0.5, (0.1, 2.0))


def test_resnet50_heads_have_the_papers_widths():
    method = methods.load("densecl")(backbones.build("resnet50"), queue_size=4)
    shapes = [tuple(layer.weight.shape) for layer in method.contrast.encoder.head.layers[::2]]
    assert shapes == [(2048, 2048), (128, 2048)]
    shapes = [tuple(layer.weight.shape) for layer in method.contrast.encoder.dense_head.layers[::2]]
    assert shapes == [(2048, 2048, 1, 1), (128, 2048, 1, 1)]
