"""Windows that grow with the training."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from torch.nn import functional as F

from charrnn import LanguageModel
from charrnn.errors import InputError, RunError
from charrnn.text.vocabulary import Vocabulary
from charrnn.training.callbacks import GrowingWindows


def module_and_ids() -> tuple[LanguageModel, torch.Tensor]:
    """A module in float64, and the ids (3, 11) of a window of 10."""
    torch.manual_seed(1)
    vocabulary = Vocabulary.from_tokens(list("abcdefg"))
    module = LanguageModel(vocabulary, embedding_size=5, hidden_size=6).double()
    return module, torch.randint(7, (3, 11))


def test_pieces_grow_along_a_line_until_they_are_whole() -> None:
    growing = GrowingWindows(first=4, steps=6)
    lengths = []
    for growing.step in range(9):
        lengths.append(growing.length(10))
    assert lengths == [4, 5, 6, 7, 8, 9, 10, 10, 10]
    assert growing.length(3) == 3


@pytest.mark.parametrize("length", [1, 4, 5, 10, 64])
def test_it_is_backpropagation_that_is_cut(length: int) -> None:
    """The loss of all characters, whose gradient stops at each piece's beginning."""
    (found, ids), (expected, _) = module_and_ids(), module_and_ids()
    GrowingWindows(first=length).on_fit_start(L.Trainer(logger=False), found)
    loss, _ = found.window_loss(found.network, ids[:, :-1], ids[:, 1:], None)
    loss.backward()
    state, losses = None, []
    for t in range(10):
        if state is not None and t % length == 0:
            state = [tuple(part.detach() for part in layer) for layer in state]
        logits, state = expected(ids[:, t : t + 1], state)
        losses.append(F.cross_entropy(logits[:, 0], ids[:, t + 1]))
    torch.stack(losses).mean().backward()
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_module_is_as_before_when_a_training_has_failed() -> None:
    module, _ = module_and_ids()
    trainer, growing = L.Trainer(logger=False), GrowingWindows()
    growing.on_fit_start(trainer, module)
    growing.on_exception(trainer, module, RunError("diverged"))
    growing.on_exception(trainer, module, RunError("before it began"))
    assert module.window_loss == LanguageModel.window_loss.__get__(module)


@pytest.mark.parametrize("wrong", [{"first": 0}, {"steps": 0}])
def test_no_pieces_of_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"^callbacks.growing: first and steps must be 1 or more"):
        GrowingWindows(**wrong)
