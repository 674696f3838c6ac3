"""Recipes: the published numbers, and what --set changes."""

import pytest

from pretrain import methods, ranges
from pretrain.errors import UsageError
from pretrain.recipe import Recipe, keywords_of
from pretrain.typed import parse

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
