"""Ultralytics' detection trainer, carrying out one stage of a freeze plan.

Everything is done in overridden methods of a subclass: Ultralytics itself is not changed, and what it pickles holds no
class of ours.
"""

from __future__ import annotations

import math
import time
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import DEFAULT_CFG, YAML

from frostline.datasets import Dataset, PixelFormat, load_dataset, pixel_format
from frostline.datasets.build import build_split, check_nothing_dropped
from frostline.datasets.described import described
from frostline.freezing import (
    Audit,
    Freeze,
    FreezeWatch,
    apply_freeze,
    layer_roles,
    put_batchnorms_in_eval,
    resolve_freeze,
    summarize_trainable_and_bn,
)
from frostline.training.checkpoints import count_transfer, saved_tensors
from frostline.training.evaluation import RecordingValidator
from frostline.training.exact import ExactResume
from frostline.training.features import FeatureStore
from frostline.training.flags import ultralytics_freeze
from frostline.training.gradients import GRADIENTS, append_gradients
from frostline.training.images import float32_convolutions, pictures, to_device
from frostline.training.job import CARRIED
from frostline.training.machine import loader_workers, use_all_cores
from frostline.training.network import follow_freeze, forget_prefix, make_cheaper, share_trunk
from frostline.training.progress import Progress
from frostline.training.recovering import RecoveringTrainer
from frostline.training.saving import (
    Whole,
    WholeKeepingOne,
    last_time,
    remove_side_files,
    strip_checkpoints,
    trim_rows,
)
from frostline.training.teacher import check_untouched, exact_fingerprint, projectors_of, student_of, teacher_of
from frostline.training.tracking.quiet import without_unasked


class StageTrainer(RecoveringTrainer):
    """Trains one stage.

    Args:
        cfg: Ultralytics' defaults.
        overrides: its training arguments; `freeze` is worked out here from the stage.
        _callbacks: `StageJob.carried()`: the stage and what goes with it, the one thing of ours that reaches processes
            which Ultralytics starts.
    """

    train_time_start: float

    def __init__(
        self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: dict[str, Any] | None = None
    ) -> None:
        assert overrides is not None and _callbacks is not None
        job = self.job = _callbacks[CARRIED][0]
        self.audit_result: Audit | None = None
        self.freeze: Freeze | None = None
        self.watch: FreezeWatch | None = None
        self._source: nn.Module | None = None
        self._transfer: dict[str, Any] = {}
        self._fresh: frozenset[str] = frozenset()
        named = str(overrides["data"])
        self.known: Dataset = load_dataset(job.data_here or named)
        self.pixels: PixelFormat = pixel_format(self.known)
        if self.pixels.deep:  # they are not changed there, and args.yaml tells what was done
            overrides = {**overrides, "hsv_h": 0.0, "hsv_s": 0.0}
        self._spent = 0.0  # seconds trained before an interruption
        self.exact = ExactResume() if job.exact else None
        super().__init__(cfg, {**overrides, "data": job.data_here or named}, _callbacks)
        if job.data_here is not None:  # args.yaml and checkpoints outlast the copy
            self.args.data = named
        if self.device.type == "cpu":
            use_all_cores()
        # Ultralytics forces 0 on a CPU; what the user named holds there too.
        self.args.workers = loader_workers(overrides.get("workers"), str(overrides["device"]))
        self.last: Path = WholeKeepingOne(self.wdir / "last.pt")
        self.best: Path = Whole(self.wdir / "best.pt")

    def run_callbacks(self, event: str) -> None:
        """Run what listens to an event, but for what Ultralytics adds without being asked."""
        without_unasked(self.callbacks)
        super().run_callbacks(event)

    def get_dataset(self) -> dict[str, Any]:
        """Read the data.yaml as Ultralytics does, and never run what it says under `download:`."""
        data = described(self.known.yaml)
        self.args.data = data["yaml_file"]
        if self.args.single_cls:
            data |= {"names": {0: "item"}, "nc": 1}
        return data

    def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
        """Build the detector and note which of its tensors came from the checkpoint whole."""
        model: nn.Module = super().get_model(cfg, weights, verbose)
        name = str(self.args.pretrained if isinstance(self.args.pretrained, str) else self.args.model)
        transfer = count_transfer(model, weights, name if weights is not None else None)
        self._transfer = {"loaded": transfer.loaded, "total": transfer.total, "source": transfer.source}
        self._fresh = transfer.fresh
        return model

    def set_model_attributes(self) -> None:
        """Resolve the stage against the model, and let Ultralytics freeze what that says.

        The list goes into `args.freeze`, so that Ultralytics' own code sets the flags before it wraps the model, and
        `args.yaml` and the checkpoint tell the truth to anybody who reads them without us.
        """
        super().set_model_attributes()
        if self.job.arithmetic.channels_last:  # before the EMA pairs its tensors with the model's
            self.detector.to(memory_format=torch.channels_last)
        self.freeze = self.resolve()
        self.args.freeze = ultralytics_freeze(self.detector, self.freeze) or None
        YAML.save(self.save_dir / "args.yaml", vars(self.args))

    @property
    def detector(self) -> Any:
        """The detector that is trained: with a teacher, the student within Ultralytics' wrapper."""
        return student_of(self.model)

    def resolve(self) -> Freeze:
        """Return what is frozen where training starts."""
        if self.resume and self.job.progress is not None:
            return self.job.progress.freeze  # an EMA holds every tensor whole: what was fresh is known from then
        return resolve_freeze(self.detector, self.job.stage, self._fresh, self.job.freeze_fresh)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Build a split: Ultralytics' own dataset for 8 bits, ours for more."""
        stride = max(int(self.detector.stride.max()), 32)
        return build_split(
            self.args, img_path, batch, self.data, self.pixels, mode=mode, rect=mode == "val", stride=stride,
            images_kept=self.job.images, direct_mosaic=self.job.direct_mosaic,
        )  # fmt: skip

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Build a split's loader; runs in lockstep share one."""

        def build() -> Any:
            return super(StageTrainer, self).get_dataloader(dataset_path, batch_size, rank, mode)

        return build() if self.job.seat is None else self.job.seat.loader(self, mode, (dataset_path, batch_size), build)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, with pixels in [0, 1] by the range of their format."""
        if self.exact is not None:
            self.exact.next_batch(self)
        if self.features is not None:
            self.features.next_batch(batch["im_file"])
        if self.job.arithmetic.channels_last:
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        if not self.args.multi_scale:
            return to_device(batch, self.device, self.pixels)
        if self.pixels.deep:  # Ultralytics resizes, and divides by 255
            batch = to_device(batch, self.device, self.pixels)
            batch["img"] = batch["img"] * 255
        return dict(super().preprocess_batch(batch))

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Plot a batch, tone-mapped where it has more than 8 bits."""
        super().plot_training_samples(pictures(batch, self.pixels), ni)

    def build_optimizer(self, model: nn.Module, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Apply the freeze to the last tensor, then build the optimizer over what trains, and nothing else."""
        assert self.freeze is not None
        apply_freeze(student_of(model), self.freeze)
        optimizer: torch.optim.Optimizer = super().build_optimizer(model, *args, **kwargs)
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if p.requires_grad]
        return optimizer

    def _build_train_pipeline(self) -> None:
        """Build the loaders and the optimizer, the scaler being that of our precision: the autocast is ours."""
        if self.device.type == "cuda":
            self.scaler = torch.amp.GradScaler("cuda", enabled=self.job.arithmetic.precision == "fp16")
        super()._build_train_pipeline()

    def _setup_train(self) -> None:
        if self.pixels.deep:
            float32_convolutions()
        super()._setup_train()
        self.wrap_anew()  # the last tensors were frozen after Ultralytics had wrapped the model
        check_nothing_dropped(self.known, self.train_loader, self.test_loader)
        self.features = self._keep_features()
        make_cheaper(self.detector, self.job.arithmetic, self.features)
        # A teacher listens to the layers themselves, and a store of features stands for them.
        if self.job.seat is not None and self.job.teacher is None and self.features is None:
            share_trunk(self.detector, self.job.seat.trunk)
        self._model_train()
        assert self.freeze is not None
        model = self.detector
        self.watch = self.watching(self.freeze)
        known = self.job.progress
        if self.resume and known is not None:
            self.progress = known
            known.forget_after(self.start_epoch)
            self.watch.restore(known.got_gradient, known.fingerprints)
            known.resumed_at.append(self.start_epoch + 1)
        else:
            self.progress = Progress(self.freeze, self._transfer, self.watch.fingerprints, seeds=self._seeds())
        self.progress.notes += self.job.notes
        if self.leads:
            summarize_trainable_and_bn(model, self.job.tag)
        self._away_before, self._began = self._away(), time.perf_counter()

    def _away(self) -> float:
        """Return the seconds in which other runs had their turn."""
        return 0.0 if self.job.seat is None else self.job.seat.away()

    def _keep_features(self) -> FeatureStore | None:
        """Make room for what the frozen backbone puts out, where that is asked for."""
        if self.job.features is None:
            return None
        return FeatureStore(
            self.job.features, self.train_loader.dataset.im_files, layer_roles(self.detector).count("backbone")
        )

    def watching(self, freeze: Freeze) -> FreezeWatch:
        """Watch the detector, and know what distillation trains beside it."""
        return FreezeWatch(self.detector, freeze, projectors_of(self.model))

    def _seeds(self) -> dict[str, int]:
        seed = int(self.args.seed)
        return {"python": seed, "numpy": seed, "torch": seed, "loader": self.train_loader.generator.initial_seed()}

    def _model_train(self) -> None:
        """Enter training mode for an epoch, with the frozen BatchNorms, and only those, in eval mode."""
        self._epoch_started = time.perf_counter() - self._away()
        self.model.train()
        if self.freeze is not None:
            put_batchnorms_in_eval(self.detector, self.freeze)
            follow_freeze(self.detector)
        if self.exact is not None and self.watch is not None:
            self.exact.enter(self)

    def optimizer_step(self) -> None:
        """Look at the gradients, then step."""
        assert self.watch is not None
        self.watch.observe_gradients(float(self.scaler.get_scale()))
        super().optimizer_step()
        if self.exact is not None:
            self.exact.stepped()
        self.job.memory.sample()

    def get_validator(self) -> RecordingValidator:
        """Return our validator, which lifts the time limit of NMS."""
        validator = RecordingValidator(
            self.test_loader, save_dir=self.save_dir, args=copy(self.args), _callbacks=self.callbacks
        )
        validator.pixels, validator.fused = self.pixels, self.job.arithmetic.fused_validation
        validator.channels_last = self.job.arithmetic.channels_last
        return validator

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Write the epoch's row of `results.csv`, its time counted on after a resume, and of `gradients.csv`."""
        # Ultralytics subtracts two times of day, and a clock can be set back in mid-run.
        took = time.perf_counter() - self._began + self._spent - self._away() + self._away_before
        began, self.train_time_start = self.train_time_start, time.time() - took
        super().save_metrics(metrics)
        self.train_time_start = began
        assert self.watch is not None
        norms, weights = self.watch.epoch_gradient_norms(), self.watch.weight_norms()
        self.observe_epoch({index: norm for index, norm in norms.items() if math.isfinite(norm)}, weights)
        append_gradients(self.save_dir / GRADIENTS, self.epoch + 1, norms, weights, len(self.watch.layers))

    def observe_epoch(self, gradients: dict[int, float], weights: dict[int, float]) -> None:
        """Take the epoch's gradient norms and last weight norms by layer; a schedule decides by them."""

    def save_model(self) -> bool:
        """Save the checkpoint, then note how far the stage has come."""
        if self.exact is not None:
            self.exact.save(self)
        saved: bool = super().save_model()
        remove_side_files(self.wdir, keep=(self.epoch, self.epoch - 1))  # of this checkpoint and the one before
        assert self.watch is not None
        self.progress.got_gradient = sorted(self.watch.got_gradient)
        seconds = time.perf_counter() - self._away() - self._epoch_started
        self.progress.epoch_seconds[self.epoch + 1] = round(seconds, 4)
        self.progress.batch, self.progress.workers = int(self.batch_size), int(self.train_loader.num_workers)
        if self.best_fitness == self.fitness:
            self.progress.best_epoch = self.epoch + 1
        if (teacher := teacher_of(self.model)) is not None:
            self.progress.teacher = exact_fingerprint(teacher)
        self.progress.save(self.save_dir)
        self.job.on_epoch(self.epoch + 1, self.epochs, dict(self.metrics))
        return saved

    def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
        """Load what the checkpoint has, then, in full precision, what lies beside it."""
        super()._load_checkpoint_state(ckpt)
        forget_prefix(self.detector)  # a recovery from NaN has just loaded other weights
        if self.exact is not None and self.watch is None:  # a resume, not a recovery from NaN in mid-run
            self.exact.restore(self, int(ckpt["epoch"]))

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """Resume, and drop rows of epochs that were logged but not saved."""
        super().resume_training(ckpt)
        if self.resume and ckpt is not None:
            for path in (self.csv, self.save_dir / GRADIENTS):
                trim_rows(path, self.start_epoch)
            self._spent = last_time(self.csv)

    def final_eval(self) -> None:
        """Audit while the live model is still here, then strip both checkpoints. Evaluation comes afterwards."""
        agreed = self.check_processes()
        if not self.leads:
            return
        self.audit_result = self.audit()
        self.audit_result.checks += agreed
        self.audit_teacher(self.audit_result)
        strip_checkpoints(self.wdir)

    def audit(self) -> Audit:
        """Audit the live model, and the checkpoint that the stage is judged by."""
        assert self.watch is not None
        weights = self.best if self.best.exists() else self.last
        return self.watch.audit(self.optimizer, saved_tensors(Path(str(weights)), trust=True))

    def audit_teacher(self, audit: Audit) -> None:
        """Add to an audit whether the teacher, as it is now, is the one that was on disk before the run."""
        teacher = teacher_of(self.model)
        if self.job.teacher is not None:
            audit.checks.append(check_untouched(self.job.teacher, exact_fingerprint(teacher) if teacher else "missing"))
