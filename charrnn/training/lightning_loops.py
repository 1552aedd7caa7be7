"""Read and set what Lightning's training loops count: the only file that knows their insides.

Lightning has no public way to these four things, so a new version of it may break them. Each is
tested in tests/training/test_lightning_loops.py:

count_windows        the data module starts a resumed epoch at the next window
set_up_training_data a schedule asks for the number of steps before the first one
is_validation_due    a checkpoint is written after the validation of its step
set_progress         a resume continues at the same epoch, window and validation
"""

from __future__ import annotations

from typing import Any

import lightning as L


def count_windows(trainer: L.Trainer) -> tuple[int, int]:
    """Return the number of windows that were trained in this epoch, and in all epochs.

    The batches that a loader has yielded are another number: the last one may not be trained yet.
    """
    loop = trainer.fit_loop
    return loop.batch_idx + 1, loop.total_batch_idx + 1


def set_up_training_data(trainer: L.Trainer) -> None:
    """Request the training loader now, which sets the trainer's numbers of batches."""
    trainer.fit_loop.setup_data()


def is_validation_due(trainer: L.Trainer, epoch: int, window: int, total_windows: int) -> bool:
    """Return whether Lightning validates after `window` windows of `epoch`, counted from 0."""
    every_n_epochs = trainer.check_val_every_n_epoch
    skips_epoch = every_n_epochs is not None and (epoch + 1) % every_n_epochs
    if skips_epoch or not trainer.enable_validation:
        return False
    interval: Any = trainer.val_check_batch  # None if a time interval decides
    count = total_windows if every_n_epochs is None else window
    return bool(interval) and count % interval == 0


def set_progress(checkpoint: dict[str, Any], trainer: L.Trainer) -> None:
    """Set the progress counters in a checkpoint to their values in an uninterrupted run.

    Lightning saves a checkpoint after a window, after a validation, after an epoch or after a fit,
    and resumes differently from each. Some of its counters then differ from an uninterrupted run,
    and select another shuffle of the text at the next resume: a run that is stopped at the last
    batch of an epoch, resumed, stopped again and resumed again would end with other weights.

    Here, the counters depend only on the number of trained windows, in two cases: within an epoch,
    whose `on_train_epoch_end` Lightning still calls, or between two epochs.

    A count by charrnn could replace only the two numbers of windows that are read here. Only
    Lightning knows whether an epoch's end or a validation has run, and it resumes from these
    counters.
    """
    loops = checkpoint["loops"]["fit_loop"]
    epochs, windows = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
    validations = loops["epoch_loop.val_loop.batch_progress"]
    total_windows, window = (windows[name]["processed"] for name in ("total", "current"))
    # Lightning completes a window before it validates.
    saved_before_validation = windows["total"]["completed"] < total_windows
    started_epochs, is_last = epochs["total"]["started"], windows["is_last_batch"]
    # Lightning also counts an epoch as processed if fit ends before its last window.
    is_processed = epochs["total"]["processed"] == started_epochs
    is_between_epochs = is_processed and (is_last or not window)
    ended_epochs = started_epochs if is_between_epochs else started_epochs - 1
    if is_between_epochs:
        window, saved_before_validation, windows["is_last_batch"] = 0, False, False

    set_up_training_data(trainer)
    is_due = is_validation_due(trainer, ended_epochs, window, total_windows)
    for name in ("total", "current"):
        epochs[name].update(ready=started_epochs, started=started_epochs)
        epochs[name].update(processed=ended_epochs, completed=ended_epochs)
    _set_all(windows["total"], total_windows)
    _set_all(windows["current"], window)
    _set_all(validations["total"], 0)
    if is_due and saved_before_validation:
        # Lightning starts the validation that these counters describe as interrupted.
        validations["total"].update(ready=1, started=1)
        _set_all(validations["current"], 0)
    # Lightning counts a step after the validation. If one is due, the resume counts this step,
    # except between epochs if only max_epochs limits the training.
    counts_again = is_due and not (is_between_epochs and trainer.max_steps == -1)
    has_stepped = is_last or window % trainer.accumulate_grad_batches == 0
    steps = checkpoint["global_step"] - (counts_again and has_stepped)
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = steps


def _set_all(counts: dict[str, int], value: int) -> None:
    counts.update(dict.fromkeys(counts, value))
