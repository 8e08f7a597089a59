"""`pretrain:` in the arms of a study file."""

from __future__ import annotations

from pathlib import Path

import pytest

from frostline.errors import InputError
from frostline.studies.file import StudyFile
from frostline.training import RunSpec


def study(pretrain: object, base: Path | None = None) -> StudyFile:
    arms = {"baseline": {}, "pretrained_frozen": {"freeze": "0-2", "pretrain": pretrain}}
    return StudyFile.parse({"model": "m.pt", "data": "d.yaml", "arms": arms}, "s.yaml", base)


def test_an_arm_combines_pretraining_and_freezing_and_survives_a_round_trip(tmp_path: Path) -> None:
    (tmp_path / "thermal").mkdir()
    file = study({"method": "simclr", "images": "thermal", "epochs": 5}, tmp_path)
    arm = file.arms["pretrained_frozen"]
    assert arm.plan.freeze_depth == 3
    assert arm.pretrain is not None and arm.pretrain.images == str((tmp_path / "thermal").resolve())
    assert file.arms["baseline"].pretrain is None and "pretrain" not in file.arms["baseline"].to_dict()
    assert StudyFile.parse(file.to_dict()) == file


def test_a_wrong_pretraining_names_the_arm() -> None:
    with pytest.raises(InputError, match=r"s.yaml: arm pretrained_frozen: pretrain: unknown key 'epoch'"):
        study({"images": "i", "epoch": 3})


def test_a_spec_tells_what_it_is_pretrained_on_and_not_where_that_lies() -> None:
    arm = study({"images": "i"}).arms["pretrained_frozen"]
    values = {"arm": "a", "model": "m.pt", "data": "d.yaml", "plan": arm.plan, "settings": {"epochs": 1}}
    spec = RunSpec(**values, pretrain=arm.pretrain, pretrain_images="k", pretrained="/here/p.pt")
    told = spec.to_dict()
    assert told["model"] == "m.pt" and told["pretrain"]["images"] == "i" and told["pretrain_images"] == "k"
    assert "/here" not in str(told)
    assert spec.start == ("/here/p.pt", None)
    assert RunSpec(**values).start == ("m.pt", None) and RunSpec(**values).to_dict()["pretrain"] is None
