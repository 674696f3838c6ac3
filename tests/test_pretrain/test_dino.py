"""DINO and SelfPatch: their loss step by step, their schedules, switches and defaults."""

import copy

import pytest
import torch
import torch.nn.functional as F
from made import batch, build

from pretrain import backbones, methods
from pretrain.errors import UsageError
from pretrain.losses.self_distillation import mean_squared_error
from pretrain.recipe import keywords_of

SMALL_DINO = {"dimension": 32, "hidden": 32, "bottleneck": 16, "local_views": 2, "local_size": 32}
SMALL_SELFPATCH = {**SMALL_DINO, "patch_dimension": 16, "drop_path": 0.0}


@pytest.mark.parametrize("arch", ["resnet18", "vit_tiny_patch16"])
def test_dino_is_the_papers_loss_step_by_step(arch):
    method = build("dino", arch, **SMALL_DINO, drop_path=0.0)
    method.before_step(0.05)
    views = batch(method)
    with torch.no_grad():
        method.targets.centre.normal_()
        method.teacher.head.last.weight.normal_()
    centre = method.targets.centre.clone()
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
    torch.testing.assert_close(method.targets.centre, 0.9 * centre + 0.1 * t.mean(dim=0))


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
    with pytest.raises(UsageError, match="makes probabilities"):
        build("dino", objective="mse", normalisation="sinkhorn")


def test_dinos_mean_squared_error_is_with_centred_outputs():
    """Its row of Table 7 has no predictor; without the centre nothing would keep it from collapsing."""
    method = build("dino", **SMALL_DINO, objective="mse").eval()
    views = batch(method)
    with torch.no_grad():
        student, teacher = method.student(views.images), method.teacher(views.images[:2])
        centre = method.targets.centre.copy_(torch.stack(teacher).mean(dim=(0, 1))).clone()
        found = float(method.loss(views)["loss"])
    centred = [logits - centre for logits in teacher]
    assert found == pytest.approx(float(mean_squared_error(student, centred)), rel=1e-5)
    assert found != pytest.approx(float(mean_squared_error(student, teacher)), rel=1e-2)


def test_dinos_predictor_gives_its_scores_in_float32_under_autocast():
    predictor, scores = build("dino", **SMALL_DINO, predictor=True).predictor, torch.randn(4, 32)
    with torch.autocast("cpu", torch.bfloat16):
        found, inner = predictor(scores), predictor[:2](scores)
    assert (found.dtype, inner.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(found, inner.float() @ predictor[2].weight.T + predictor[2].bias)


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


def test_selfpatch_is_the_papers_loss_step_by_step():
    method = build("selfpatch", "vit_tiny_patch16", **SMALL_SELFPATCH, patch_weight=0.3, positives=2).double()
    views = batch(method, size=2)
    views.images = [image.double() for image in views.images]
    with torch.no_grad():
        for targets in (method.targets, method.patch_targets):
            targets.centre.normal_()
        for layer in (method.teacher.head.last, method.teacher.patch_head.last, method.teacher.aggregation.token):
            torch.nn.init.normal_(getattr(layer, "weight", layer))
    patch_centre = method.patch_targets.centre.clone()
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
    torch.testing.assert_close(method.patch_targets.centre, 0.9 * patch_centre + 0.1 * mean, rtol=1e-5, atol=1e-6)


def test_selfpatchs_switches_and_its_need_of_tokens():
    losses = {}
    patches = {"positives": 1, "neighbourhood": 5, "wrap_around": True}
    both = {"norm": True, "normalisation": "sinkhorn"}
    for name, value in {"": None, **patches, **both}.items():
        method = build("selfpatch", "vit_tiny_patch16", **SMALL_SELFPATCH, **({name: value} if name else {}))
        losses[name] = {key: float(term.detach()) for key, term in method.loss(batch(method)).items()}
    assert len({terms["loss_patch"] for terms in losses.values()}) == 6
    assert len({losses[name]["loss_global"] for name in ("", *patches)}) == 1
    assert len({losses[name]["loss_global"] for name in ("", *both)}) == 3
    for side in (1, 4):
        with pytest.raises(UsageError, match="an odd number from 3 up"):
            build("selfpatch", arch="vit_tiny_patch16", neighbourhood=side)
    with pytest.raises(UsageError, match="selfpatch works on the tokens of a ViT; resnet18 has none"):
        build("selfpatch")
