from __future__ import annotations

from pathlib import Path

from cancernet_cli.metrics.overlap import overlap_summary
from cancernet_cli.outputs.reports.overlap_report import ImageOverlap, worst_median_best, write_overlap_report


def images(*dices: float) -> list[ImageOverlap]:
    return [
        ImageOverlap(f"i{n}.png", f"p{n % 2}", 5, 6, dict.fromkeys(("dice", "jaccard", "aji", "pq"), dice), f"{n}.jpg")
        for n, dice in enumerate(dices)
    ]


def test_worst_median_and_best_by_dice() -> None:
    assert {word: one.path for word, one in worst_median_best(images(0.5, 0.9, 0.1, 0.7, 0.6)).items()} == {
        "worst": "i2.png",
        "median": "i4.png",
        "best": "i1.png",
    }
    assert list(worst_median_best(images(0.5))) == ["worst"]


def test_figures_patients_remarks_and_pictures(tmp_path: Path) -> None:
    found = images(0.5, 0.9, 0.7)
    values = {name: [one.values[name] for one in found] for name in ("dice", "jaccard", "aji", "pq")}
    summary = overlap_summary(values, [5, 5, 5], [6, 6, 6], [one.patient for one in found])
    write_overlap_report(summary, found, tmp_path / "report.md", model="my_unet", binary=3, remarks=["Beware <this>."])
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "3 images of 2 patients" in text
    assert "**Beware \\<this\\>.**" in text
    assert "| Dice | 0.750 (0.600 to 0.900) | 0.700 |" in text
    assert "15 found, 18 true" in text
    assert "the correlation is undefined" in text
    assert "The true masks are binary" in text
    assert text.index("| p0 |") < text.index("| p1 |")  # the lower Dice first
    assert "(1.jpg)" in text
