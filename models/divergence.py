"""When a stage is past saving: a loss that is no number, or one that has left for good."""

from __future__ import annotations

import math

from infra.errors import CxrError

HORIZON = 20
"""Steps that the running mean looks back (exponential), and the length of the beginning that it is
held against. Our choice: a batch's loss scatters, its mean over 20 steps hardly (see FAR)."""
FAR = 1.5
"""Times its best that a running mean counts as far away. Our choice: on the recorded curves of the
demo's four stages no running mean is ever above 1.05 times its best so far."""
FAR_NATS = 0.5
"""And so much above its best, since small losses scatter more in proportion. Our choice: a loss per
token or per pair that gives this back has forgotten a factor of e^0.5 in probability."""
PATIENCE = 100
"""Steps in a row that it must stay there. Our choice: loss spikes that heal do so within tens of
steps; a hundred lost ones are a few percent of a stage at the paper's scale."""


class Diverged(CxrError):
    """The loss is no longer a number, or far above what it was and stays there."""


class LossWatch:
    """Follows one stage's loss, step by step; on every rank alike."""

    def __init__(self, stage: str, learning_rate: float) -> None:
        self.stage, self.learning_rate = stage, learning_rate
        self.count = self.far_for = 0
        self.mean = self.first = 0.0
        self.best, self.best_step = math.inf, 0

    def follow(self, step: int, loss: float, gradient_norm: float = 0.0) -> None:
        """Take the loss of one step, in nats, and the norm of its gradient.

        Raises:
            Diverged: either is no number, or the loss's running mean has been far above its best
                for PATIENCE steps: also above what it was in the beginning, so that all that was
                learned is lost.
        """
        self.require_number("loss", loss, step)
        self.require_number("gradient's norm", gradient_norm, step)
        self.count += 1
        self.mean += (loss - self.mean) / min(self.count, HORIZON)
        if self.count <= HORIZON:
            self.first = self.mean
            return
        if self.mean < self.best:
            self.best, self.best_step = self.mean, step
        limit = max(self.first, FAR * self.best, self.best + FAR_NATS)
        self.far_for = self.far_for + 1 if self.mean > limit else 0
        if self.far_for >= PATIENCE:
            raise Diverged(
                f"stage {self.stage}: the loss has diverged: {self.mean:.3g} on average at step "
                f"{step}, {self.best:.3g} at step {self.best_step}; {self._advice()}"
            )

    def require_number(self, what: str, value: float, step: int) -> None:
        """A value that must be finite.

        Raises:
            Diverged: it is not.
        """
        if not math.isfinite(value):
            raise Diverged(
                f"stage {self.stage}: the {what} is {value} at step {step}; {self._advice()}"
            )

    def _advice(self) -> str:
        return f"lower the stage's learning_rate ({self.learning_rate:g}) or lengthen its warmup"
