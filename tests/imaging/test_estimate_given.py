from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from estimate_scenes import TRUE, street

from frostline.errors import InputError
from frostline.imaging import parse_isd, write_tiff16
from frostline.imaging.estimate import Edges, Estimate, Fixed, Maps, angles, estimate_folder, read_isd_map, write_isd
from frostline.imaging.estimate.batch import combine

SIZE = (8, 12)
LINEAR = np.full((*SIZE, 3), 9000, np.uint16)


def isd_map(**bad: float) -> np.ndarray:
    values = np.tile(np.float32([2.0, 1.5, 1.0]), (*SIZE, 1))
    for value in bad.values():
        values[0, :3] = value
    return values


def test_fixed_is_what_was_given_and_by_camera(tmp_path):
    assert Fixed(parse_isd("3,2,1")).estimate(LINEAR, Path("x.png")).isd == pytest.approx(np.array([3, 2, 1]) / 14**0.5)
    file = tmp_path / "cameras.yaml"
    file.write_text("cameras:\n  front: [2, 2, 1]\n  rear: [1, 2, 2]\n")
    fixed = Fixed(parse_isd(str(file)))
    for image, expected in (("front/1.png", (2, 2, 1)), ("rear_007.png", (1, 2, 2)), ("images/rear-2.png", (1, 2, 2))):
        assert fixed.estimate(LINEAR, Path(image)).isd == pytest.approx(np.array(expected) / 3)
    with pytest.raises(InputError, match=r"frontal_1\.png: is of none of the cameras front, rear"):
        fixed.estimate(LINEAR, Path("frontal_1.png"))
    with pytest.raises(InputError, match="belongs to the cameras front and rear"):
        fixed.estimate(LINEAR, Path("front/rear_1.png"))
    file.write_text("isd: [1, 1, 1]\ncameras: {front: [2, 2, 1]}\n")
    assert parse_isd(str(file)).of(Path("other.png")) == pytest.approx([3**-0.5] * 3)


@pytest.mark.parametrize(
    "text", ["isd: [1, 0, 1]", "cameras: {a: [1, -1, 1]}", "isd: [1, 2]", "isd: x", "images: {}", "]"]
)
def test_a_bad_isd_file_is_one_line_that_names_it(tmp_path, text):
    (tmp_path / "isd.yaml").write_text(text)
    with pytest.raises(InputError, match=r"isd\.yaml: ") as caught:
        parse_isd(str(tmp_path / "isd.yaml"))
    assert "\n" not in str(caught.value)


def test_a_map_is_normalised_and_found_by_folder_or_suffix(tmp_path):
    import tifffile

    (tmp_path / "maps" / "train").mkdir(parents=True)
    np.save(tmp_path / "maps" / "train" / "a.npy", isd_map())
    np.save(tmp_path / "maps" / "b.npy", isd_map())
    tifffile.imwrite(tmp_path / "c.isd.tiff", isd_map())
    expected = np.array([2, 1.5, 1]) / np.linalg.norm([2, 1.5, 1])
    folder = Maps(tmp_path, tmp_path / "maps")
    for maps, image in ((folder, "train/a.png"), (folder, "train/b.png"), (Maps(tmp_path, None, ".isd.tiff"), "c.png")):
        found = maps.estimate(LINEAR, Path(image))
        assert found.isd.shape == (*SIZE, 3)
        assert found.isd[3, 4] == pytest.approx(expected)
        assert found.mean == pytest.approx(expected)
        assert found.confidence == pytest.approx(1)


@pytest.mark.parametrize(("folder", "suffix"), [(None, ".npy"), (None, ".tiff"), (".", ".npy"), ("none", ".npy")])
def test_a_map_that_would_be_taken_for_an_image_is_refused(tmp_path, folder, suffix):
    with pytest.raises(InputError):
        Maps(tmp_path, None if folder is None else tmp_path / folder, suffix)


def test_bad_maps_are_errors_that_count(tmp_path):
    file = tmp_path / "a.npy"
    for values, words in (
        (isd_map(zero=0), "3 zero vectors of 96"),
        (isd_map(minus=-1), "3 bad pixels of 96"),
        (isd_map(nan=np.nan), "3 bad pixels of 96"),
        (isd_map()[:4], "12 x 4 but its image is 12 x 8"),
        (isd_map()[..., 0], "has shape"),
    ):
        np.save(file, values)
        with pytest.raises(InputError, match=words):
            read_isd_map(file, SIZE)
    file.write_bytes(b"\x93NUMPY broken")
    with pytest.raises(InputError, match="cannot be read as an ISD map"):
        read_isd_map(file, SIZE)
    with pytest.raises(InputError, match="no such ISD map"):
        read_isd_map(tmp_path / "b.npy", SIZE)


def test_the_direction_of_all_is_that_of_the_trusted_images():
    good = [Estimate(TRUE.astype(np.float32), 0.8, "edges")] * 3
    wrong = [Estimate(np.full(3, 3**-0.5, np.float32), 0.1, "edges")] * 8
    isd, confidence = combine([*good, *wrong], Path("x"))
    assert angles(isd, TRUE) < 0.01
    assert confidence == pytest.approx(3 * 0.8**2 / (3 * 0.8 + 8 * 0.1))
    with pytest.raises(InputError, match="no evidence"):
        combine([Estimate(isd, 0.0, "edges")], Path("x"))


def test_a_folder_is_estimated_written_and_read_back(tmp_path):
    write_tiff16(tmp_path / "images" / "a.tiff", street())
    write_tiff16(tmp_path / "images" / "flat.tiff", street(shadow=False))
    (tmp_path / "images" / "broken.tiff").write_bytes(b"II*\0")
    seen = []
    found = estimate_folder(tmp_path, Edges(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert list(found.failed) == ["images/broken.tiff"]
    assert found.example == "images/a.tiff"
    assert found.images["images/a.tiff"].evidence is None
    assert write_isd(tmp_path / "isd.yaml", found, per_image=True) == 1
    table = parse_isd(str(tmp_path / "isd.yaml"))
    assert angles(np.array(table.mean), TRUE) < 1
    assert list(table.images) == ["a"]  # flat.tiff has no confidence and takes the direction of all
    content = yaml.safe_load((tmp_path / "isd.yaml").read_text())
    assert content["method"] == "edges"
    assert 0 < content["confidence"] <= 1


def test_two_images_of_one_stem_cannot_both_have_a_direction(tmp_path):
    for folder in ("train", "val"):
        write_tiff16(tmp_path / folder / "a.tiff", street())
    found = estimate_folder(tmp_path, Edges())
    write_isd(tmp_path / "isd.yaml", found)
    with pytest.raises(InputError, match="have the same"):
        write_isd(tmp_path / "isd.yaml", found, per_image=True)
