"""Methods as wholes: their loss step by step, their switches and defaults; and the backbones they take."""

import copy
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain import backbones, methods
from pretrain.errors import DensebenchError, UsageError
from pretrain.losses.dense import dense_info_nce, match
from pretrain.losses.info_nce import info_nce
from pretrain.method import Labels, Sample
from pretrain.recipe import keywords_of


def build(name, arch="resnet18", **keywords):
    backbone = backbones.build(arch, seed=0)
    torch.manual_seed(0)
    return methods.load(name)(backbone, image_size=64, **keywords)


def batch(method, size=4):
    image = np.random.default_rng(0).integers(0, 256, (size, 80, 80, 3), dtype=np.uint8)
    augment = method.views()
    return method.collate()([augment(Sample(image[i], i), np.random.default_rng(i)) for i in range(size)])


def test_densecl_is_the_papers_loss_step_by_step():
    method = build("densecl", queue_size=32, loss_weight=0.3, temperature=0.15)
    views = batch(method)
    queue, dense_queue = method.queue.keys.clone(), method.dense_queue.keys.clone()
    student, teacher = copy.deepcopy(method.encoder), copy.deepcopy(method.teacher)
    found = method.loss(views)

    f, g = student.backbone(views.images[0]), teacher.backbone(views.images[1])  # (B, C, 2, 2)
    q, k = F.normalize(student.head(f), dim=1), F.normalize(teacher.head(g), dim=1)
    r, t = student.dense_head(f).flatten(2).transpose(1, 2), teacher.dense_head(g).flatten(2).transpose(1, 2)
    correspondence = match(f.flatten(2).transpose(1, 2), g.flatten(2).transpose(1, 2))
    whole = info_nce(q, k, queue, 0.15)
    dense = dense_info_nce(F.normalize(r, dim=2), F.normalize(t, dim=2), correspondence, dense_queue, 0.15)
    torch.testing.assert_close(found["loss"], 0.7 * whole + 0.3 * dense)

    torch.testing.assert_close(method.queue.keys[:4], k)
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


SMALL_DINO = {"dimension": 32, "hidden": 32, "bottleneck": 16, "local_views": 2, "local_size": 32}


@pytest.mark.parametrize("arch", ["resnet18", "vit_tiny_patch16"])
def test_dino_is_the_papers_loss_step_by_step(arch):
    method = build("dino", arch, **SMALL_DINO, drop_path=0.0)
    method.before_step(0.05)
    views = batch(method)
    with torch.no_grad():
        method.centre.centre.normal_()
        method.teacher.head.last.weight.normal_()
    centre = method.centre.centre.clone()
    student, teacher = copy.deepcopy(method.student), copy.deepcopy(method.teacher)
    found = method.loss(views)["loss"]

    def encode(network, images):
        backbone = network.backbone
        vector = backbone(images).mean(dim=(2, 3)) if arch == "resnet18" else backbone.tokens(images)[:, 0]
        return network.head(vector)

    s = [*encode(student, torch.cat(views.images[:2])).chunk(2), *encode(student, torch.cat(views.images[2:])).chunk(2)]
    t = encode(teacher, torch.cat(views.images[:2]))
    targets = F.softmax((t - centre) / 0.055, dim=1).chunk(2)  # half of the warm-up from 0.04 to 0.07
    terms = [-(targets[i] * F.log_softmax(s[j] / 0.1, dim=1)).sum(dim=1) for i in (0, 1) for j in range(4) if i != j]
    torch.testing.assert_close(found, torch.cat(terms).mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.centre.centre, 0.9 * centre + 0.1 * t.mean(dim=0))


def test_dinos_schedules():
    method = build("dino", **SMALL_DINO, ema_momentum=0.9, freeze_last_layer=0.01)
    for progress, momentum, temperature, frozen in ((0.0, 0.9, 0.04, True), (0.5, 0.95, 0.07, False)):
        before = next(method.teacher.parameters()).clone()
        with torch.no_grad():
            next(method.student.parameters()).copy_(before + 1.0)
        method.before_step(progress)
        torch.testing.assert_close(next(method.teacher.parameters()), before + 1 - momentum)
        assert method.teacher_temperature == pytest.approx(temperature)
        assert method.resting() == ([method.student.head.last.weight] if frozen else [])
    copied = build("dino", **SMALL_DINO, momentum_encoder=False)
    with torch.no_grad():
        next(copied.student.parameters()).add_(1.0)
    copied.before_step(0.5)
    assert torch.equal(next(copied.teacher.parameters()), next(copied.student.parameters()))


def test_dinos_switches_change_what_they_name():
    losses = {}
    changes = {"normalisation": "sinkhorn", "objective": "mse", "predictor": True, "local_views": 0, "norm": True}
    for name, value in {"": None, **changes}.items():
        method = build("dino", **{**SMALL_DINO, **({name: value} if name else {})})
        torch.manual_seed(1)
        losses[name] = float(method.loss(batch(method))["loss"].detach())
        assert len(batch(method).images) == (2 if name == "local_views" else 4)
    assert len(set(losses.values())) == len(losses)
    with pytest.raises(UsageError, match="objective"):
        build("dino", objective="msee")
    with pytest.raises(UsageError, match="normalisation"):
        build("dino", normalisation="centring")


def test_dinos_student_drops_paths_and_its_teacher_does_not():
    method = build("dino", "vit_tiny_patch16", **SMALL_DINO, drop_path=0.1)
    assert method.student.backbone.blocks[11].drop_path1.drop_prob == pytest.approx(0.1)
    assert isinstance(method.teacher.backbone.blocks[11].drop_path1, torch.nn.Identity)


def test_dinos_defaults_are_the_papers():
    keywords = keywords_of(methods.load("dino"))
    published = {"dimension": 65536, "hidden": 2048, "bottleneck": 256, "temperature": 0.1, "ema_momentum": 0.996}
    published |= {"first_teacher_temperature": 0.04, "teacher_temperature": 0.07, "centre_momentum": 0.9}
    published |= {"local_views": 8, "image_size": 224, "local_size": 96, "local_scale": (0.05, 0.4)}
    assert {key: keywords[key] for key in published} == published
    large, other, *small = methods.load("dino")(backbones.build("resnet18"), dimension=4).views().views
    assert (large.blur_probability, other.blur_probability, other.solarise_probability) == (1.0, 0.1, 0.2)
    assert {(view.blur_probability, view.solarise_probability, view.blur_size) for view in small} == {(0.5, 0.0, 96)}
    assert {view.jitter for view in (large, other, *small)} == {(0.4, 0.4, 0.2, 0.1)}


SMALL_SELFPATCH = {**SMALL_DINO, "patch_dimension": 16, "drop_path": 0.0}


def test_selfpatch_is_the_papers_loss_step_by_step():
    method = build("selfpatch", "vit_tiny_patch16", **SMALL_SELFPATCH, patch_weight=0.3, positives=2).double()
    views = batch(method, size=2)
    views.images = [image.double() for image in views.images]
    with torch.no_grad():
        for centre in (method.centre, method.patch_centre):
            centre.centre.normal_()
        for layer in (method.teacher.head.last, method.teacher.patch_head.last, method.teacher.aggregation.token):
            torch.nn.init.normal_(getattr(layer, "weight", layer))
    patch_centre = method.patch_centre.centre.clone()
    student, teacher = copy.deepcopy(method.student), copy.deepcopy(method.teacher)
    found = method.loss(views)
    per_view, outputs = [], []
    with torch.no_grad():
        for image in views.images:
            mine, other = (network.backbone.tokens(image)[:, 1:] for network in (student, teacher))
            side, terms = image.shape[2] // 16, []
            for b in range(2):
                for i in range(side * side):
                    near = [
                        j
                        for j in range(side * side)
                        if j != i and abs(j // side - i // side) <= 1 and abs(j % side - i % side) <= 1
                    ]
                    near.sort(key=lambda j: -float(F.cosine_similarity(other[b, i], other[b, j], dim=0)))
                    target = teacher.patch_head(teacher.aggregation(other[None, b, near[:2]]))[0]
                    outputs.append(target)
                    probability = torch.exp((target - patch_centre) / 0.04)
                    prediction = torch.exp(student.patch_head(mine[b, i]) / 0.1)
                    terms.append(-(probability / probability.sum() * torch.log(prediction / prediction.sum())).sum())
            per_view.append(torch.stack(terms).mean())
    assert float(found["loss_patch"]) == pytest.approx(float(torch.stack(per_view).mean()), rel=1e-5)
    torch.testing.assert_close(found["loss"].detach(), found["loss_global"] + 0.3 * found["loss_patch"])
    mean = torch.stack(outputs).mean(dim=0)
    torch.testing.assert_close(method.patch_centre.centre, 0.9 * patch_centre + 0.1 * mean, rtol=1e-5, atol=1e-6)


def test_selfpatchs_switches_and_its_need_of_tokens():
    losses = {}
    for name, value in {"": None, "positives": 1, "neighbourhood": 5, "wrap_around": True}.items():
        method = build("selfpatch", "vit_tiny_patch16", **SMALL_SELFPATCH, **({name: value} if name else {}))
        losses[name] = {key: float(term.detach()) for key, term in method.loss(batch(method)).items()}
    assert len({terms["loss_patch"] for terms in losses.values()}) == 4
    assert len({terms["loss_global"] for terms in losses.values()}) == 1
    with pytest.raises(UsageError, match="selfpatch works on the tokens of a ViT; resnet18 has none"):
        build("selfpatch")


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


def test_droppos_hides_what_it_asks_for():
    """Logits must not change when dropped positions, or hidden patches, are exchanged."""
    method = build("droppos", "vit_tiny_patch16", **SMALL_DROPPOS, attentive=False).eval()
    views = batch(method)
    loss = method.loss(views)["loss"]
    hidden = ~views.masks[0][:, 0]  # (B, 4, 4)
    pixels = hidden.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)[:, None]
    views.images = [torch.where(pixels, torch.randn_like(views.images[0]), views.images[0])]
    torch.testing.assert_close(method.loss(views)["loss"], loss)
    views.images = [torch.where(pixels, views.images[0], torch.randn_like(views.images[0]))]
    assert not torch.allclose(method.loss(views)["loss"], loss)


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
    assert (build("droppos", "vit_tiny_patch16", sigma_decay=False).sigma, wrong.first_sigma) == (1.0, 1.0)
    for keywords, message in (
        ({"position_token": "none"}, "position_token"),
        ({"mask_ratio": 0.95}, "leave 2 patches"),
    ):
        with pytest.raises(UsageError, match=message):
            build("droppos", "vit_tiny_patch16", **keywords)


def test_vicregs_expander_goes_without_batch_norm_where_asked():
    for wanted in (True, False):
        layers = build("vicreg", dimension=32, expander_norm=wanted).encoder.head.layers
        assert sum(isinstance(layer, torch.nn.BatchNorm1d) for layer in layers) == (2 if wanted else 0)
        assert sum(isinstance(layer, torch.nn.Linear) for layer in layers) == 3
    assert keywords_of(methods.load("vicreg"))["expander_norm"] is True


def test_vicreg_weighs_its_terms():
    for keywords, mu in (({}, 25.0), ({"halve_variance": True}, 12.5)):
        method = build("vicreg", dimension=32, **keywords)
        terms = method.loss(batch(method))
        expected = 25 * terms["loss_invariance"] + mu * terms["loss_variance"] + terms["loss_covariance"]
        torch.testing.assert_close(terms["loss"], expected)


@pytest.mark.parametrize("name", ["densecl", "moco_v1", "moco_v2"])
def test_the_teacher_follows_before_the_step(name):
    method = build(name, queue_size=32, ema_momentum=0.9)
    whole = method if name == "densecl" else method.contrast
    before = next(whole.teacher.parameters()).clone()
    with torch.no_grad():
        next(whole.encoder.parameters()).add_(1.0)
    method.before_step(0.0)
    torch.testing.assert_close(next(whole.teacher.parameters()), before + 0.1)


def test_densecl_switches_change_what_they_name():
    losses = {}
    for matching in ("backbone", "projected", "random"):
        method = build("densecl", queue_size=32, matching=matching)
        torch.manual_seed(1)
        losses[matching] = method.loss(batch(method))
    assert len({float(terms["loss_dense"]) for terms in losses.values()}) == 3
    assert len({float(terms["loss_global"]) for terms in losses.values()}) == 1

    method = build("densecl", queue_size=32, grid=3)
    _, dense, _, features = method.encoder(batch(method).images[0])
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


def test_supervised_follows_the_data():
    kind = methods.load("supervised")
    assert kind.data_keywords(Labels(("a", "b", "c"), multi=True)) == {"classes": 3, "multi_label": True}
    with pytest.raises(DensebenchError, match="labels"):
        kind.data_keywords(None)
    method = build("supervised", classes=3, multi_label=True)
    views = batch(method)
    views.label = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])
    logits = method.classifier(method.backbone(views.images[0]).mean(dim=(2, 3)))
    expected = F.binary_cross_entropy_with_logits(logits, views.label)
    torch.testing.assert_close(method.loss(views)["loss"], expected, rtol=1e-4, atol=1e-5)
    assert len(views.images) == 1


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
    shapes = [tuple(layer.weight.shape) for layer in method.encoder.head.layers[::2]]
    assert shapes == [(2048, 2048), (128, 2048)]
    shapes = [tuple(layer.weight.shape) for layer in method.encoder.dense_head.layers[::2]]
    assert shapes == [(2048, 2048, 1, 1), (128, 2048, 1, 1)]


def test_backbones_are_drawn_from_their_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = backbones.build("resnet18", seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = backbones.build("resnet18", seed=3), backbones.build("resnet18", seed=4)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_backbones_declare_their_maps():
    for arch in ("resnet18", "resnet50"):
        backbone = backbones.build(arch, seed=0).eval()
        with torch.no_grad():
            maps = backbone.stages(torch.zeros(1, 3, 64, 96))
        for found, channels, stride in zip(maps, backbone.layout.channels, backbone.layout.strides, strict=True):
            assert found.shape == (1, channels, 64 // stride, 96 // stride)
        norms = {name: value for name, value in backbone.state_dict().items() if name.endswith("bn2.weight")}
        assert all(bool((value == 1).all()) for value in norms.values())
    assert {"resnet18", "resnet50", "vit_small_patch16"} < set(backbones.names())


def test_unknown_names_come_with_the_closest():
    with pytest.raises(UsageError, match="Did you mean 'densecl'"):
        methods.load("densecl2")
    with pytest.raises(UsageError, match="Did you mean 'resnet18'"):
        backbones.build("resnet-18")


@pytest.mark.parametrize("name", methods.names())
def test_what_is_told_of_a_method_is_what_its_class_says(name):
    kind, told = methods.load(name), methods.facts(name)
    assert (told["authors"], told["year"], told["arxiv"]) == (kind.paper.authors, kind.paper.year, kind.paper.arxiv)
    assert told["families"] == list(kind.families)
    assert told["recipes"] == list(kind.recipes)
    assert told["cost"] == kind.cost
    assert re.fullmatch(r"\d{4}\.\d{4,5}", kind.paper.arxiv)
    assert kind.paper.year >= 2000 + int(kind.paper.arxiv[:2])
    assert kind.cost == "nothing" or re.match(r"student \d views?", kind.cost)
