"""Recipes: the published numbers, what --set changes, optimizer and schedules, and the settings of a run."""

import json
from dataclasses import replace

import mmengine.optim.scheduler as schedulers
import numpy as np
import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS

from pretrain import backbones, methods, ranges
from pretrain.errors import UsageError
from pretrain.recipe import Recipe, keywords_of, parse
from pretrain.schedule import optimizer, schedules
from pretrain.settings import Settings

MOCO = {"batch_size": 256, "sgd_momentum": 0.9, "weight_decay": 1e-4, "warmup_epochs": 0, "decay_all": True}
LARS = {"optimizer": "lars", "sgd_momentum": 0.9, "warmup_epochs": 10, "decay_all": False, "schedule": "cosine"}
ADAMW = {"optimizer": "adamw", "weight_decay": 0.05, "warmup_epochs": 10, "decay_all": False, "end_lr": 1.125e-6}
DINO = {"optimizer": "adamw", "weight_decay": 0.04, "end_weight_decay": 0.4, "end_lr": 1e-6, "warmup_epochs": 10}
DINO |= {"schedule": "cosine", "decay_all": False, "clip_grad": 3.0, "clip_each": True, "betas": (0.9, 0.999)}
DROPPOS = {"optimizer": "adamw", "weight_decay": 0.05, "end_weight_decay": None, "end_lr": 0.0, "warmup_epochs": 10}
DROPPOS |= {"schedule": "cosine", "decay_all": False, "clip_grad": 5.0, "clip_each": True, "betas": (0.9, 0.95)}
PUBLISHED = {
    ("densecl", "imagenet-200e"): {"epochs": 200, "lr": 0.03, "schedule": "cosine", **MOCO},
    ("densecl", "coco-800e"): {"epochs": 800, "lr": 0.3, "schedule": "cosine", **MOCO},
    ("moco_v1", "imagenet-200e"): {"epochs": 200, "lr": 0.03, "milestones": (120, 160), "gamma": 0.1, **MOCO},
    ("moco_v2", "imagenet-200e"): {"epochs": 200, "lr": 0.03, "schedule": "cosine", **MOCO},
    ("moco_v2", "coco-800e"): {"epochs": 800, "lr": 0.3, "schedule": "cosine", **MOCO},
    ("supervised", "imagenet-90e"): {"epochs": 90, "lr": 0.1, "milestones": (30, 60), "schedule": "step", **MOCO},
    ("simclr", "imagenet-1000e"): {"epochs": 1000, "lr": 4.8, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("simclr", "imagenet-200e"): {"epochs": 200, "lr": 4.8, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("byol", "imagenet-1000e"): {"epochs": 1000, "lr": 3.2, "batch_size": 4096, "weight_decay": 1.5e-6, **LARS},
    ("byol", "imagenet-300e"): {"epochs": 300, "lr": 4.8, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("byol", "imagenet-200e"): {"epochs": 200, "lr": 4.8, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("byol", "imagenet-100e"): {"epochs": 100, "lr": 7.2, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("byol", "imagenet-40e"): {"epochs": 40, "lr": 7.2, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("detcon_b", "imagenet-1000e"): {"epochs": 1000, "lr": 3.2, "batch_size": 4096, "weight_decay": 1.5e-6, **LARS},
    ("detcon_b", "imagenet-200e"): {"epochs": 200, "lr": 3.2, "batch_size": 4096, **LARS, "warmup_epochs": 2},
    ("detcon_s", "imagenet-200e"): {"epochs": 200, "lr": 4.8, "batch_size": 4096, "weight_decay": 1e-6, **LARS},
    ("vicreg", "imagenet-1000e"): {"epochs": 1000, "lr": 1.6, "batch_size": 2048, "weight_decay": 1e-6, **LARS},
    ("dino", "imagenet-300e"): {"epochs": 300, "lr": 0.0005 * 1024 / 256, "batch_size": 1024, **DINO},
    ("droppos", "imagenet-200e"): {"epochs": 200, "lr": 1.5e-4 * 8, "batch_size": 2048, **DROPPOS},
    ("droppos", "imagenet-800e"): {"epochs": 800, "lr": 1.5e-4 * 8, "batch_size": 2048, **DROPPOS},
    ("droppos", "imagenet-800e-large"): {
        "epochs": 800,
        "lr": 1.2e-3,
        "batch_size": 2048,
        **DROPPOS,
        "warmup_epochs": 40,
    },
    ("selfpatch", "imagenet-200e"): {"epochs": 200, "lr": 0.0005 * 1024 / 256, "batch_size": 1024, **DINO},
    ("dino", "imagenet-100e"): {"epochs": 100, "lr": 0.0005 * 512 / 256, "batch_size": 512, **DINO},
    ("dino", "imagenet-100e-resnet"): {
        **DINO,
        "epochs": 100,
        "lr": 0.03 * 512 / 256,
        "batch_size": 512,
        "optimizer": "sgd",
        "sgd_momentum": 0.9,
        "weight_decay": 1e-4,
        "end_weight_decay": None,
    },
    ("vicreg", "imagenet-100e"): {"epochs": 100, "lr": 0.6, "batch_size": 512, "weight_decay": 1e-6, **LARS},
    ("vicregl", "imagenet-300e"): {"epochs": 300, "lr": 1.6, "batch_size": 2048, "weight_decay": 1e-6, **LARS},
    ("vicregl", "imagenet-100e"): {"epochs": 100, "lr": 0.6, "batch_size": 512, "weight_decay": 1e-6, **LARS},
    ("vicregl", "imagenet-convnext-small-100e"): {"epochs": 100, "lr": 1.125e-3, "batch_size": 384, **ADAMW},
    ("vicregl", "imagenet-convnext-base-400e"): {"epochs": 400, "lr": 1.125e-3, "batch_size": 576, **ADAMW},
    ("resim", "imagenet-200e"): {"epochs": 200, "lr": 0.03, "schedule": "cosine", **MOCO},
    ("resim", "imagenet-400e"): {"epochs": 400, "lr": 0.03, "schedule": "cosine", **MOCO},
    ("resim", "imagenet-c4-200e"): {"epochs": 200, "lr": 0.03, "schedule": "cosine", **MOCO},
    ("cpc", "imagenet-200e"): {
        "epochs": 200,
        "lr": 2e-4,
        "batch_size": 512,
        "optimizer": "adamw",
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_epochs": 0,
    },
}


def test_every_published_recipe_is_held_to_its_numbers():
    names = set(methods.names()) - {"random"}
    published = {(name, recipe) for name in names for recipe in methods.load(name).recipes if recipe != "scenes"}
    assert published == set(PUBLISHED)


@pytest.mark.parametrize(("name", "recipe"), PUBLISHED)
def test_recipes_have_the_published_numbers(name, recipe):
    chosen = methods.load(name).recipes[recipe]
    for field, value in PUBLISHED[name, recipe].items():
        assert getattr(chosen, field) == pytest.approx(value), field
    assert chosen.iterations is None
    assert chosen.source


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


def test_a_run_of_an_older_version_goes_on_under_fields_that_came_later(tmp_path):
    chosen = methods.load("densecl").recipes["scenes"]
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)
    file = tmp_path / "settings.json"
    stored = json.loads(file.read_text())
    del stored["recipe"]["end_lr"], stored["recipe"]["decay_all"]
    file.write_text(json.dumps(stored))
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)
    changed = replace(chosen, end_lr=0.1)
    with pytest.raises(UsageError, match=r"recipe\.end_lr is 0\.0 there and 0\.1 here"):
        Settings("densecl", "resnet18", "scenes", changed, "scenes", 10, 0).claim(tmp_path)
    file.write_text("{}")
    with pytest.raises(UsageError, match="does not hold a pretraining's settings"):
        Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)


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


@pytest.mark.parametrize("arch", ["resnet18", "regnety_004", "vit_tiny_patch16"])
def test_the_rate_falls_from_layer_to_layer(arch):
    model = torch.nn.ModuleDict({"backbone": backbones.build(arch), "head": torch.nn.Linear(3, 2)})
    recipe = Recipe("test", epochs=1, optimizer="adamw", lr=1.0, layer_decay=0.5, decay_all=False)
    groups = optimizer(model, recipe)["optimizer"].param_groups
    found = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    names = {"resnet18": ["conv1.weight", "layer1.0.bn1.bias", "layer4.1.conv2.weight"]}
    names["vit_tiny_patch16"] = ["pos_embed", "blocks.0.attn.qkv.weight", "blocks.11.mlp.fc2.bias"]
    names["regnety_004"] = ["stem.conv.weight", "s1.b1.conv1.bn.bias", "s4.b6.se.fc2.weight"]
    layers = {"resnet18": (0, 1, 4), "regnety_004": (0, 1, 4), "vit_tiny_patch16": (0, 1, 12)}[arch]
    for name, layer in zip(names[arch], layers, strict=True):
        assert found[id(model["backbone"].get_parameter(name))] == 0.5 ** (layers[-1] + 1 - layer), name
    assert found[id(model["head"].weight)] == 1.0
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


def test_overrides_reach_the_recipe_then_the_method():
    kind = methods.load("densecl")
    typed = {"lr": "1", "epochs": "0.5", "clip_grad": "1.0", "grid": "7", "matching": "random"}
    typed["crop_scale"] = "0.5, 1"
    recipe = kind.recipes["scenes"].with_overrides(typed, kind)
    assert (recipe.lr, recipe.epochs, recipe.iterations, recipe.clip_grad) == (1.0, 0.5, None, 1.0)
    assert recipe.method["grid"] == 7
    assert recipe.method["matching"] == "random"
    assert recipe.method["crop_scale"] == (0.5, 1)
    assert recipe.method["image_size"] == kind.recipes["scenes"].method["image_size"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"loss_weigth": "1"}, "Did you mean 'loss_weight'"),
        ({"momentum": "0.9"}, "sgd_momentum"),
        ({"lr": "fast"}, "of type float"),
        ({"batch_size": "1.5"}, "of type int"),
        ({"batch_size": "0"}, "at least 1"),
        ({"layer_decay": "1.5"}, "above 0 and at most 1"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"precision": "float16"}, "no precision 'float16'"),
        ({"clip_grad": "foo"}, "clip_grad=foo should be of type float or None"),
        ({"grid": "abc"}, "grid=abc should be of type int or None"),
        ({"hidden": "True"}, "hidden=True should be of type int or None"),
        ({"iterations": "2.5"}, "iterations=2.5 should be of type int or None"),
        ({"betas": "(1, 2, 3)"}, r"betas=.* should be of type tuple\[float, float\]"),
        ({"betas": "(0.9, 'x')"}, "betas="),
        ({"milestones": "3"}, "milestones=3"),
        ({"lr": "1e300"}, r"should be a finite number, of at most 1e\+30"),
        ({"lr": "1e999"}, "lr=1e999 should be a finite number"),
        ({"lr": "1" + "0" * 400}, "should be a finite number"),
        ({"crop_scale": "(0.1, 1e999)"}, "should be a finite number"),
        ({"crop_scale": "(2, 3)"}, r"crop_scale should be above 0 and at most 1; \(2.0, 3.0\) was given"),
        ({"crop_scale": "(0.5, 0.2)"}, "a lower and an upper bound"),
        ({"warmup_epochs": "-4"}, "^warmup_epochs should be at least 0; -4.0 was given"),
        ({"epochs": "-1"}, "^epochs should be at least 0; -1.0 was given"),
        ({"iterations": "-1"}, "^iterations should be at least 0; -1 was given"),
        ({"lr": "-0.1"}, "^lr should be at least 0; -0.1 was given"),
        ({"weight_decay": "-1"}, "^weight_decay should be at least 0"),
        ({"end_weight_decay": "-1"}, "^end_weight_decay should be at least 0"),
        ({"clip_grad": "0"}, "^clip_grad should be above 0"),
        ({"sgd_momentum": "1"}, "^sgd_momentum should be at least 0 and below 1"),
        ({"betas": "(0.9, 1.0)"}, "number of betas should be at least 0 and below 1"),
        ({"ema_momentum": "7"}, "^ema_momentum should be at least 0 and at most 1; 7.0 was given"),
        ({"temperature": "0"}, "^temperature should be above 0; 0.0 was given"),
        ({"image_size": "0"}, "^image_size should be at least 1; 0 was given"),
        ({"dimension": "0"}, "^dimension should be at least 1; 0 was given"),
        ({"queue_size": "-5"}, "^queue_size should be at least 1"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_choices(typed, message):
    kind = methods.load("densecl")
    with pytest.raises(UsageError, match=message):
        kind.recipes["scenes"].with_overrides(typed, kind)


def test_every_recipe_keeps_to_the_ranges():
    for name in methods.names():
        for recipe in methods.load(name).recipes.values():
            recipe.check()


def test_every_number_that_can_be_set_has_a_range_and_every_range_a_number():
    known = set(Recipe.__dataclass_fields__)
    for name in methods.names():
        keywords = keywords_of(methods.load(name))
        known |= keywords.keys()
        for key, default in keywords.items():
            parts = default if isinstance(default, tuple) else (default,)
            if any(isinstance(part, int | float) and not isinstance(part, bool) for part in parts):
                assert key in ranges.RANGES, key
    assert ranges.RANGES.keys() <= known


def test_values_are_read_as_their_annotation_says():
    assert parse("epochs", "3", float, 0) == 3.0
    assert parse("clip_grad", "None", float | None, 1.0) is None
    assert parse("milestones", "[1, 2.5]", tuple[float, ...], ()) == (1.0, 2.5)
    assert parse("directions", "('down',)", tuple[str, ...], ()) == ("down",)
    assert parse("matching", "random", str, "backbone") == "random"


def test_a_run_that_left_nothing_does_not_bind_the_next(tmp_path):
    chosen = methods.load("densecl").recipes["scenes"]
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 1).claim(tmp_path, begun=False)
    with pytest.raises(UsageError, match="seed is 1 there and 2 here"):
        Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 2).claim(tmp_path)
    (tmp_path / "settings.json").write_text('{"editor": "vim"}')
    with pytest.raises(UsageError, match="does not hold a pretraining's settings"):
        Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 1).claim(tmp_path, begun=False)
