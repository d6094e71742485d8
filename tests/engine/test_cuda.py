"""What only a CUDA device can show: run with `pytest -m gpu`."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from cancernet_cli import classify
from tests.tiny_model import write_tiny_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device"),
]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 1e-2)])
def test_cuda_gives_the_cpus_probabilities(tiny_folder: Path, tmp_path: Path, precision: str, tolerance: float) -> None:
    model = str(write_tiny_model(tmp_path / "tiny", view="grid"))
    tables = {}
    for device, chosen in (("cpu", "fp32"), ("cuda", precision)):
        result = classify(tiny_folder, out=tmp_path / f"{device}.parquet", model=model, device=device, precision=chosen)
        tables[device] = pq.read_table(result.out)["prob_malignant"].to_pylist()
    assert tables["cuda"] == pytest.approx(tables["cpu"], abs=tolerance)
