from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from frostline import InputError
from frostline.datasets.headers import StoredAs, check_images, pictures_replaced, stored_as


def test_how_values_are_stored_comes_from_the_header(tmp_path: Path) -> None:
    for kind in ("uint8", "uint16", "float32"):
        tifffile.imwrite(tmp_path / f"{kind}.tif", np.zeros((4, 4, 3), kind))
        assert stored_as(tmp_path / f"{kind}.tif") == StoredAs(kind, by_opencv=kind == "uint8")
    for kind in ("uint8", "uint16"):
        cv2.imwrite(str(tmp_path / f"{kind}.png"), np.zeros((4, 4, 3), kind))
        assert stored_as(tmp_path / f"{kind}.png") == StoredAs(kind, by_opencv=kind == "uint8")
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((4, 4, 3), np.uint8))
    assert stored_as(tmp_path / "a.jpg") == StoredAs("uint8")


@pytest.mark.parametrize("compression", ["none", "lzw", "zlib", "packbits", "zstd"])
def test_a_tiff_that_opencv_cannot_decode_is_known(compression: str, tmp_path: Path) -> None:
    path, pixels = tmp_path / "x.tif", np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    tifffile.imwrite(path, pixels, compression=compression, photometric="rgb")
    read = cv2.imread(str(path))
    assert stored_as(path).by_opencv == (read is not None and np.array_equal(read[..., ::-1], pixels))
    assert stored_as(path).by_opencv == (compression != "zstd")


@pytest.mark.parametrize("kind", ["int16", "uint32", "float64", "float16"])
def test_values_that_are_not_trained_on_are_refused(kind: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((4, 4, 3), kind))
    with pytest.raises(InputError, match=rf"x\.tif: holds {kind} values; save the image as uint8, uint16 or float32"):
        stored_as(tmp_path / "x.tif")


def test_images_of_two_types_are_refused_with_one_of_each(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(120)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    assert check_images(paths) == {StoredAs("uint8")}
    cv2.imwrite(str(paths[60]), np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(InputError, match=r"60\.png: holds uint16 values, but .*0\.png uint8 ones"):
        check_images(paths)


def test_every_way_of_storing_is_told(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path, compression in zip(paths, ("lzw", "zstd"), strict=True):
        tifffile.imwrite(path, np.zeros((4, 4, 3), np.uint8), compression=compression)
    assert check_images(paths) == {StoredAs("uint8"), StoredAs("uint8", by_opencv=False)}


def test_a_link_whose_target_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"gone.png: cannot be read \(No such file or directory\)"):
        check_images([tmp_path / "gone.png"])


def test_a_broken_tiff_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"no tiff")
    with pytest.raises(InputError, match=r"x.tif: cannot be read as TIFF"):
        check_images([tmp_path / "x.tif"])


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_an_image_that_is_not_whole_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels) if suffix == "tif" else cv2.imwrite(str(path), pixels)
    check_images([path])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x\.\w+: the image is cut off|cannot be read as TIFF"):
        check_images([path])
    path.write_bytes(b"")
    with pytest.raises(InputError, match="the image is empty"):
        check_images([path])


def test_padding_behind_the_end_of_an_image_is_no_damage(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.jpg"), np.zeros((8, 8, 3), np.uint8))
    with (tmp_path / "x.jpg").open("ab") as stream:
        stream.write(b"\0" * 512)
    check_images([tmp_path / "x.jpg"])


def test_an_array_beside_an_image_is_found(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a.png", "b.png")]
    assert pictures_replaced(images) == []
    np.save(tmp_path / "b.npy", np.zeros(3))
    np.save(tmp_path / "c.npy", np.zeros(3))
    assert pictures_replaced(images) == [tmp_path / "b.png"]


def test_bits_hidden_behind_another_suffix_are_refused(tmp_path: Path) -> None:
    """Readers that go by the suffix would cut such files to 8 bits without a word; eight bits hide nothing."""
    deep, shallow = np.full((16, 16, 3), 40000, np.uint16), np.full((16, 16, 3), 200, np.uint8)
    for pixels, name in ((deep, "deep.png"), (shallow, "shallow.png")):
        tifffile.imwrite(tmp_path / "x.tif", pixels)
        (tmp_path / "x.tif").rename(tmp_path / name)
    cv2.imwrite(str(tmp_path / "y.png"), deep)
    (tmp_path / "y.png").rename(tmp_path / "deep.jpg")
    with pytest.raises(
        InputError, match=r"deep.png: is a TIFF of uint16 values under another suffix; rename it to .tif"
    ):
        stored_as(tmp_path / "deep.png")
    with pytest.raises(
        InputError, match=r"deep.jpg: is a PNG of uint16 values under another suffix; rename it to .png"
    ):
        stored_as(tmp_path / "deep.jpg")
    assert stored_as(tmp_path / "shallow.png") == StoredAs("uint8")


@pytest.mark.parametrize(("kind", "refused"), [(np.uint8, False), (np.uint16, True)])
def test_a_jpeg_2000_file_of_more_than_eight_bits_is_refused(kind: type, refused: bool, tmp_path: Path) -> None:
    import imagecodecs

    pixels = np.random.default_rng(0).integers(0, 200, (32, 32, 3)).astype(kind)
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="jp2"))
    if refused:
        with pytest.raises(InputError, match="JPEG 2000 file of more than 8 bits"):
            stored_as(tmp_path / "a.jp2")
    else:
        assert stored_as(tmp_path / "a.jp2") == StoredAs("uint8")
