import pytest

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import ClassifyOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "--batch-size is 0; give at least 1"),
        ({"workers": -1}, "--workers is -1; give at least 0"),
        ({"precision": "fp8"}, "--precision is 'fp8'; choose one of: auto, fp32, bf16, fp16, int8"),
        ({"batch_size": "many"}, "--batch-size is 'many'; choose one of: auto"),
    ],
)
def test_a_wrong_value_names_its_flag(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        ClassifyOptions(**values)  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_result_options_are_those_that_change_rows() -> None:
    found = ClassifyOptions().result_options()
    assert set(found) == {
        "precision",
        "max_megapixels",
        "labels",
        "segmenter",
        "jpeg_scale",
        "kind",
        "mpp",
        "tissue",
        "min_tissue",
        "overlap",
        "pool",
        "top_k",
        "max_bad_tiles",
    }


def test_megapixels_are_rounded_to_pixels_not_cut_off() -> None:
    assert ClassifyOptions(max_megapixels=1.001).max_pixels == 1_001_000
