from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import ClassifyOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "--batch-size is 0; use auto or an integer of at least 1"),
        ({"workers": -1}, "--workers is -1; use auto or an integer from 0 to 256"),
        ({"precision": "fp8"}, "--precision is 'fp8'; choose one of: auto, fp32, bf16, fp16, int8"),
        ({"batch_size": "many"}, "--batch-size is 'many'; use auto or an integer of at least 1"),
        ({"top_k": "x"}, "--top-k is 'x'; use an integer of at least 1"),
        ({"top_k": 2.5}, "--top-k is 2.5; use an integer of at least 1"),
        ({"top_k": True}, "--top-k is True; use an integer of at least 1"),
        ({"top_k": None}, "--top-k is None; use an integer of at least 1"),
        ({"mpp": "a"}, "--mpp is 'a'; use a number from 0.02 to 10"),
        ({"mpp": float("nan")}, "--mpp is nan; use a number from 0.02 to 10"),
        ({"min_tissue": 1.5}, "--min-tissue is 1.5; use a number from 0 to 1"),
        ({"max_megapixels": float("inf")}, "--max-megapixels is inf; use a number of at least 0.001"),
        ({"kind": 3}, "--kind is 3; choose one of: auto, slide, image"),
        ({"out": 3}, "--out is 3; use a path"),
        ({"model": Path("m")}, f"--model is {Path('m')!r}; use text"),
        ({"strict": 1}, "--strict is 1; use true or false"),
    ],
)
def test_a_wrong_value_names_its_flag(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        ClassifyOptions(**values)  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_values_are_stored_in_the_type_of_their_option() -> None:
    options = ClassifyOptions(out="a.parquet", mpp=1, top_k=np.int64(3), min_tissue=np.float32(0.5), batch_size=8)  # type: ignore[arg-type]
    values = (options.out, options.mpp, options.top_k, options.min_tissue, options.batch_size)
    assert values == (Path("a.parquet"), 1.0, 3, 0.5, 8)
    assert [type(value) for value in values[1:]] == [float, int, float, int]


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
        "abstain",
        "patient_pattern",
    }


def test_megapixels_are_rounded_to_pixels_not_cut_off() -> None:
    assert ClassifyOptions(max_megapixels=1.001).max_pixels == 1_001_000
