from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from frostline.cli import app
from frostline.datasets import check_labels, convert_kitti, load_dataset, split_names
from frostline.datasets.formats.sizes import image_size, whole_image_size
from frostline.errors import InputError

WIDTH, HEIGHT = 200, 100
TAIL = "1.6 1.6 3.7 -2.7 1.7 3.7 -1.3"


def line(kind: str, box: str, truncation: float = 0.0, occlusion: int = 0) -> str:
    return f"{kind} {truncation:.2f} {occlusion} -1.57 {box} {TAIL}\n"


CAR = line("Car", "20.00 10.00 60.00 30.00", 0.25, 2)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Ten images with one Car each; the first has one object of every kind."""
    folder = tmp_path / "kitti"
    for sub in ("image_2", "label_2"):
        (folder / sub).mkdir(parents=True)
    for index in range(10):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), index, np.uint8)).save(folder / "image_2" / f"{index:06}.png")
        (folder / "label_2" / f"{index:06}.txt").write_text(CAR)
    first = (
        CAR + line("DontCare", "0 0 9 9", -1, -1) + line("Van", "-10 -5 20 10") + line("Person_sitting", "0 0 20 10")
    )
    first += line("Misc", "0 0 9 9") + line("Cyclist", "190 90 250 120", 0.5, 1) + line("Tram", "210 0 220 9")
    first += line("Truck", "5 5 5 9") + "\n"
    (folder / "label_2" / "000000.txt").write_text(first)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_boxes_are_clipped_and_written_as_shares_of_the_image(src: Path, tmp_path: Path) -> None:
    convert_kitti(src, tmp_path / "out")
    (label,) = (tmp_path / "out/labels").rglob("000000.txt")
    assert label.read_text().splitlines() == [
        "0 0.200000 0.200000 0.200000 0.200000",
        "0 0.050000 0.050000 0.100000 0.100000",
        "2 0.050000 0.050000 0.100000 0.100000",
        "1 0.975000 0.950000 0.050000 0.100000",
    ]


def test_what_is_left_out_is_counted(src: Path, tmp_path: Path) -> None:
    summary = convert_kitti(src, tmp_path / "out")
    assert summary.left_out == {"DontCare": 1, "Misc": 1}
    assert (summary.no_area, summary.clipped, summary.problems) == (2, 2, [])
    totals = {name: sum(boxes[name] for boxes in summary.boxes.values()) for name in summary.boxes["train"]}
    assert totals == {"Car": 11, "Cyclist": 1, "Pedestrian": 1, "Tram": 0, "Truck": 0}
    assert summary.images == {"train": 8, "val": 2}


def test_the_result_is_a_dataset_that_loads_and_can_be_moved(src: Path, tmp_path: Path) -> None:
    summary = convert_kitti(src, tmp_path / "out")
    assert str(tmp_path) not in summary.yaml.read_text()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    dataset = load_dataset(tmp_path / "elsewhere/data.yaml")
    assert list(dataset.names.values()) == ["Car", "Cyclist", "Pedestrian", "Tram", "Truck"]
    checked = check_labels(dataset)
    by_name = {s: {dataset.names[i]: n for i, n in boxes.items()} for s, boxes in checked.boxes.items()}
    assert by_name == summary.boxes
    assert checked.images == summary.images


def test_occlusion_and_truncation_are_kept_for_every_box(src: Path, tmp_path: Path) -> None:
    convert_kitti(src, tmp_path / "out")
    with (tmp_path / "out/kitti_objects.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    first = [row for row in rows if row["image"] == "000000"]
    assert [(r["row"], r["class"], r["kitti_type"], r["truncation"], r["occlusion"]) for r in first] == [
        ("0", "Car", "Car", "0.25", "2"),
        ("1", "Car", "Van", "0.0", "0"),
        ("2", "Pedestrian", "Person_sitting", "0.0", "0"),
        ("3", "Cyclist", "Cyclist", "0.5", "1"),
    ]
    assert [first[3][side] for side in ("left", "top", "right", "bottom")] == ["190.0", "90.0", "200.0", "100.0"]
    assert len(rows) == 13
    assert {row["split"] for row in rows} == {"train", "val"}


def test_the_split_depends_on_names_ratio_and_seed_alone() -> None:
    names = [f"{index:06}" for index in range(101)]
    split = split_names(names, 0.8, 42)
    mixed = names.copy()
    random.shuffle(mixed)
    assert split_names(mixed, 0.8, 42) == split
    assert split_names(names, 0.8, 43) != split
    assert (len(split["train"]), len(split["val"])) == (80, 21)
    assert sorted(split["train"] + split["val"]) == names
    assert split["val"][:5] == ["000006", "000018", "000020", "000024", "000028"]  # so that no release moves it


def test_each_split_gets_an_image() -> None:
    assert [len(names) for names in split_names(["a", "b"], 1 - 1e-12, 0).values()] == [1, 1]
    assert [len(names) for names in split_names(["a", "b", "c"], 0.01, 0).values()] == [1, 2]
    with pytest.raises(InputError, match="at least 2"):
        split_names(["a"], 0.5, 0)
    with pytest.raises(InputError, match="between 0 and 1"):
        split_names(["a", "b"], 1.0, 0)


def test_converting_again_gives_the_same_bytes_and_another_split_is_refused(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_kitti(src, out)
    before = tree(out)
    convert_kitti(src, out)
    assert tree(out) == before
    with pytest.raises(InputError, match="not part of this split"):
        convert_kitti(src, out, seed=1)
    assert tree(out) == before


def test_links_point_at_the_originals_and_copies_take_their_place(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_kitti(src, out, link=True)
    images = sorted((out / "images").rglob("*.png"))
    assert all(image.is_symlink() for image in images)
    assert {image.resolve().parent for image in images} == {src / "image_2"}
    originals = tree(src)
    convert_kitti(src, out)
    assert not any(image.is_symlink() for image in images)
    assert tree(src) == originals


def test_the_folder_above_training_will_do(src: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    src.rename(tmp_path / "set/training")
    assert convert_kitti(tmp_path / "set", tmp_path / "out").images == {"train": 8, "val": 2}


def test_one_bad_image_does_not_end_the_batch(src: Path, tmp_path: Path) -> None:
    (src / "image_2/000001.png").unlink()
    (src / "label_2/000002.txt").unlink()
    (src / "image_2/000003.png").write_bytes(b"not an image")
    summary = convert_kitti(src, tmp_path / "out")
    assert sum(summary.images.values()) == 7
    assert [problem.split(": ")[1] for problem in summary.problems] == [
        "has no label_2/000002.txt, left out",
        "cannot be read as a PNG, JPEG, TIFF, BMP or WebP image; replace or remove it",
        "has no image in image_2/, left out",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Car 0 0 -1 10 10 20 20\n", "8 fields instead of KITTI's 15"),
        (CAR + line("Car", "10 ten 20 20"), "line 2: a field after the type is not a number"),
        (line("Car", "10 nan 20 20"), "not finite"),
        (CAR.replace(" 2 ", " 0.5 "), "no whole number"),
    ],
)
def test_a_malformed_label_line_stops_before_anything_is_written(
    text: str, message: str, src: Path, tmp_path: Path
) -> None:
    (src / "label_2/000004.txt").write_text(text)
    with pytest.raises(InputError, match=r"000004\.txt, line ") as error:
        convert_kitti(src, tmp_path / "out")
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_classes_and_mapping_are_the_users(src: Path, tmp_path: Path) -> None:
    summary = convert_kitti(src, tmp_path / "out", classes=("Vehicle", "Misc"), mapping={"Car": "Vehicle"})
    assert {name: sum(b[name] for b in summary.boxes.values()) for name in ("Vehicle", "Misc")} == {
        "Vehicle": 10,
        "Misc": 1,
    }
    assert summary.left_out["Van"] == 1
    only_cars = convert_kitti(src, tmp_path / "cars", classes=("Car",))
    assert sum(b["Car"] for b in only_cars.boxes.values()) == 11


@pytest.mark.parametrize(
    ("classes", "mapping", "message"),
    [
        (("Car", "Cyklist"), None, "class 'Cyklist': .* did you mean 'Cyclist'"),
        (("Car", "Car"), None, "each only once"),
        ((), None, "at least one class"),
        (("Car",), {"Vam": "Car"}, "no KITTI type 'Vam', did you mean 'Van'"),
        (("Car",), {"Van": "Cars"}, "'Cars' is none of the classes Car"),
    ],
)
def test_a_class_that_cannot_occur_is_an_error(
    classes: tuple[str, ...], mapping: dict[str, str] | None, message: str, src: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        convert_kitti(src, tmp_path / "out", classes=classes, mapping=mapping)


def test_a_folder_that_is_no_kitti_set_is_said(src: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image_2/ in it"):
        convert_kitti(tmp_path / "nowhere", tmp_path / "out")
    (src / "label_2").rename(src / "labels")
    with pytest.raises(InputError, match="no label_2/ beside image_2/"):
        convert_kitti(src, tmp_path / "out")
    (src / "label_2").mkdir()
    with pytest.raises(InputError, match="nothing to convert"):
        convert_kitti(src, tmp_path / "out")


def test_two_images_of_one_name_are_refused(src: Path, tmp_path: Path) -> None:
    (src / "image_2/000000.jpg").write_bytes((src / "image_2/000000.png").read_bytes())
    with pytest.raises(InputError, match=r"000000\.jpg has the same name"):
        convert_kitti(src, tmp_path / "out")


def test_a_place_that_cannot_be_written_is_one_line(src: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        convert_kitti(src, tmp_path / "file" / "out")


def test_spaces_and_letters_of_any_script_simply_work(src: Path, tmp_path: Path) -> None:
    odd = tmp_path / "ein Ordner mit Ä [1]"
    src.rename(odd)
    (odd / "image_2/000005.png").rename(odd / "image_2/雪 05.png")
    (odd / "label_2/000005.txt").rename(odd / "label_2/雪 05.txt")
    summary = convert_kitti(odd, tmp_path / "out [雪]")
    assert check_labels(load_dataset(summary.yaml)).images == {"train": 8, "val": 2}


def test_the_command_prints_counts_and_exits_1_when_something_was_left_out(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = CliRunner().invoke(app, ["data", "kitti", str(src), str(out), "--map", "Van=Truck"])
    assert good.exit_code == 0, good.output
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in good.output.splitlines()]
    assert ["images", "8", "2", "10"] in cells
    assert next(row for row in cells if row[:1] == ["Car"])[3] == "10"
    assert next(row for row in cells if row[:1] == ["Truck"])[3] == "1"
    assert "left out: DontCare 1, Misc 1, Person_sitting 1" in good.output
    (src / "label_2/000002.txt").unlink()
    partly = CliRunner().invoke(app, ["data", "kitti", str(src), str(tmp_path / "partly")])
    assert partly.exit_code == 1
    assert "000002.png: has no label" in partly.output


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["Van=Car,Person_sitting=Pedestrian"], 11),
        (["Van=Car", "Person_sitting=Pedestrian"], 11),
        (["none"], 10),
        (["Van:Car"], None),
    ],
)
def test_map_is_repeated_joined_or_none(given: list[str], expected: int | None, src: Path, tmp_path: Path) -> None:
    options = [word for value in given for word in ("--map", value)]
    result = CliRunner().invoke(app, ["data", "kitti", str(src), str(tmp_path / "out"), *options])
    if expected is None:
        assert isinstance(result.exception, InputError)
        return
    summary = check_labels(load_dataset(tmp_path / "out/data.yaml"))
    assert sum(boxes[0] for boxes in summary.boxes.values()) == expected


@pytest.mark.shared
def test_kitti101_becomes_the_dataset_that_its_readme_describes(shared_dir: Path, tmp_path: Path) -> None:
    summary = convert_kitti(shared_dir / "data/kitti101", tmp_path / "out", link=True)
    checked = check_labels(load_dataset(summary.yaml))
    totals = [sum(boxes[index] for boxes in checked.boxes.values()) for index in range(5)]
    assert totals == [303 + 34, 18, 47 + 5, 12, 14]
    assert summary.left_out == {"DontCare": 237, "Misc": 6}
    assert summary.images == checked.images == {"train": 80, "val": 21}
    assert (summary.no_area, summary.problems) == (0, [])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_the_size_of_an_image_is_read_from_its_header(suffix: str, tmp_path: Path) -> None:
    image = tmp_path / f"a{suffix}"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(image)
    assert image_size(image) == whole_image_size(image) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_an_image_that_was_cut_off_is_left_out_and_named(suffix: str, share: float, src: Path, tmp_path: Path) -> None:
    image = src / f"image_2/000003{suffix}"
    (src / "image_2/000003.png").unlink()
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(image)
    whole = image.read_bytes()
    image.write_bytes(whole[: int(len(whole) * share) - (share == 1) * 12])
    for workers in (1, 2):
        summary = convert_kitti(src, tmp_path / f"out{workers}", workers=workers)
        assert len(summary.problems) == 1 and summary.problems[0].startswith(f"{image}: ")
        assert "object at 0x" not in summary.problems[0]
        assert not list((tmp_path / f"out{workers}").rglob("000003*"))
    done = CliRunner().invoke(app, ["data", "kitti", str(src), str(tmp_path / "cli")])
    assert done.exit_code == 1 and str(image) in done.stderr


def test_nothing_is_written_into_the_folder_that_is_read(src: Path) -> None:
    before = tree(src)
    for out in (src, src / "out", src / "image_2" / ".." / "deep" / "out"):
        with pytest.raises(InputError, match="which is only read"):
            convert_kitti(src, out)
    assert tree(src) == before and not (src / "out").exists()
