from __future__ import annotations

import golden_recipe


def test_the_recipe_still_makes_the_weights_that_the_reference_ran_with() -> None:
    weights = golden_recipe.fill("backbone.conv1.weight", (64, 3, 7, 7))
    bias = golden_recipe.fill("prediction_layers.0.conf_layer.bias", (243,))
    assert golden_recipe.checksum(weights) == 3682336335
    assert golden_recipe.checksum(bias) == 1753916297


def test_the_recipe_still_makes_the_image_that_the_reference_saw() -> None:
    assert golden_recipe.checksum(golden_recipe.image()) == 1030066365
