import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli import classify
from cancernet_cli.core.cards import Abstain, read_card, write_card
from cancernet_cli.core.errors import InputError, ModelError, OptionError, OutputError
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.classify.run import dry_run
from tests.bad_folder import build_bad_folder
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model

Run = Callable[..., tuple[Any, list[dict[str, Any]]]]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", view="grid")


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> Run:
    """Classifies, and gives the result and the table's rows."""

    def go(*inputs: Path | str, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
        chosen = {"out": tmp_path / "p.parquet", "model": str(tiny_model), "device": "cpu", "workers": 0, **options}
        result = classify(inputs, ClassifyOptions(**chosen))
        return result, pq.read_table(result.out).to_pylist()

    return go


def probabilities(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {row["path"]: row["prob_malignant"] for row in rows if row["status"] == "ok"}


def test_one_row_per_file_in_path_order(run: Run, tiny_folder: Path) -> None:
    result, rows = run(tiny_folder)
    names = sorted(
        p.relative_to(tiny_folder).as_posix() for p in tiny_folder.rglob("*") if p.suffix in (".png", ".jpg", ".tif")
    )
    assert [row["path"] for row in rows] == names
    assert (result.files, result.ok, result.failed) == (len(names), len(names), 0)
    for row in rows:
        assert row["prob_benign"] + row["prob_malignant"] == pytest.approx(1.0, abs=1e-6)
        assert row["label"] == ("malignant" if row["prob_malignant"] >= row["decision_threshold"] else "benign")
        assert row["kind"] == "image"
        assert row["model"] == "tiny"
        assert row["views"] >= 1
        assert 0 <= row["mask_fraction"] <= 1


def test_the_same_bytes_for_any_number_of_workers(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    tables = []
    for workers in (0, 1, 2):
        result, _ = run(tiny_folder, workers=workers, batch_size=2, out=tmp_path / f"{workers}.parquet")
        tables.append(result.out.read_bytes())
    assert tables[0] == tables[1] == tables[2]


def test_the_batch_size_barely_changes_a_probability(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    found = [probabilities(run(tiny_folder, batch_size=b, out=tmp_path / f"{b}.parquet")[1]) for b in (1, 8, 32)]
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-5)


@pytest.mark.parametrize("asked", [{"labels": "folders"}, {"labels": "none", "metrics": Path("m.json")}])
def test_requested_but_missing_labels_are_reported(
    tiny_model: Path, tiny_folder: Path, tmp_path: Path, asked: dict[str, Any]
) -> None:
    (tmp_path / "plain").mkdir()
    shutil.copy(next(tiny_folder.rglob("*.png")), tmp_path / "plain" / "a.png")
    options = ClassifyOptions(out=tmp_path / "p.parquet", model=str(tiny_model), device="cpu", workers=0, **asked)
    said: list[Event] = []
    assert classify(tmp_path / "plain", options, said.append).metrics is None
    assert Warn("no file has a true label, so there are no metrics") in said


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a regular file that nobody can read")
def test_an_unreadable_file_does_not_end_the_run(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    shutil.copytree(tiny_folder, folder)
    (folder / "unreadable.png").symlink_to("/proc/self/mem")  # reading it is an I/O error, for root too
    result, rows = run(folder)
    failed = [row for row in rows if row["status"] == "failed"]
    assert [(row["path"], row["error"]) for row in failed] == [("unreadable.png", "read: OSError: Input/output error")]
    assert (result.failed, result.ok) == (1, len(rows) - 1)


def test_each_file_of_a_bad_folder_has_one_row(run: Run, tmp_path: Path) -> None:
    expected = build_bad_folder(tmp_path / "bad")
    result, rows = run(tmp_path / "bad")
    assert {row["path"]: row["status"] for row in rows} == expected
    assert len(rows) == len(expected)
    assert result.failed == sum(status == "failed" for status in expected.values())
    for row in rows:
        failed = row["status"] == "failed"
        assert bool(row["error"]) == failed
        assert failed == (row["label"] is None) == (row["prob_malignant"] is None)
        if failed:
            stage, error, message = row["error"].split(": ", 2)
            assert stage in ("discover", "read", "check", "decode")
            assert error
            assert message
    clean = tmp_path / "clean"
    shutil.copytree(tmp_path / "bad", clean, symlinks=True)
    for name, status in expected.items():
        if status == "failed" and "\\x" not in name:
            (clean / name).unlink()
    _, clean_rows = run(clean, out=tmp_path / "clean.parquet")
    assert probabilities(clean_rows) == probabilities(rows)


def test_strict_stops_at_the_first_failure(run: Run, tmp_path: Path) -> None:
    build_bad_folder(tmp_path / "bad")
    with pytest.raises(InputError, match=r"failed: .*; fix or remove the file, or run without --strict"):
        run(tmp_path / "bad", strict=True)
    assert not (tmp_path / "p.parquet").exists()


def test_metadata_holds_what_determined_the_result_and_the_run_record_the_rest(run: Run, tiny_folder: Path) -> None:
    result, _ = run(tiny_folder)
    metadata = {
        k.decode(): v.decode() for k, v in pq.read_schema(result.out).metadata.items() if k.startswith(b"cancernet.")
    }
    assert metadata["cancernet.segmenter"] == "threshold"
    assert len(metadata["cancernet.model_weights_sha256"]) == 64
    assert not any("workers" in key or "batch" in key for key in metadata)
    record = json.loads(result.run_file.read_text())
    assert record["resolved"]["workers"] == 0
    assert record["files"] == result.files
    assert record["versions"]["torch"]


def test_a_finished_run_is_not_repeated(run: Run, tiny_folder: Path) -> None:
    first, rows = run(tiny_folder)
    before = first.out.stat().st_mtime_ns
    again, rows_again = run(tiny_folder)
    assert first.out.stat().st_mtime_ns == before
    assert rows_again == rows
    assert again.reused == again.files


def test_an_output_made_with_other_options_is_refused(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    run(tiny_folder, runtime="torch")
    with pytest.raises(OutputError, match=r"made with segmenter 'threshold' \(now 'none'\); .*--overwrite"):
        run(tiny_folder, segmenter="none", runtime="torch")
    result, _ = run(tiny_folder, segmenter="none", overwrite=True)
    assert result.ok
    (tmp_path / "p.parquet").write_bytes(b"my thesis")
    with pytest.raises(OutputError, match="is not a predictions table"):
        run(tiny_folder)


def test_a_finished_table_is_extended_by_new_and_changed_files(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "copy", tmp_path / "p.parquet"
    shutil.copytree(tiny_folder, copy)
    first, _ = run(copy)
    names = sorted(copy.rglob("*.png"))
    names[0].touch()  # the same content at another time
    shutil.copy(names[1], copy / "new.png")
    content = names[2].read_bytes()
    names[2].write_bytes(names[1].read_bytes())
    second, rows = run(copy)
    assert (second.files, second.reused) == (first.files + 1, first.files - 1)
    same = {row["path"]: row["prob_malignant"] for row in rows}
    moved = names[2].relative_to(copy).as_posix()
    assert same[moved] == same["new.png"] == same[names[1].relative_to(copy).as_posix()]
    extended = out.read_bytes()
    run(copy, overwrite=True)
    assert out.read_bytes() == extended, "as if classified at once"
    names[2].write_bytes(content)
    (copy / "new.png").unlink()
    third, _ = run(copy)
    assert (third.files, third.reused) == (first.files, first.files - 1)
    assert run(copy)[0].reused == first.files


def test_the_same_size_with_another_content_is_classified_again(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "bmp"
    folder.mkdir()
    for name, seed in (("a.bmp", 1), ("b.bmp", 2)):
        Image.fromarray(he_like(seed, 64, 64)).save(folder / name)
    run(folder)
    time = (folder / "a.bmp").stat()
    (folder / "a.bmp").write_bytes((folder / "b.bmp").read_bytes())
    os.utime(folder / "a.bmp", ns=(time.st_atime_ns, time.st_mtime_ns + 1))
    result, rows = run(folder)
    assert result.reused == 1
    assert rows[0]["prob_malignant"] == rows[1]["prob_malignant"]


def test_an_output_made_from_another_folder_or_with_other_sinks_is_refused(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    run(copy)
    refused = r"was made from different input files than those present now; pass --overwrite"
    with pytest.raises(OutputError, match=refused):
        run(next(path for path in copy.iterdir() if path.is_dir()))
    next(copy.rglob("*.png")).touch()
    with pytest.raises(OutputError, match=refused):
        run(copy, overlays=tmp_path / "overlays")
    (tmp_path / "p.contents.parquet").unlink()
    with pytest.raises(OutputError, match=refused):
        run(copy)


def test_metrics_are_written_when_labels_are_known(run: Run, tiny_folder: Path) -> None:
    result, rows = run(tiny_folder)
    assert any(row["true_label"] for row in rows)
    assert result.metrics_file is not None
    assert json.loads(result.metrics_file.read_text()) == result.metrics
    unlabelled, _ = run(tiny_folder, labels="none", overwrite=True)
    assert unlabelled.metrics is None


def test_patients_are_found_in_paths(run: Run, tiny_folder: Path) -> None:
    _, rows = run(tiny_folder, patient_pattern=r"(?P<patient>[^/]+)/[^/]+$")
    assert [row["patient"] for row in rows if "/" in row["path"]] == [
        row["path"].split("/")[-2] for row in rows if "/" in row["path"]
    ]
    with pytest.raises(OutputError, match="patient pattern"):
        run(tiny_folder)


def test_a_pattern_that_matches_no_path_is_an_input_error(run: Run, tiny_folder: Path) -> None:
    with pytest.raises(InputError, match="matches no path"):
        run(tiny_folder, patient_pattern="(nowhere)")


def test_overlays_and_masks_mirror_the_input(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    _, rows = run(tiny_folder, overlays=tmp_path / "overlays", masks=tmp_path / "masks")
    for row in rows:
        assert (tmp_path / "overlays" / (row["path"] + ".overlay.jpg")).is_file()
        assert (tmp_path / "masks" / (row["path"] + ".mask.png")).is_file()


def test_overlays_inside_the_input_are_not_classified(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    _, first = run(copy, overlays=copy / "overlays")
    _, second = run(copy, overlays=copy / "overlays", overwrite=True)
    assert len(first) == len(second)


def test_a_dry_run_writes_nothing(tiny_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "sub" / "p.parquet"
    found = dry_run([tiny_folder], ClassifyOptions(out=out, model=str(tiny_model), device="cpu"))
    assert found["files"] == sum(found["endings"].values()) > 0
    assert found["device"].startswith("cpu")
    assert [path for path in tmp_path.iterdir() if path != tiny_folder] == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "nothing_of_that_name"}, ModelError, "there is no bundled model"),
        ({"segmenter": "unet"}, ModelError, "has not been evaluated with segmenter 'unet'"),
        ({"segmenter": "none", "masks": Path("m")}, OptionError, "--masks was given"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_written(
    run: Run, tiny_folder: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(tiny_folder, **options)
    assert [path for path in tmp_path.iterdir() if path != tiny_folder] == []


def test_an_empty_folder_is_an_input_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image and no slide was found under"):
        run(tmp_path / "empty")
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_weights_that_do_not_match_the_card_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    with (model / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="restore the weights or the card"):
        classify([tiny_folder], ClassifyOptions(out=tmp_path / "p.parquet", model=str(model)))


def abstaining(model: Path, folder: Path, low: float, high: float) -> Path:
    """A copy of a model with a band on its card."""
    shutil.copytree(model, folder)
    card = read_card(folder)
    write_card(replace(card, decision=replace(card.decision, abstain=Abstain(low=low, high=high))), folder)
    return folder


def test_probabilities_in_the_cards_band_are_unsure_unless_that_is_off(
    run: Run, tiny_model: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    _, before = run(tiny_folder)
    middle = sorted(probabilities(before).values())[len(before) // 2]
    model = str(abstaining(tiny_model, tmp_path / "models" / "tiny", 0.0, middle))
    result, rows = run(
        tiny_folder, model=model, out=tmp_path / "unsure.parquet", labels="folders", overlays=tmp_path / "overlays"
    )
    assert probabilities(rows) == probabilities(before)
    for row, was in zip(rows, before, strict=True):
        assert row["label"] == ("unsure" if row["prob_malignant"] <= np.float32(middle) else was["label"])
    unsure = sum(row["label"] == "unsure" for row in rows)
    assert len(rows) > unsure == result.unsure > 0
    assert sum(result.label_counts.values()) == len(rows) - unsure
    assert json.loads(result.run_file.read_text())["unsure"] == unsure
    assert len(list((tmp_path / "overlays").rglob("*.jpg"))) == len(rows)
    off, rows = run(tiny_folder, model=model, out=tmp_path / "off.parquet", abstain="off")
    assert [row["label"] for row in rows] == [row["label"] for row in before]
    assert off.unsure == 0


def test_a_finished_table_is_not_taken_for_one_without_abstention(run: Run, tiny_folder: Path) -> None:
    run(tiny_folder)
    with pytest.raises(OutputError, match="abstain"):
        run(tiny_folder, abstain="off")
