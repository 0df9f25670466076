"""A user's labelled images as one array, with every problem said in one line."""

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageSet",
    "check_count",
    "read_image_folder",
    "read_image_parquet",
    "read_images",
    "write_image_folder",
]

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rostra.engine.errors import InputError
from rostra.engine.runtime import cores

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
CHUNK = 32
"""Images that a thread decodes at a time."""
SMALL = 4096
"""Bytes of an image up to which threads cost more (they wait for the interpreter's lock) than they save."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        images: uint8 in 0 to 255, shape (N, C, H, W); C is 3 (RGB) or 1 (grey).
        labels: int64 in 0 to K - 1, shape (N,).
        classes: names of the K classes.
        names: a unique name of each image: its path in the folder (with "/"), or what the parquet file calls it.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]


def read_images(path: Path, label: str = "label", side: int | None = None, *, grey: bool = False) -> ImageSet:
    """Read a folder (:func:`read_image_folder`) or a parquet file (:func:`read_image_parquet`).

    Args:
        path: a folder with one sub-folder a class, or a file that ends in ".parquet".
        label: column of the labels; a folder has none.
        side, grey: see :func:`read_image_folder`.

    Raises:
        InputError: if it is neither, and for what the two readers refuse.
    """
    if path.is_dir():
        return read_image_folder(path, side, grey=grey)
    if not path.exists():
        raise InputError(f"'{path}' does not exist; give a folder of images or a parquet file")
    if path.suffix.lower() != ".parquet":
        raise InputError(f"'{path}' is neither a folder with one sub-folder a class nor a .parquet file")
    return read_image_parquet(path, label, side, grey=grey)


def read_image_folder(folder: Path, side: int | None = None, *, grey: bool = False) -> ImageSet:
    """Read a folder that has one sub-folder a class; images may lie deeper inside it.

    Classes and images are in order of their names. Files and folders whose name begins with "." are skipped, and
    files that are no images by their ending (:data:`IMAGE_SUFFIXES`, in any case).

    An image is turned upright by its EXIF data, a transparent one is laid on white, the first frame of a moving one
    is taken, and grey ones of 16 bits keep their upper 8.

    Args:
        folder: the folder.
        side: height and width to which images are resized (their shorter side; the longer one is cropped at the
            centre); without it all images must have one size.
        grey: one channel of luminance instead of RGB.

    Raises:
        InputError: if the folder is missing or has fewer than two sub-folders, if a sub-folder has no images, for a
            damaged image, and for images of different sizes without ``side``.
    """
    _check_side(side)
    if not folder.is_dir():
        raise InputError(f"'{folder}' {'is a file' if folder.exists() else 'does not exist'}; give a folder of images")
    inside = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not inside:
        raise InputError(f"'{folder}' has no sub-folders; put the images of each class into a folder named after it")
    found = [_images_in(entry) for entry in inside]
    if not any(found):
        raise InputError(f"'{folder}' holds no images ({_endings()})")
    for entry, paths in zip(inside, found, strict=True):
        if not paths:
            raise InputError(f"class folder '{entry}' holds no images ({_endings()}); fill it or remove it")
    if len(inside) < 2:
        raise InputError(f"'{folder}' has one class folder, '{inside[0].name}'; at least two classes are needed")
    paths = [path for part in found for path in part]
    return ImageSet(
        images=_decoded(paths, [f"'{path}'" for path in paths], side, grey),
        labels=np.repeat(np.arange(len(found), dtype=np.int64), [len(part) for part in found]),
        classes=tuple(entry.name for entry in inside),
        names=tuple(path.relative_to(folder).as_posix() for path in paths),
    )


def read_image_parquet(
    path: Path, label: str = "label", side: int | None = None, *, grey: bool = False, count: int | None = None
) -> ImageSet:
    """Read a parquet file in the layout of Hugging Face's datasets: a struct column {bytes, path} and labels.

    The image column is found by its type. Classes are the distinct labels of the whole file, in order (integers by
    value), as texts. Images are in the file's order, and are called by their path; where paths are missing or
    repeated, all are called by their row, counted from 0.

    Args:
        path: the file.
        label: column of the labels, integers or texts.
        side, grey: see :func:`read_image_folder`.
        count: read the first images only; None: all.

    Raises:
        InputError: for a file that is no parquet, no image column or several, a label column that is missing, has
            gaps or holds neither integers nor texts, fewer than two classes, rows without an image, a damaged image,
            and images of different sizes without ``side``.
    """
    _check_side(side)
    table, image = _table_with_images(path, label)
    labels, classes = _encoded_labels(table.column(label), label, path)
    check_count(count, len(labels), f"'{path}'")
    structs = table.column(image).combine_chunks().slice(0, count)
    contents: list[bytes | None] = structs.field("bytes").to_pylist()
    for row, content in enumerate(contents):
        if content is None:
            raise InputError(f"row {row + 1} of '{path}' has no bytes in column '{image}'; drop that row")
    return ImageSet(
        images=_decoded(
            [content for content in contents if content is not None],
            [f"in row {row + 1} of '{path}'" for row in range(len(contents))],
            side,
            grey,
        ),
        labels=labels[:count],
        classes=classes,
        names=_row_names(structs),
    )


def write_image_folder(images: ImageSet, folder: Path) -> None:
    """Write PNG files FOLDER/CLASS/000123.png, numbered in the set's order.

    Raises:
        InputError: if the folder is not empty or no folder, a class's name cannot be one of a folder, or the images
            have neither one channel nor three.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"'{folder}' {'is not empty' if folder.is_dir() else 'is a file'}; give a new folder")
    for name in images.classes:
        if not name or name.startswith(".") or any(mark in name for mark in "/\\\0"):
            raise InputError(f"class {name!r} cannot be the name of a folder; rename it")
    channels = images.images.shape[1]
    if channels not in (1, 3):
        raise InputError(f"images must have 1 channel or 3, got {channels}")
    for index, (image, label) in enumerate(zip(images.images, images.labels.tolist(), strict=True)):
        place = folder / images.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        pixels = image[0] if channels == 1 else image.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels)).save(place / f"{index:06d}.png")


def check_count(count: int | None, available: int, where: str) -> None:
    """Check that so many images can be read; None asks for all.

    Raises:
        InputError: if the count is not between 1 and what is there.
    """
    if count is not None and not 1 <= count <= available:
        raise InputError(f"count must be between 1 and {available}, the images in {where}; got {count}")


def _check_side(side: int | None) -> None:
    if side is not None and side < 1:
        raise InputError(f"side must be at least 1, got {side}")


def _endings() -> str:
    return ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)


def _images_in(folder: Path) -> list[Path]:
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES]
    shown = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return sorted((path for path in shown if path.is_file()), key=lambda path: path.relative_to(folder).as_posix())


def _table_with_images(path: Path, label: str) -> tuple[Any, str]:
    """The image column and the labels of a parquet file, and the name of the former."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"'{path}' {'is a folder' if path.is_dir() else 'does not exist'}; give a parquet file")
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            images = [field.name for field in schema if _holds_images(field.type)]
            there = ", ".join(f"'{name}'" for name in schema.names)
            if not images:
                raise InputError(f"'{path}' has no column of images (a struct of bytes and path); there are: {there}")
            if len(images) > 1:
                several = ", ".join(f"'{name}'" for name in images)
                raise InputError(f"'{path}' has several columns of images: {several}; keep one of them")
            if label not in schema.names:
                raise InputError(f"'{path}' has no column named '{label}'; there are: {there}")
            return file.read(columns=[images[0], label]), images[0]
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"'{path}' cannot be read as a parquet file ({reason})") from None


def _holds_images(kind: Any) -> bool:
    import pyarrow.types as types

    if not types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    content = kind.field("bytes").type
    return types.is_binary(content) or types.is_large_binary(content)


def _encoded_labels(column: Any, name: str, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    import pyarrow.types as types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)):
        raise InputError(f"column '{name}' of '{path}' holds {kind}; labels must be integers or texts")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise InputError(
            f"column '{name}' of '{path}' holds {column.null_count} missing labels (first in row {row + 1}); "
            "drop those rows"
        )
    values = column.to_pylist()
    distinct = sorted(set(values))
    if len(distinct) < 2:
        raise InputError(f"column '{name}' of '{path}' holds {len(distinct)} class; at least two are needed")
    number = {value: index for index, value in enumerate(distinct)}
    return np.array([number[value] for value in values], dtype=np.int64), tuple(map(str, distinct))


def _row_names(structs: Any) -> tuple[str, ...]:
    paths = structs.field("path").to_pylist() if structs.type.get_field_index("path") >= 0 else []
    if paths and all(isinstance(path, str) and path for path in paths) and len(set(paths)) == len(paths):
        return tuple(paths)
    return tuple(map(str, range(len(structs))))


def _decoded(
    sources: Sequence[Path] | Sequence[bytes], places: Sequence[str], side: int | None, grey: bool
) -> NDArray[np.uint8]:
    """All images, shape (N, C, H, W)."""
    first = _decode(sources[0], places[0], side, grey)
    images = np.empty((len(sources), *first.shape), dtype=np.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(sources))):
            image = _decode(sources[i], places[i], side, grey)
            if image.shape != first.shape:
                raise InputError(
                    f"image {places[i]} is {_size(image)}, but {places[0]} is {_size(first)}; "
                    "resize all with --side, such as --side 32"
                )
            images[i] = image

    starts = range(0, len(sources), CHUNK)
    sizes = [len(source) if isinstance(source, bytes) else source.stat().st_size for source in sources[:CHUNK]]
    if sum(sizes) <= SMALL * len(sizes):
        for start in starts:
            fill(start)
    else:  # Pillow decodes and resizes without the interpreter's lock
        with ThreadPoolExecutor(max_workers=cores()) as pool:
            for _ in pool.map(fill, starts):  # in order: the first problem is the one that is told
                pass
    return images


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"


def _decode(source: Path | bytes, place: str, side: int | None, grey: bool) -> NDArray[np.uint8]:
    """One image, shape (C, H, W)."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if side is not None:
                opened.draft(None, (2 * side, 2 * side))  # a large JPEG is decoded at a fraction of its size
            ImageOps.exif_transpose(opened, in_place=True)
            image = _eight_bits(opened)
            if image.has_transparency_data:
                layer = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            image = image.convert("L" if grey else "RGB")
            if side is not None and image.size != (side, side):
                image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        reason = "no image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InputError(f"cannot read the image {place} ({' '.join(reason.split())}); mend it or remove it") from None
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of 8 bits a channel; Pillow's own conversion of 16-bit grey clips it at 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
