"""`models fetch`: a file that `finetune` takes, from a hub or brought by hand; no network here."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.pretrained import load_pretrained
from cancernet_cli.core.errors import ModelError, OutputError
from cancernet_cli.engine.fetch import fetch

TIMM = "test_efficientnet.r160_in1k"


class Url:
    """A torchvision weights entry with a short address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get_state_dict(self, **keywords: Any) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = torch.hub.load_state_dict_from_url(self.url, **keywords)
        return found


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(timm.create_model("test_efficientnet").state_dict())


@pytest.fixture
def resnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of torchvision under its hashed name, and a hub that publishes it."""
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / "resnet.pth")
    digest = sha256((tmp_path / "resnet.pth").read_bytes()).hexdigest()[:8]
    path = (tmp_path / "resnet.pth").rename(tmp_path / f"resnet50-{digest}.pth")
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: Url(f"https://example.org/{path.name}"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    return path


def test_downloads_from_torchvision_and_notes_the_source(
    resnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(url: str, to: str, *_: Any, **__: Any) -> None:
        assert url == f"https://example.org/{resnet.name}"
        Path(to).write_bytes(resnet.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", copied)
    found = fetch("resnet50", out=tmp_path / "weights")
    assert found.path == tmp_path / "weights" / "resnet50.safetensors"
    assert (found.backbone, found.licence) == ("resnet50", "BSD-3-Clause")
    note = json.loads(found.note.read_text())
    assert note["sha256"] == sha256(found.path.read_bytes()).hexdigest()
    assert note["source"] == f"ImageNet resnet50 (https://example.org/{resnet.name})"
    assert torch.equal(load_file(found.path)["conv1.weight"], torch.load(resnet, weights_only=True)["conv1.weight"])
    with pytest.raises(OutputError, match="already exists; use it, or pass --overwrite"):
        fetch("resnet50", out=tmp_path / "weights")


def test_offline_the_error_says_which_file_to_bring_and_then_it_is_read(resnet: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    with pytest.raises(ModelError, match="cannot be downloaded") as told:
        fetch("resnet50", out=out)
    assert f"download https://example.org/{resnet.name} on a machine" in told.value.fix
    assert f"save it as {out / resnet.name}, and run the same command again" in told.value.fix
    out.mkdir()
    resnet.rename(out / resnet.name)
    assert fetch("resnet50", out=out).backbone == "resnet50"


def test_a_file_that_was_cut_off_is_refused(resnet: Path, tmp_path: Path) -> None:
    resnet.write_bytes(resnet.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"does not have the SHA-256 in its name; download https://example.org"):
        fetch("resnet50", out=tmp_path)


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"weight": Trap()}, tmp_path / "resnet50.pth")
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: Url("https://example.org/resnet50.pth"))
    with pytest.raises(ModelError, match="cannot be read as the published weights"):
        fetch("resnet50", out=tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_timm_model_is_brought_as_a_file(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be downloaded") as told:
        fetch(TIMM, out=tmp_path)
    address = f"https://huggingface.co/timm/{TIMM}/resolve/main/model.safetensors"
    assert f"download {address} on a machine" in told.value.fix
    save_file(state, tmp_path / f"downloaded--{TIMM}.safetensors")
    found = fetch(TIMM, out=tmp_path)
    assert (found.backbone, found.source, found.path.name) == (TIMM, address, f"{TIMM}.safetensors")
    assert torch.equal(load_file(found.path)["conv_stem.weight"], state["conv_stem.weight"])


def test_a_model_on_the_hub_is_brought_as_a_folder(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    name = "hf-hub:lab/net"
    with pytest.raises(ModelError) as told:
        fetch(name, out=tmp_path)
    folder = tmp_path / "downloaded--lab--net"
    assert "config.json and model.safetensors from https://huggingface.co/lab/net" in told.value.fix
    assert f"into the folder {folder}" in told.value.fix
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    config = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "license": "mit", "num_classes": 1000}
    (folder / "config.json").write_text(
        json.dumps({"architecture": "test_efficientnet", "num_classes": 1000, "pretrained_cfg": config})
    )
    found = fetch(name, out=tmp_path)
    assert (found.backbone, found.licence, found.path.name) == ("test_efficientnet", "mit", "lab--net.safetensors")
    backbone = build_backbone("test_efficientnet", (1,))
    loaded = load_pretrained(backbone, "test_efficientnet", str(found.path))
    assert loaded.source == "https://huggingface.co/lab/net"
    assert loaded.mean == (0.1, 0.2, 0.3), "what these weights expect, not the network's default ones"
    assert torch.equal(backbone.network.state_dict()["conv_stem.weight"], state["conv_stem.weight"])


def test_downloads_from_the_hub_by_timm(
    state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(state, tmp_path / "model.safetensors")
    asked: list[str] = []

    def local(repo_id: str, filename: str, **_: Any) -> str:
        asked.append(f"{repo_id}/{filename}")
        return str(tmp_path / filename)

    monkeypatch.setattr("timm.models._hub.hf_hub_download", local)
    found = fetch(TIMM, out=tmp_path / "weights")
    assert asked == [f"timm/{TIMM}/model.safetensors"]
    assert torch.equal(load_file(found.path)["conv_stem.weight"], state["conv_stem.weight"])
    first = found.path.read_bytes()
    assert fetch(TIMM, out=tmp_path / "weights", overwrite=True).path.read_bytes() == first


def test_weights_of_a_package_need_no_network(tmp_path: Path) -> None:
    found = fetch("tf_efficientnet_lite0", out=tmp_path)
    assert (found.mean, found.licence) == ((0.5, 0.5, 0.5), "Apache-2.0")
    loaded = load_pretrained(build_backbone("tf_efficientnet_lite0", (0,)), "tf_efficientnet_lite0", str(found.path))
    assert loaded.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5000", "unknown backbone 'resnet5000'; did you mean"),
        ("hf-hub:nothing", "is not a name on the Hugging Face Hub; write it as hf-hub:owner/name"),
        ("test_efficientnet.no_such_tag", "publishes no weights for .*; choose one of: test_efficientnet.r160_in1k"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        fetch(name, out=tmp_path)
