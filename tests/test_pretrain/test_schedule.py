"""Optimizers and schedules: the rate, the weight decay and the clipping of every step."""

from dataclasses import replace

import mmengine.optim.scheduler as schedulers
import numpy as np
import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS

from pretrain import backbones
from pretrain.recipe import Recipe
from pretrain.schedule import optimizer, schedules


def rates(recipe, steps, images, key="lr", group=0):
    """The learning rate (or another of the group's values) of every step, as mmengine's schedulers set it."""
    wrapper = OPTIM_WRAPPERS.build(optimizer(torch.nn.Linear(1, 1), recipe))
    built = []
    for settings in schedules(recipe, steps, images):
        kind = getattr(schedulers, settings["type"])
        built.append(kind(wrapper, **{key: value for key, value in settings.items() if key != "type"}))
    found = []
    for _ in range(steps):
        found.append(wrapper.param_groups[group][key])
        wrapper.optimizer.step()
        for scheduler in built:
            scheduler.step()
    return np.array(found)


def test_biases_and_norms_neither_decay_nor_adapt_where_the_recipe_says_so():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    recipe = Recipe("test", epochs=1, optimizer="lars", lr=1.0, weight_decay=0.5, decay_all=False)
    lars = OPTIM_WRAPPERS.build(optimizer(model, recipe)).optimizer
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    lars.step()
    # w <- w - lr eta |w| / (|g| + beta |w|) (g + beta w), arXiv 1708.03888, Equations 5 and 6
    trust = 0.001 * 2.0 / (1.0 + 0.5 * 2.0)
    torch.testing.assert_close(model[0].weight, torch.full((4, 3), 2.0 - trust * (1.0 + 0.5 * 2.0)))
    for plain in (model[0].bias, model[1].weight, model[1].bias):
        torch.testing.assert_close(plain, torch.ones_like(plain))  # 2 - lr g

    decays = optimizer(model, Recipe("test", epochs=1, weight_decay=0.5))["optimizer"].param_groups
    assert [len(group["params"]) for group in decays] == [4]


@pytest.mark.parametrize("decay_all", [False, True])
def test_lars_adapts_whatever_is_not_excluded_without_weight_decay_too(decay_all):
    model = torch.nn.Linear(3, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    recipe = Recipe("test", epochs=1, optimizer="lars", lr=1.0, weight_decay=0.0, decay_all=decay_all)
    lars = OPTIM_WRAPPERS.build(optimizer(model, recipe)).optimizer
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 5.0)
    lars.step()
    adapted = 2.0 - 0.001 * 2.0 / 5.0 * 5.0  # w - lr eta |w| / |g| g
    torch.testing.assert_close(model.weight, torch.full((4, 3), adapted))
    torch.testing.assert_close(model.bias, torch.full((4,), adapted if decay_all else 2.0 - 5.0))


def test_the_cosine_schedule_ends_where_the_recipe_says():
    recipe = Recipe("test", iterations=40, lr=0.4, end_lr=0.1)
    found = rates(recipe, steps=40, images=100)
    np.testing.assert_allclose(found, 0.1 + 0.15 * (1 + np.cos(np.pi * np.arange(40) / 40)), rtol=1e-6)


def test_the_cosine_schedule_ends_at_zero():
    found = rates(Recipe("test", iterations=40, lr=0.4), steps=40, images=100)
    np.testing.assert_allclose(found, 0.2 * (1 + np.cos(np.pi * np.arange(40) / 40)), rtol=1e-6)


def test_the_weight_decay_follows_its_own_cosine():
    recipe = Recipe("test", epochs=4, batch_size=10, weight_decay=0.04, end_weight_decay=0.4, decay_all=False)
    recipe = replace(recipe, optimizer="adamw", warmup_epochs=1)
    expected = 0.4 - 0.18 * (1 + np.cos(np.pi * np.arange(40) / 40))
    np.testing.assert_allclose(rates(recipe, 40, 100, "weight_decay"), expected, rtol=1e-6)
    np.testing.assert_allclose(rates(recipe, 40, 100, "weight_decay", group=1), 0)  # biases
    kept = rates(replace(recipe, end_weight_decay=None), 40, 100, "weight_decay")
    np.testing.assert_allclose(kept, 0.04)
    assert rates(recipe, 40, 100)[10] == pytest.approx(recipe.lr)  # the rate has its own


def test_the_weight_decay_can_rise_from_zero_where_there_is_any():
    recipe = Recipe("test", epochs=4, batch_size=10, weight_decay=0.0, end_weight_decay=0.4, decay_all=False)
    found = rates(recipe, 40, 100, "weight_decay")
    np.testing.assert_allclose(found, 0.2 * (1 - np.cos(np.pi * np.arange(40) / 40)), rtol=1e-5, atol=4e-7)
    np.testing.assert_allclose(rates(recipe, 40, 100, "weight_decay", group=1), 0)  # biases
    for never in (replace(recipe, end_weight_decay=None), replace(recipe, end_weight_decay=0.0)):
        np.testing.assert_array_equal(rates(never, 40, 100, "weight_decay"), 0)


@pytest.mark.parametrize("arch", ["resnet18", "regnety_004", "vit_tiny_patch16", "convnext_tiny"])
def test_the_rate_falls_from_layer_to_layer(arch):
    model = torch.nn.ModuleDict({"backbone": backbones.build(arch), "head": torch.nn.Linear(3, 2)})
    recipe = Recipe("test", epochs=1, optimizer="adamw", lr=1.0, layer_decay=0.5, decay_all=False)
    groups = optimizer(model, recipe)["optimizer"].param_groups
    found = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    names = {"resnet18": ["conv1.weight", "layer1.0.bn1.bias", "layer4.1.conv2.weight"]}
    names["vit_tiny_patch16"] = ["pos_embed", "blocks.0.attn.qkv.weight", "blocks.11.mlp.fc2.bias"]
    names["regnety_004"] = ["stem.conv.weight", "s1.b1.conv1.bn.bias", "s4.b6.se.fc2.weight"]
    names["convnext_tiny"] = ["stem.0.weight", "stages.0.blocks.0.norm.bias", "stages.3.blocks.2.mlp.fc2.weight"]
    parameters = dict(model["backbone"].named_parameters())
    layers = (0, 1, 12) if arch.startswith("vit") else (0, 1, 4)
    for name, layer in zip(names[arch], layers, strict=True):
        assert found[id(parameters[name])] == 0.5 ** (layers[-1] + 1 - layer), name
    assert found[id(model["head"].weight)] == 1.0
    last_norms = [p for name, p in parameters.items() if name in ("norm.bias", "head.norm.bias")]
    assert [found[id(parameter)] for parameter in last_norms] == [1.0] * len(last_norms)
    assert bool(last_norms) == arch.startswith(("vit", "convnext"))
    assert len(found) == len(list(model.parameters()))
    alike = optimizer(model, replace(recipe, layer_decay=1.0))["optimizer"].param_groups
    assert [group["lr"] for group in alike] == [1.0, 1.0]


def test_every_gradient_can_be_clipped_by_its_own_norm():
    model = torch.nn.Linear(2, 2)
    for each, expected in ((True, [3.0, 0.5]), (False, [3.0 * 10 / 100.25**0.5, 3.0 * 0.5 / 100.25**0.5])):
        recipe = Recipe("test", epochs=1, clip_grad=3.0, clip_each=each, optimizer="sgd", lr=0.0)
        wrapper = OPTIM_WRAPPERS.build(optimizer(model, recipe))
        model.weight.grad, model.bias.grad = torch.full((2, 2), 5.0), torch.tensor([0.5, 0.0])
        wrapper.step()
        np.testing.assert_allclose(
            [float(model.weight.grad.norm()), float(model.bias.grad.norm())], expected, rtol=1e-5
        )


def test_the_step_schedule_and_the_warmup():
    recipe = Recipe("test", epochs=9, batch_size=10, lr=0.1, schedule="step", milestones=(3, 6))
    expected = np.repeat([0.1, 0.01, 0.001], 30)
    np.testing.assert_allclose(rates(recipe, recipe.steps(100), 100), expected, rtol=1e-6)

    warm = Recipe("test", epochs=4, batch_size=10, lr=0.1, warmup_epochs=1)
    found = rates(warm, 40, 100)
    assert found[0] == pytest.approx(1e-4)
    assert np.all(np.diff(found[:10]) > 0)
    assert found[10] == pytest.approx(0.1)
    assert np.all(np.diff(found[10:]) < 0)
    assert found[-1] < 0.001


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_a_warmup_of_a_single_step_is_none(schedule):
    recipe = Recipe("test", iterations=40, batch_size=32, lr=0.1, schedule=schedule, milestones=(9,), warmup_epochs=1)
    none = replace(recipe, warmup_epochs=0)
    for images in (17, 32, 47):  # steps of an epoch: 0.5 to 1.5
        np.testing.assert_array_equal(rates(recipe, 40, images), rates(none, 40, images))
    two = rates(recipe, 40, 64)
    assert two[:2] == pytest.approx([1e-4, 0.1])
    assert rates(recipe, 1, 2400) == pytest.approx([0.1])  # a warm-up that is cut to the run's only step
