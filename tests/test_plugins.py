"""A backbone, head, segmenter, image reader, slide reader and output sink, each from one file outside the package."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.he_images import he_like
from tests.slide_files import tissue_slide

FILES = {
    "toy_backbone": """
        from torch import nn
        from cancernet_cli.classification.base import Backbone, backbones

        class Toy(Backbone):
            channels = (4,)

            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3, stride=32)

            def forward(self, pixels):
                return [self.conv(pixels)]

        @backbones.register("toy_backbone", licence="MIT")
        def toy(levels):
            return Toy()
        """,
    "toy_head": """
        from torch import nn
        from cancernet_cli.classification.base import heads

        def largest(maps):
            return maps[-1].float().amax(dim=(2, 3))

        class Toy(nn.Module):
            def __init__(self, channels, classes):
                super().__init__()
                self.linear = nn.Linear(channels, classes)

            def forward(self, maps):
                return self.linear(largest(maps))

        @heads.register("toy_head", summary="a linear layer on maxima", reads=largest)
        def toy(channels, classes):
            return Toy(channels[-1], classes)
        """,
    "toy_segmenter": """
        from torch import nn
        from cancernet_cli.segmentation.base import segmenters

        class Dark(nn.Module):
            def forward(self, pixels):
                return (pixels.mean(dim=1, keepdim=True) < 0.7).float()

        @segmenters.register("toy_segmenter", summary="dark pixels", openvino=True, on_device=True)
        def toy(model):
            return Dark()
        """,
    "toy_image": """
        import struct
        import numpy as np
        from cancernet_cli.data.readers.base import OpenedImage, readers

        @readers.register("toy_image", endings=(".toy",), signatures=(b"TOY??IMG",))
        def toy(data):
            width, height = struct.unpack("<HH", data[8:12])
            return OpenedImage(
                width, height, lambda: np.frombuffer(data, np.uint8, offset=12).reshape(height, width, 3)
            )
        """,
    "toy_slide": """
        import struct
        import numpy as np
        from cancernet_cli.data.resolution import ScaleFacts
        from cancernet_cli.data.slides.base import Level, SlideReader, slide_readers

        class Toy:
            vendor = "toy"
            scale = ScaleFacts(mpp=(0.5, 0.5))
            scan_origin = 0, 0
            flags = ()

            def __init__(self, location):
                with open(location, "rb") as file:
                    data = file.read()
                width, height = struct.unpack("<HH", data[8:12])
                self.pixels = np.frombuffer(data, np.uint8, offset=12).reshape(height, width, 3)
                self.levels = (Level(width, height, 1.0),)

            def is_exact(self, level):
                return True

            def read_level(self, level, x, y, width_px, height_px):
                whole = np.pad(self.pixels, ((0, height_px), (0, width_px), (0, 0)), constant_values=255)
                return whole[y : y + height_px, x : x + width_px]

            def close(self):
                pass

        def takes(location):
            with open(location, "rb") as file:
                return file.read(8) == b"TOYSLIDE"

        @slide_readers.register("toy_slide", endings=(".toyslide",), signatures=(b"TOYSLIDE",))
        def toy():
            return SlideReader(takes, Toy, rank=2)
        """,
    "toy_notes": """
        from cancernet_cli.core.files import write_bytes
        from cancernet_cli.outputs.sink import Sink, sinks

        @sinks.register("toy_notes", help="Write a note per image and slide to this folder.", title="notes",
                        suffix=".txt", kinds=("image", "slide"))
        class Notes(Sink):
            def write_image(self, image, path):
                write_bytes(path, image.label.encode())

            def write_slide(self, slide, path):
                write_bytes(path, slide.row["label"].encode())
        """,
}

RUN = """
    import sys
    from pathlib import Path
    import torch
    from safetensors.torch import save_file
    from cancernet_cli.classification import build_classifier
    from cancernet_cli.cli.app import main
    from cancernet_cli.core.cards import (
        WEIGHTS_FILE, Architecture, Card, Decision, InputPolicy, SegmentationPolicy, Weights, file_sha256, write_card
    )

    if __name__ == "__main__":  # spawned workers import this file too
        folder = Path(sys.argv[1])
        model = folder / "toy_model"
        model.mkdir()
        torch.manual_seed(0)
        architecture = Architecture(backbone="toy_backbone", head="toy_head", levels=(4,), classes=("no", "yes"))
        save_file(build_classifier(architecture).state_dict(), model / WEIGHTS_FILE)
        card = Card(
            name="toy_model",
            task="classify",
            architecture=architecture,
            input=InputPolicy(view="resize", width_px=64, height_px=64),
            segmentation=SegmentationPolicy(
                segmenter="toy_segmenter", background_weight=0.5, allowed=("toy_segmenter",)
            ),
            decision=Decision(positive="yes", threshold=0.5, chosen_on="nothing"),
            weights=Weights(sha256=file_sha256(model / WEIGHTS_FILE)),
        )
        write_card(card, model)
        main(["classify", str(folder / "data"), "--model", str(model), "--out", str(folder / "p.parquet"),
              "--masks", str(folder / "masks"), "--toy-notes", str(folder / "notes"), "--tissue", "none",
              "--workers", "1", "--device", "cpu", *sys.argv[2:]])
    """


def dedented(text: str) -> str:
    return textwrap.dedent(text).lstrip()


@pytest.mark.parametrize("runtime", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_classify_runs_with_plug_ins_alone(tmp_path: Path, runtime: str) -> None:
    """They are found by their entry points; nothing in the package names them."""
    site = tmp_path / "site"
    info = site / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cancernet.plugins]\n" + "".join(f"{n} = {n}\n" for n in FILES))
    for name, text in FILES.items():
        (site / f"{name}.py").write_text(dedented(text))
    (tmp_path / "run.py").write_text(dedented(RUN))
    data = tmp_path / "data"
    data.mkdir()
    image, slide = he_like(0, 90, 70), tissue_slide(300, 200)
    (data / "image.toy").write_bytes(b"TOY01IMG" + struct.pack("<HH", 90, 70) + image.tobytes())
    (data / "slide.toyslide").write_bytes(b"TOYSLIDE" + struct.pack("<HH", 300, 200) + slide.tobytes())
    (data / "notes.txt").write_text("ignored")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", ""), str(Path.cwd())]))

    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path), "--runtime", runtime]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})

    assert done.returncode == 0, done.stderr
    rows = {row["path"]: row for row in pq.read_table(tmp_path / "p.parquet").to_pylist()}
    assert {path: (row["kind"], row["status"]) for path, row in rows.items()} == {
        "image.toy": ("image", "ok"),
        "slide.toyslide": ("slide", "ok"),
    }
    assert rows["slide.toyslide"]["mpp"] == 0.5
    assert [file.name for file in (tmp_path / "masks").glob("*.png")] == ["image.toy.mask.png"]
    notes = {file.name: file.read_text() for file in (tmp_path / "notes").glob("*.txt")}
    assert notes == {f"{path}.txt": row["label"] for path, row in rows.items()}
