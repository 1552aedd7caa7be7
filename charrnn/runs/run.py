"""A run on one page: claim its folder, decide what is open, record it, build its parts, and fit."""

from __future__ import annotations

import contextlib
import logging
import shlex
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf

from charrnn.data import find_training_data
from charrnn.errors import InputError, RunError, is_out_of_memory, make_write_error, to_one_line
from charrnn.files import relative_path
from charrnn.models.trained import TrainedModel
from charrnn.options.training import flatten
from charrnn.processors import keep_freed_memory
from charrnn.runs import building, decisions, endings, hardware, resume
from charrnn.runs import folder as folders
from charrnn.runs.ranks import World, detect_world, explain_lost, share
from charrnn.runs.result import Result
from charrnn.runs.result_file import ResultFile
from charrnn.training import TextDataModule, TrainingLog


@dataclass(frozen=True)
class Run:
    """A run from its command line to its last step. Rank 0 sends it to the other ranks.

    Attributes:
        config: the composed config, which `charrnn.decide` completes. It keeps the interpolations
            of conf/, so that its record does as well.
        folder: a new folder, or the resumed one.
        words: flags and overrides that start this run again, for its user to type, without
            ``hydra.*`` and ``resume=``; of a resumed run, the recorded ones and today's.
        given: the dotted options, and the groups, that these overrides set.
        choices: the choices of each config group.
        record: the record of the checkpoint from which the run resumes; None for a new run.
        begins_again: whether resume=auto has no checkpoint: the folder is new, or what an earlier
            try has left in it is removed.
        initial: the model of `init_from`, if the run starts at step 0.
    """

    config: DictConfig
    folder: Path
    words: Sequence[str] = ()
    given: Collection[str] = ()
    choices: Mapping[str, list[str]] = field(default_factory=dict)
    record: resume.Record | None = None
    begins_again: bool = False
    initial: TrainedModel | None = None

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint from which the run resumes; None if it starts at step 0."""
        return None if self.record is None else self.record.path

    @property
    def first_step(self) -> int:
        """The step of this checkpoint, or 0."""
        return 0 if self.record is None else self.record.step

    @property
    def hparams(self) -> dict[str, Any]:
        """The options that were given or decided, in this order, with their values."""
        # A resumed run has the words of its start, too. Those of flags have no value.
        words = (word.lstrip("+~").partition("=") for word in self.words if word[:1] != "-")
        given = {name: value for name, _, value in words}
        values = given | flatten(OmegaConf.to_container(self.config, resolve=True))
        names = dict.fromkeys((*given, *decisions.DECIDED))
        return {name: values[name] for name in names if name in values and name != "resume"}

    def explain_resume(self) -> str:
        """Return how to resume the run if it ended early: a command."""
        if not folders.is_run(self.folder):
            return "nothing was started" if self.folder.is_dir() else "the run's folder is gone"
        command = resume.repeat_command(self.words, self.folder)
        if folders.find_checkpoint(self.folder) is None:
            return f"there is no checkpoint yet; to start it again: {command}"
        # A record does not bring back what conf/ lacks: files of the user, additions, classes.
        if not any(word.startswith(("-", "+")) or "_target_=" in word for word in self.words):
            command = shlex.join(["charrnn", "train", f"resume={relative_path(self.folder)}"])
        return f"the run is saved; to resume it: {command}"


def train_run(run: Run) -> Result:
    """Train a run as rank 0, and return its result. A finished run is not trained again.

    InputError before the config is written means that no existing file is changed; later, of a part
    that cannot be made, that only .hydra/ is new. Other errors say how to resume.
    """
    world = detect_world()
    is_in_place = run.record is not None and run.record.folder == run.folder.resolve()
    may_hold_run = is_in_place or run.begins_again
    with folders.claim(run.folder, may_hold_run), endings.add_resume_hint(run):
        if run.record is not None and resume.is_finished(run.record, run.config):
            share(None)  # The other ranks have nothing to train.
            return share(endings.say_finished(run.record))
        run, data = decide_run(run)
        if run.begins_again:
            folders.remove_first_try(run.folder)
        config: Any = OmegaConf.to_container(run.config)
        folders.record(run.folder, config, run.words)
        result = fit(share(run), world, data)
        endings.say_result(result, endings.find_advice(run, data, result))
        return share(result)


def follow_run(world: World) -> Result:
    """Train as another rank, with the run of rank 0, and return the result of rank 0."""
    if (run := share()) is not None:
        with endings.add_resume_hint(run):
            fit(run, world)
    result: Result = share()
    return result


def decide_run(run: Run) -> tuple[Run, TextDataModule]:
    """Return the run with a decided config, and its data. Check that both fit its checkpoint."""
    config = run.config
    if run.initial is not None:
        config = decisions.adopt_architecture(config, run.initial, run.given)
    data = building.open_data(run)
    background = data.background_fingerprint  # This reads the texts, and refuses them early.
    config = decisions.decide(config, data)
    # The text of the model from which training starts, or has started, is counted too.
    earlier = {} if run.record is None else run.record.entry["earlier"]
    data.earlier = find_training_data(earlier if run.initial is None else run.initial.facts)
    if run.record is not None:
        num_processes = hardware.count_processes(config.trainer)
        resume.check_data(run.record, config, data, background, num_processes)
    return replace(run, config=config), data


def fit(run: Run, world: World, data: TextDataModule | None = None) -> Result:
    """Train until the end, a signal, or a failure. All ranks call this with the same run.

    A signal raises Interrupted, after the checkpoint is written.
    """
    keep_freed_memory()
    data, config = data or building.open_data(run), run.config
    with (
        _silence_libraries(),
        building.open_loggers(config, run.first_step) as loggers,
    ):
        module = building.build_module(config, data.vocabulary, world.rank)
        if run.initial is not None:
            module.load_initial(run.initial)
        # The log is first, because the other callbacks read the logged values.
        provenance = {"choices": dict(run.choices), "words": list(run.words)}
        log = TrainingLog(config, run.hparams, provenance)
        result_file = ResultFile(run, data)
        callbacks = [log, result_file, *building.build_callbacks(config)]
        trainer = building.build_trainer(config, callbacks, loggers, world.size)
        try:
            trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
        except Exception as error:
            if (explained := _explain_failure(error, run, trainer)) is None:
                raise
            raise explained from error
    return result_file.result


@contextlib.contextmanager
def _silence_libraries() -> Iterator[None]:
    """Hide the messages of Lightning from here on, and its and TensorBoard's warnings inside."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # print profiles
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning(\.|$)|torch\.utils\.tensorboard")
        warnings.filterwarnings("ignore", message=".*LeafSpec")  # of torch, about Lightning
        yield


def _explain_failure(error: Exception, run: Run, trainer: L.Trainer) -> Exception | None:
    """Return an error that says what only the run knows; None if it knows no more."""
    if lost := explain_lost(error):
        return lost
    if isinstance(error, OSError) and error.filename is None:
        return make_write_error(run.folder, error)
    # The first step uses the rest of a checkpoint, such as its counters.
    has_trained = run.checkpoint is None or trainer.global_step > run.first_step + 1
    if has_trained or isinstance(error, InputError | RunError | OSError) or is_out_of_memory(error):
        return None
    reason = to_one_line(error, with_type=True)
    return InputError(f"{run.checkpoint}: a run cannot resume from it ({reason})")
