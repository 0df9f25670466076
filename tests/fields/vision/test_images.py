"""A user's folder or parquet file of images, as it is found in the wild."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from rostra.engine.errors import InputError
from rostra.fields.vision.images import (
    ImageSet,
    read_image_folder,
    read_image_parquet,
    read_images,
    write_image_folder,
)

NOISE = np.random.default_rng(0).integers(256, size=(64, 6, 8, 3), dtype=np.uint8)


def save(path, pixels=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(NOISE[0] if pixels is None else pixels)
    image.save(path, **options)
    return path


def encoded(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def table(path, labels, paths=None, contents=None, **more):
    """A parquet file with one image a label."""
    contents = contents or [encoded(NOISE[i]) for i in range(len(labels))]
    images = [{"bytes": content, "path": paths[i] if paths else None} for i, content in enumerate(contents)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"picture": pa.array(images, kind), "label": labels, **more}), path)
    return path


# --- folders


def test_a_folder_is_read_in_order_of_names(tmp_path):
    """Classes and images sorted; deeper folders belong to their class; other files and hidden ones do not count."""
    save(tmp_path / "zebra crossing" / "b.PNG", NOISE[2])
    save(tmp_path / "zebra crossing" / "a" / "deep" / "x.bmp", NOISE[1])
    save(tmp_path / "Äpfel und Öl" / "1.webp", NOISE[3], lossless=True)
    save(tmp_path / "Äpfel und Öl" / "0.gif", Image.fromarray(NOISE[4][:, :, 0]))
    (tmp_path / "zebra crossing" / "notes.txt").write_text("no image")
    (tmp_path / "README.md").write_text("no image")
    for hidden in (".git/x.png", "zebra crossing/.cache/x.png", "zebra crossing/._b.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"no image")
    found = read_image_folder(tmp_path)
    assert found.classes == ("zebra crossing", "Äpfel und Öl")
    assert found.names == (
        "zebra crossing/a/deep/x.bmp",
        "zebra crossing/b.PNG",
        "Äpfel und Öl/0.gif",
        "Äpfel und Öl/1.webp",
    )
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.labels.dtype == np.int64
    assert found.images.dtype == np.uint8
    expected = [NOISE[1], NOISE[2], np.repeat(NOISE[4][:, :, :1], 3, axis=2), NOISE[3]]
    assert np.array_equal(found.images, np.stack(expected).transpose(0, 3, 1, 2))


@given(
    images=st.integers(0, 1).flatmap(lambda rgb: arrays(np.uint8, (3, 1 + 2 * rgb, 3, 5))),
    names=st.lists(
        st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), min_size=2, max_size=2, unique=True
    ),
)
def test_what_is_written_is_read(tmp_path_factory, images, names):
    """Pixels exactly, grey or in colour, whatever letters name the classes."""
    written = ImageSet(images, np.array([0, 0, 1]), tuple(sorted(names)), ("a", "b", "c"))
    folder = tmp_path_factory.mktemp("images")
    write_image_folder(written, folder)
    found = read_images(folder, grey=images.shape[1] == 1)
    assert np.array_equal(found.images, images)
    assert found.classes == written.classes
    assert found.labels.tolist() == [0, 0, 1]
    assert found.names[2] == f"{written.classes[1]}/000002.png"


def test_writing_overwrites_nothing_and_stays_inside(tmp_path):
    images = ImageSet(NOISE[:2].transpose(0, 3, 1, 2), np.array([0, 1]), ("a", "b"), ("0", "1"))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty; give a new folder"):
        write_image_folder(images, tmp_path)
    with pytest.raises(InputError, match="is a file"):
        write_image_folder(images, tmp_path / "mine.txt")
    for name in ("../a", "..", ".a", "a\\b", ""):
        with pytest.raises(InputError, match="cannot be the name of a folder"):
            write_image_folder(ImageSet(images.images, images.labels, ("b", name), images.names), tmp_path / "new")
    with pytest.raises(InputError, match="1 channel or 3, got 2"):
        write_image_folder(ImageSet(images.images[:, :2], images.labels, ("a", "b"), images.names), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_exif_turns_an_image_upright(tmp_path):
    """A camera held on its side: the file's rows are the picture's columns."""
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, :16] = 255  # upright, the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn clockwise by 90 degrees to view"
    lying = np.rot90(picture)
    save(tmp_path / "a" / "x.jpg", lying, exif=exif, quality=95)
    save(tmp_path / "b" / "x.png", lying, exif=exif)
    found = read_image_folder(tmp_path).images
    assert found.shape == (2, 3, 16, 32)
    assert np.abs(found.astype(int) - picture.transpose(2, 0, 1)).max() < 20
    assert np.array_equal(found[1], picture.transpose(2, 0, 1))


def test_every_kind_of_pixel_becomes_rgb_or_grey(tmp_path):
    """Palettes, transparency (laid on white), 1 bit, 16 bits (their upper 8), CMYK."""
    half = np.full((4, 4, 4), 200, np.uint8)
    half[..., 3] = 0
    palette = Image.fromarray(np.full((4, 4, 3), (10, 200, 30), np.uint8)).quantize(4)
    see_through = palette.copy()
    index = see_through.getpixel((0, 0))
    save(tmp_path / "a" / "0.png", half)
    save(tmp_path / "a" / "1.png", palette)
    save(tmp_path / "a" / "2.png", see_through, transparency=bytes([0] * (index + 1)))
    save(tmp_path / "b" / "0.png", Image.new("1", (4, 4), 1))
    save(tmp_path / "b" / "1.png", np.full((4, 4), 0x80FF, np.uint16))
    save(tmp_path / "b" / "2.jpg", Image.new("CMYK", (4, 4)))
    save(tmp_path / "b" / "3.png", Image.new("LA", (4, 4), (7, 255)))
    colour = read_image_folder(tmp_path).images
    assert [image[:, 0, 0].tolist() for image in colour] == [
        [255, 255, 255],
        [10, 200, 30],
        [255, 255, 255],
        [255, 255, 255],
        [128, 128, 128],
        [255, 255, 255],
        [7, 7, 7],
    ]
    grey = read_image_folder(tmp_path, grey=True).images
    assert grey.shape == (7, 1, 4, 4)
    assert grey[:, 0, 0, 0].tolist() == [255, round(0.299 * 10 + 0.587 * 200 + 0.114 * 30), 255, 255, 128, 255, 7]


def test_the_shorter_side_is_resized_and_the_longer_one_cropped_at_the_centre(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # the middle third, which is what is left; its rim is blended with what was cut off
    save(tmp_path / "a" / "x.png", wide)
    save(tmp_path / "b" / "x.png", wide.transpose(1, 0, 2))
    found = read_image_folder(tmp_path, side=5).images
    assert found.shape == (2, 3, 5, 5)
    assert found[:, :, 1:4, 1:4].min() == 255
    assert found.min() > 200


def test_shrinking_takes_means_and_keeps_what_has_the_size(tmp_path):
    """A checkerboard of single pixels becomes grey, not white or black; a large JPEG as a large PNG."""
    board = np.repeat((np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    save(tmp_path / "a" / "x.png", board)
    save(tmp_path / "a" / "y.jpg", board, quality=95)
    save(tmp_path / "b" / "x.png", NOISE[0, :4, :4])
    found = read_image_folder(tmp_path, side=4).images
    assert np.abs(found[:2].astype(int) - 127).max() < 8
    assert np.array_equal(found[2], NOISE[0, :4, :4].transpose(2, 0, 1))


@pytest.mark.parametrize("side", [2, 100])
def test_many_images_keep_their_order(tmp_path, side):
    """Threads decode the larger ones; the array has them where their names are."""
    for i in range(200):
        save(tmp_path / str(i % 2) / f"{i:03d}.png", np.full((side, side), i, np.uint8), compress_level=0)
    found = read_image_folder(tmp_path, grey=True)
    assert found.images[:, 0, 0, 0].tolist() == [int(name[2:5]) for name in found.names]


@pytest.mark.parametrize("times", [1, 10])
def test_unequal_sizes_are_told_with_the_first(tmp_path, times):
    pixels = np.tile(NOISE[0], (times, times, 1))
    for i in range(70):
        save(tmp_path / "a" / f"{i:02d}.png", pixels)
    save(tmp_path / "a" / "45.png", pixels[:5])
    save(tmp_path / "b" / "0.png", pixels[:4])
    first = rf"45\.png' is {8 * times} x 5, but '.*00\.png' is {8 * times} x {6 * times}; resize all with --side"
    with pytest.raises(InputError, match=first):
        read_image_folder(tmp_path)
    assert read_image_folder(tmp_path, side=4).images.shape == (71, 3, 4, 4)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".webp"])
@pytest.mark.parametrize("damage", ["cut", "head", "empty", "other"])
def test_a_damaged_image_is_named(tmp_path, suffix, damage):
    save(tmp_path / "a" / "fine.png", np.tile(NOISE[0], (10, 10, 1)))
    path = save(tmp_path / "b" / f"broken{suffix}", np.tile(NOISE[1], (10, 10, 1)))
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "head": b"\0" * 16 + content[16:],
            "empty": b"",
            "other": b"<html>404</html>",
        }[damage]
    )
    with pytest.raises(
        InputError, match=rf"cannot read the image '.*broken\{suffix}' \(.+\); mend it or remove it"
    ) as e:
        read_image_folder(tmp_path)
    assert "\n" not in str(e.value)


def test_folders_that_are_no_classes(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a folder"):
        read_image_folder(tmp_path / "nowhere")
    save(tmp_path / "x.png")
    with pytest.raises(InputError, match="has no sub-folders; put the images of each class"):
        read_image_folder(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        read_image_folder(tmp_path / "x.png")
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"holds no images \(png, jpg"):
        read_image_folder(tmp_path)
    save(tmp_path / "b" / "x.png")
    with pytest.raises(InputError, match=r"class folder '.*a' holds no images"):
        read_image_folder(tmp_path)
    (tmp_path / "a").rmdir()
    with pytest.raises(InputError, match="one class folder, 'b'; at least two"):
        read_image_folder(tmp_path)
    with pytest.raises(InputError, match="side must be at least 1, got 0"):
        read_image_folder(tmp_path, side=0)


# --- parquet files


def test_a_parquet_file_is_read_in_its_order(tmp_path):
    path = table(tmp_path / "x.parquet", ["dog", "cat", "dog"], ["2.png", "0.png", "1.png"])
    found = read_images(path)
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [1, 0, 1]
    assert found.names == ("2.png", "0.png", "1.png")
    assert np.array_equal(found.images, NOISE[:3].transpose(0, 3, 1, 2))
    assert read_images(path, side=3, grey=True).images.shape == (3, 1, 3, 3)


def test_integer_labels_are_ordered_by_value_and_a_count_changes_no_class(tmp_path):
    labels = [10, 9, 2, 10]
    path = table(tmp_path / "x.parquet", labels)
    assert read_image_parquet(path).classes == ("2", "9", "10")
    found = read_image_parquet(path, count=2)
    assert found.classes == ("2", "9", "10")
    assert found.labels.tolist() == [2, 1]
    assert found.images.shape == (2, 3, 6, 8)
    for count in (0, 5):
        with pytest.raises(InputError, match=rf"count must be between 1 and 4.*x\.parquet'; got {count}"):
            read_image_parquet(path, count=count)


@pytest.mark.parametrize("paths", [None, ["a", None, "b"], ["a", "a", "b"], ["a", "", "b"]])
def test_rows_without_names_of_their_own_are_numbered(tmp_path, paths):
    assert read_image_parquet(table(tmp_path / "x.parquet", [0, 1, 1], paths)).names == ("0", "1", "2")


def test_labels_as_dictionaries_and_large_texts(tmp_path):
    for kind in (pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.int8()):
        labels = pa.array([1, 0], kind) if pa.types.is_integer(kind) else pa.array(["b", "a"], kind)
        assert read_image_parquet(table(tmp_path / "x.parquet", labels)).labels.tolist() == [1, 0]


def test_a_column_whose_name_has_a_point(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 1], **{"y.fine": ["b", "a"]})
    assert read_image_parquet(path, "y.fine").labels.tolist() == [1, 0]


def test_parquet_files_that_are_wrong(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(InputError, match="cannot be read as a parquet file"):
        read_image_parquet(path)
    with pytest.raises(InputError, match="does not exist"):
        read_image_parquet(tmp_path / "nowhere.parquet")
    with pytest.raises(InputError, match="is a folder"):
        read_image_parquet(tmp_path)
    pq.write_table(pa.table({"x": [1.0], "label": [0]}), path)
    with pytest.raises(InputError, match=r"no column of images .* there are: 'x', 'label'"):
        read_image_parquet(path)
    second = pa.array([{"bytes": b"", "path": ""}] * 2, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    with pytest.raises(InputError, match="several columns of images: 'picture', 'second'"):
        read_image_parquet(table(path, [0, 1], second=second))
    with pytest.raises(InputError, match="no column named 'y'; there are: 'picture', 'label'"):
        read_image_parquet(table(path, [0, 1]), "y")
    with pytest.raises(InputError, match="holds double; labels must be integers or texts"):
        read_image_parquet(table(path, [0.5, 1]))
    with pytest.raises(InputError, match=r"2 missing labels \(first in row 2\)"):
        read_image_parquet(table(path, ["a", None, None, "b"]))
    with pytest.raises(InputError, match="holds 1 class; at least two"):
        read_image_parquet(table(path, [3, 3]))
    with pytest.raises(InputError, match="holds 0 class"):
        read_image_parquet(table(path, pa.array([], pa.int64()), contents=[]))
    with pytest.raises(InputError, match=r"row 2 of '.*' has no bytes in column 'picture'"):
        read_image_parquet(table(path, [0, 1], contents=[encoded(NOISE[0]), None]))
    with pytest.raises(InputError, match=r"cannot read the image in row 2 of '.*x\.parquet' \(no image that"):
        read_image_parquet(table(path, [0, 1], contents=[encoded(NOISE[0]), b"nothing"]))
    with pytest.raises(InputError, match=r"image in row 2 of '.*' is 8 x 5, but in row 1 of '.*' is 8 x 6"):
        read_image_parquet(table(path, [0, 1], contents=[encoded(NOISE[0]), encoded(NOISE[0, :5])]))


def test_a_cut_parquet_file(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 1])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as a parquet file"):
        read_image_parquet(path)


def test_neither_folder_nor_parquet(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a folder of images or a parquet file"):
        read_images(tmp_path / "nowhere")
    (tmp_path / "x.csv").write_text("a,b")
    with pytest.raises(InputError, match=r"neither a folder with one sub-folder a class nor a \.parquet file"):
        read_images(tmp_path / "x.csv")


def test_the_mirrors_hand_signs(mirror):
    """Real photographs of unequal sizes: three are 3024 x 3024, the others 100 x 100."""
    path = mirror / "sign_digits" / "sign_digits.parquet"
    with pytest.raises(InputError, match=r"is 3024 x 3024, but in row 1 of .* is 100 x 100"):
        read_images(path)
    found = read_image_parquet(path, side=24, count=600)
    assert found.images.shape == (600, 3, 24, 24)
    assert found.classes == tuple("0123456789")
    assert len(set(found.names)) == 600
