"""Recipes are strict, frozen and overridable; every preset parses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infra.errors import SettingsError
from infra.settings import load_settings, preset_names
from infra.settings.sections import ImageSettings, SourceSettings


@pytest.mark.parametrize(("recipe", "scale"), preset_names())
def test_every_preset_parses_and_names_itself(recipe: str, scale: str) -> None:
    settings = load_settings(recipe, scale)
    assert (settings.recipe, settings.scale) == (recipe, scale)


def test_tiny_changes_sizes_but_not_the_recipe() -> None:
    paper, tiny = load_settings("llava_rad", "paper"), load_settings("llava_rad", "tiny")
    assert tiny.sources.routes == paper.sources.routes
    views = [recipe.sets["llava_rad"].views for recipe in (tiny, paper)]
    assert views == [("PA", "AP")] * 2
    kinds = [stage.kind for stage in tiny.stages]
    assert kinds == ["language", *(stage.kind for stage in paper.stages)]
    assert tiny.images.short_side_px < paper.images.short_side_px == 518


def test_the_seven_sources_are_the_default() -> None:
    assert load_settings("llava_rad", "tiny").sources.names == (
        "mimic_cxr",
        "chexpert",
        "padchest",
        "vindr_cxr",
        "brax",
        "candid_ptx",
        "object_cxr",
    )


def test_overrides_reach_tables_and_stages_by_name() -> None:
    settings = load_settings(
        "llava_rad",
        "tiny",
        [
            "images.short_side_px=224",
            "stages.finetune.steps=5",
            'sources.routes.openi=["keep"]',
            "reports.model=local-model",
        ],
    )
    assert settings.images.short_side_px == 224
    assert settings.stage("finetune").steps == 5
    assert settings.sources.routes["openi"] == ("keep",)
    assert settings.reports.model == "local-model"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "images.short_side=3",
            "found 3 at 'images.short_side' of llava_rad.tiny.toml; expected one of "
            "short_side_px, resample, encoding, jpeg_quality, smallest_side_px, "
            "largest_megapixels, largest_aspect_ratio; see 'cxr config'",
        ),
        (
            "images.short_side_px=wide",
            "found 'wide' at 'images.short_side_px' of llava_rad.tiny.toml; expected a "
            "valid integer, unable to parse string as an integer; see 'cxr config'",
        ),
        (
            "images.short_side_px",
            "found override 'images.short_side_px'; expected key.path=value; quote it for the "
            "shell",
        ),
        (
            "stages.distil.steps=3",
            "found override key 'stages.distil.steps'; expected a table or stage 'distil'; see "
            "'cxr config'",
        ),
        (
            "stages.finetune=3",
            "found override 'stages.finetune'; expected a value inside a stage; try "
            "stages.finetune.steps=…",
        ),
    ],
)
def test_a_wrong_override_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("llava_rad", "tiny", [override])
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.pretrain.seed=-1", "found -1 at 'stages.1.seed'"),
        (f"score.seed={2**32}", "less than or equal to 4294967295"),
        ("score.bootstrap_resamples=1000001", "less than or equal to 1000000"),
        ("retrieval.bootstrap_resamples=9", "greater than or equal to 10"),
        ("recipe=other", "found override key 'recipe'"),
        ("scale=paper", "choose the scale by its own option"),
        ('stages.finetune.name="../../x"', "found '../../x' at 'stages.3.name'"),
        ("stages.finetune.sources=[]", "at 'stages.3.sources'"),
        ('readings=["retrieval", "retrieval"]', "found readings repeat: retrieval, retrieval"),
        ("models.language.heads=32", "width 96 over heads 32 is 3, odd"),
        ("models.text_encoder.positions=64", "context_tokens 128 with 64 positions"),
        ("models.language.positions=270", "16 image tokens make 271 positions"),
        ("stages.finetune.lora.rank=97", "lora rank 97 with language width 96"),
        (f"models.embedding={'[' * 5000}", "at 'models.embedding'"),
        (f"models.embedding={'9' * 5000}", "at 'models.embedding'"),
    ],
)
def test_a_value_that_would_fail_or_mislead_later_is_refused_at_once(
    override: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("llava_rad", "tiny", [override])
    assert message in str(caught.value)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="llava_rad/paper, llava_rad/tiny"):
        load_settings("llava", "tiny")


def test_an_unknown_stage_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="expected one of language, pretrain, align, finetune"):
        load_settings("llava_rad", "tiny").stage("distil")


def test_settings_are_frozen() -> None:
    settings = ImageSettings(short_side_px=112)
    with pytest.raises(ValidationError, match="frozen"):
        settings.short_side_px = 3  # type: ignore[misc]


def test_hash_split_must_sum_to_one() -> None:
    with pytest.raises(ValidationError, match=r"hash_split sums to 0\.9, expected 1"):
        SourceSettings(routes={"openi": ("keep",)}, hash_split=(0.7, 0.1, 0.1))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            'stages.align.starts_from=["finetune"]',
            "found stage align starts from finetune, which is no earlier stage at 'the top' of "
            "llava_rad.tiny.toml",
        ),
        (
            'stages.align.name="pretrain"',
            "found stage names repeat: language, pretrain, pretrain, finetune at 'the top' of "
            "llava_rad.tiny.toml",
        ),
        (
            "sources.hash_split=[0.5,0.5,0.5]",
            "found hash_split sums to 1.5, expected 1 at 'sources' of llava_rad.tiny.toml",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("llava_rad", "tiny", [override])
    assert str(caught.value) == f"{message}; expected values that fit together; see 'cxr config'"


def test_spaces_around_an_override_do_not_count_and_null_unsets() -> None:
    spaced = load_settings("llava_rad", "tiny", [" images.short_side_px =  64 "])
    assert spaced.images.short_side_px == 64
    few = load_settings("llava_rad", "tiny", ["score.judged_studies=5"])
    assert few.score.judged_studies == 5
    both = ["score.judged_studies=5", "score.judged_studies=null"]
    none = load_settings("llava_rad", "tiny", both)
    assert none.score.judged_studies is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sources.routes={}", "routes names no source, expected one at least"),
        ("sources.routes={manifest=[]}", "routes.manifest is empty, expected one route at least"),
        ('sources.routes={manifest=["keep","keep"]}', "routes.manifest names a route twice"),
        ("registry.model_name=", "string should match pattern"),
        ("registry.model_name=a/b", "string should match pattern"),
        ("registry.model_name=o'brien", "string should match pattern"),
    ],
)
def test_what_would_fail_late_is_refused_at_once(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("llava_rad", "tiny", [override])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("models.vision.heads=5", "is no multiple of heads 5"),
        ("stages=[]", "found no stage at 'stages' of llava_rad.tiny.toml"),
        ("models.text_encoder.heads=5", "is no multiple of heads 5"),
        ("models.language.heads=5", "is no multiple of heads 5"),
        ("stages.align.starts_from=[]", "stage align starts from no stage of kind language"),
        (
            'stages.align.starts_from=["pretrain"]',
            "stage align starts from no stage of kind language",
        ),
        (
            'stages.finetune.starts_from=["pretrain"]',
            "stage finetune starts from no stage of kind align or finetune or language",
        ),
        ("examples.views=[]", "at least 1 item"),
        ("stages.align.learning_rate=inf", "finite number"),
        ("images.largest_aspect_ratio=inf", "finite number"),
    ],
)
def test_a_recipe_that_no_stage_could_run_is_refused(override: str, words: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings("llava_rad", "tiny", [override])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages=5", "found 5 at 'stages' of medxchat.tiny.toml; expected a list"),
        ("stages=null", "found None at 'stages' of medxchat.tiny.toml; expected a list"),
        ("stages.align.starts_from=5", "found 5 at 'stages.2.starts_from'"),
        ("stages.align.starts_from=null", "found None at 'stages.2.starts_from'"),
        ("stages.align.starts_from=language", "'stages.2.starts_from' of medxchat.tiny.toml; "),
        ("stages.align.starts_from=[[1]]", "found [1] at 'stages.2.starts_from.0'"),
        ("stages.align.name=[1]", "found [1] at 'stages.2.name'"),
        ("replicas.studies.mimic_cxr=0", "expected a value greater than or equal to 1"),
        ("abilities.draw.draw.guidance=1e308", "expected a value less than or equal to 100"),
        (
            "abilities.draw.draw.steps=1001",
            "found ability draw draws in 1001 steps, and diffusion.noise has 1000",
        ),
    ],
)
def test_a_value_of_another_type_or_size_is_one_line(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("medxchat", "tiny", [override])
    assert message in str(caught.value)
