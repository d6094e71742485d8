"""Decode images together with their true masks, in workers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import real_path
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedImage
from cancernet_cli.data.readers import UnreadableImage

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True)
class MaskedImage(DecodedImage):
    """A decoded image with its true mask, if it has one.

    truth: `[H, W]` int32, 0 for background. is_instances: whether each nucleus has a different value; otherwise nuclei
    are 1.
    """

    truth: torch.Tensor | None = field(default=None, kw_only=True)
    is_instances: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class MaskedDecoder(BatchDecoder):
    """A decoder that also reads the true masks of images, by the image's path."""

    masks: Mapping[str, bytes] = field(default_factory=dict)

    def decode(self, file: FoundFile) -> tuple[np.ndarray, DecodedImage, np.ndarray]:
        """See `BatchDecoder`; the `DecodedImage` is a `MaskedImage`.

        Raises:
            UnreadableImage: the image or its mask cannot be decoded, or they differ in size.
        """
        image, decoded, views = super().decode(file)
        location = self.masks.get(file.path)
        if location is None:
            return image, MaskedImage(**vars(decoded)), views
        truth, is_instances = read_true_mask(location)
        if truth.shape != image.shape[:2]:
            (high, wide), (height, width) = truth.shape, image.shape[:2]
            message = f"the true mask has {wide} x {high} pixels, the image {width} x {height}"
            raise UnreadableImage(Failure("mask", "SizeDiffers", message))
        return image, MaskedImage(**vars(decoded), truth=torch.from_numpy(truth), is_instances=is_instances), views


def read_true_mask(location: bytes) -> tuple[NDArray[np.int32], bool]:
    """A mask file as labels `[H, W]` int32, and whether these are instances.

    It has instances if its values are whole numbers of more than 8 bits, or 1, 2, ... N without 255. Otherwise pixels
    of at least half the maximum are nuclei, so that masks of 0 and 1, of 0 and 255, and with soft edges are all read.

    Raises:
        UnreadableImage: it cannot be read.
    """
    try:
        with open(location, "rb") as file:
            data = file.read()
        values = _decoded(data)
    except Exception as error:  # decoders raise anything
        raise UnreadableImage(Failure.of("mask", error)) from None
    if values.ndim == 3:
        values = values[..., : 3 if values.shape[2] >= 3 else 1].max(axis=2)  # without transparency
    if values.ndim != 2 or not np.isfinite(values).all() or values.max(initial=0) > _LARGEST_LABEL:
        raise UnreadableImage(Failure("mask", "NotAMask", f"an array of shape {values.shape} and type {values.dtype}"))
    names = np.unique(values[values > 0])
    is_whole = np.issubdtype(values.dtype, np.integer)
    is_small = values.dtype.itemsize == 1
    if is_whole and len(names) > 1 and (not is_small or (names[-1] == len(names) and names[-1] < 255)):
        return values.clip(min=0).astype(np.int32), True
    half = max(names[-1] / 2, 1e-6) if len(names) else 1
    return (values >= half).astype(np.int32), False


def _decoded(data: bytes) -> NDArray[Any]:
    if data.startswith(_TIFF):
        return np.asarray(tifffile.imread(io.BytesIO(data)))
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("not an image file")
    return np.asarray(values)


def masks_in(folder: os.PathLike[str], paths: Iterable[str]) -> dict[str, bytes]:
    """The mask of each image that has one in a folder: of the same path or, if unique, name; without endings.

    `a/b.jpg` has the mask `a/b.png`, `a/b_mask.png` or `a/b.jpg.png`.

    Raises:
        InputError: the folder cannot be listed.
    """
    by_path: dict[bytes, bytes] = {}
    by_name: dict[bytes, bytes] = {}
    root = os.fsencode(os.path.abspath(folder))
    if not os.path.isdir(root):
        raise InputError(f"{os.fsdecode(root)} is not a folder", fix="give --masks a folder with true masks")
    for here, _, names in os.walk(root):
        for name in sorted(names):
            location = os.path.join(here, name)
            stem = os.path.splitext(os.path.relpath(location, root))[0].removesuffix(b"_mask")
            by_path[stem] = location
            name = os.path.basename(stem)
            by_name[name] = b"" if name in by_name else location  # of several, none
    found = {}
    for path in paths:
        whole = real_path(path)
        stem = os.path.splitext(whole)[0]
        name, stem_name = os.path.basename(whole), os.path.basename(stem)
        tries = (by_path.get(whole), by_path.get(stem), by_name.get(name), by_name.get(stem_name))
        mask = next(filter(None, tries), None)
        if mask:
            found[path] = mask
    return found
