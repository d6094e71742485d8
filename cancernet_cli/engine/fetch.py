"""`cancernet models fetch`: pretrained weights as one file to train from."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cancernet_cli.classification.hub import Weights, download, published, read_brought
from cancernet_cli.classification.pretrained import packaged_weights, weights_file
from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Note, Reporter, silent
from cancernet_cli.core.files import file_sha256, output_error, write_bytes


@dataclass(frozen=True)
class Fetched:
    """A file of pretrained weights.

    path: safetensors, for `finetune --weights`. note: JSON file next to it with these facts. backbone: the name for
    `finetune --backbone`.
    """

    path: Path
    note: Path
    backbone: str
    source: str
    licence: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    size_bytes: int


def fetch(name: str, *, out: Path, overwrite: bool = False, report: Reporter = silent) -> Fetched:
    """Download pretrained weights and write them as one safetensors file, with a note of source and license.

    What was downloaded elsewhere and put where the error states is read instead; code in it is never executed.

    Args:
        name: a registered backbone, a timm model, or `hf-hub:owner/name`.
        out: folder, created if it does not exist.

    Raises:
        ModelError: there is no such network, its weights cannot be downloaded, or the file brought is damaged.
        OutputError: the file exists already, or cannot be written.
    """
    path = out / f"{re.sub(r'[^A-Za-z0-9_.-]+', '--', name.removeprefix('hf-hub:'))}.safetensors"
    if path.exists() and not overwrite:
        raise OutputError(f"{path} already exists", fix="use it, or pass --overwrite to fetch it again")
    weights = _weights(name, out, report)
    content = weights_file(weights)
    write_bytes(path, content)
    note = path.with_suffix(".json")
    try:
        found = Fetched(
            path,
            note,
            weights.backbone,
            weights.source,
            weights.licence,
            weights.mean,
            weights.std,
            file_sha256(path),
            len(content),
        )
    except OSError as error:
        raise output_error(path, error) from error
    facts = {**asdict(found), "path": path.name, "note": note.name}
    write_bytes(note, f"{json.dumps(facts, indent=2, default=str)}\n".encode())
    return found


def _weights(name: str, out: Path, report: Reporter) -> Weights:
    source = published(name)
    if source is None:
        return packaged_weights(name)
    brought = out / source.place
    if brought.exists():
        report(Note(f"reading {brought}"))
        return read_brought(source, brought)
    report(Note(f"downloading the weights of {name} from {source.address}"))
    how = f"download {source.files} from" if source.files != "the file" else "download"
    into = "into the folder" if source.files != "the file" else "as"
    return download(
        name,
        source,
        fix=f"{how} {source.address} on a machine with network access, save it {into} {brought}, and run the same "
        "command again",
    )
