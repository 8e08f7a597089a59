"""The program that carries out one run of a study: what the executors start, on this machine or on another.

    python -m frostline.studies.worker runs/study freeze_1_to_3 0 --device 0

Its exit status is 0 when the run is finished, 1 when it failed, 2 for a bad input, 75 when another process carries it
out (`EX_TEMPFAIL` of sysexits.h) and 130 when it was interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

FINISHED, FAILED, BAD_INPUT, TAKEN, INTERRUPTED = 0, 1, 2, 75, 130
LOOK_SECONDS = 1.0

logger = logging.getLogger("frostline.worker")


def work(
    folder: Path,
    arm: str,
    seed: int,
    device: str | None = None,
    trust: bool = False,
    track: str | None = None,
    *,
    patience: float = 0.0,
    place_of: Callable[[str], str] | None = None,
) -> int:
    """Carry out a run, and return the exit status.

    Args:
        folder: the study's.
        arm: of the run.
        seed: of the run.
        device: see `training.train`.
        trust: open checkpoints without the restricted loader.
        track: see `training.train`.
        patience: seconds to wait for a run that another process holds, which may have died with its machine.
        place_of: from a data.yaml to where it lies on this machine.
    """
    from frostline.errors import InputError, StoppedError
    from frostline.studies.claims import TakenError
    from frostline.studies.study import Study
    from frostline.training.record import AbandonedError

    try:
        study = Study.from_yaml(folder, trust=trust)
        ends = time.monotonic() + patience
        while True:
            await_claim(folder, f"{arm}/seed{seed}", ends)
            try:
                study.run_one(arm, seed, device=device, track=track, place_of=place_of)
                break
            except TakenError as error:
                if time.monotonic() >= ends:
                    raise AbandonedError(str(error)) from error
    except AbandonedError as error:
        logger.info("%s/seed%d is %s", arm, seed, error)
        return TAKEN
    except InputError as error:
        logger.error("error: %s", error)
        return BAD_INPUT
    except StoppedError as error:
        logger.error("error: %s", error)
        return FAILED
    except KeyboardInterrupt:
        logger.info("interrupted; what was finished is kept")
        return INTERRUPTED
    except Exception:
        logger.exception("%s/seed%d failed", arm, seed)
        return FAILED
    return FINISHED


def await_claim(folder: Path, label: str, ends: float) -> None:
    """Wait until nobody holds a run any longer, or until a time.

    Args:
        folder: the study's.
        label: `arm/seed0`.
        ends: by the monotonic clock.

    Raises:
        KeyboardInterrupt: somebody asked the study to stop.
    """
    from frostline.studies.claims import Claims

    claims = Claims(folder)
    cancelled = claims.cancelled_since()
    told = False
    while time.monotonic() < ends and (holder := claims.holder(label)) is not None:
        if not told:
            logger.info("%s is carried out by %s; waiting until it ends, or is seen to have died", label, holder)
            told = True
        if cancelled():
            raise KeyboardInterrupt("cancelled")
        time.sleep(LOOK_SECONDS)


def log_to_stdout() -> None:
    """Let what is said go to standard output, which is the run's log."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    for noisy in ("matplotlib", "numba", "PIL", "fontTools", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main(arguments: list[str] | None = None) -> int:
    """Carry out the run that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m frostline.studies.worker", description="Carry out one run.")
    parser.add_argument("folder", type=Path, help="the study's folder")
    parser.add_argument("arm")
    parser.add_argument("seed", type=int)
    parser.add_argument("--device")
    parser.add_argument("--trust-checkpoint", action="store_true")
    parser.add_argument("--track")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this process, which starts it, ends")
    given = parser.parse_args(arguments)
    # import costs seconds: a signal that arrives meanwhile ends it, too
    from frostline.training.stopping import stop_when_terminated, stop_with_parent

    stop_when_terminated()
    if given.with_parent is not None and not stop_with_parent(given.with_parent):
        return INTERRUPTED
    log_to_stdout()
    return work(given.folder, given.arm, given.seed, given.device, given.trust_checkpoint, given.track)


if __name__ == "__main__":
    sys.exit(main())
