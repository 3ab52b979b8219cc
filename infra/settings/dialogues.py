"""The recipe's section on dialogues that the language model writes from reports."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from infra.settings.sections import Route, Section, Share

DialogueRoute = Literal["converse", "request"]
"""Questions about a study's film with their answers, or a request for such a film to be drawn."""
ROUTE_OF_TASK: Final[dict[str, DialogueRoute]] = {"dialogue": "converse", "generate": "request"}
"""By a set's task, the route whose dialogues become its examples."""


class DialogueSettings(Section):
    """Which sources' reports become dialogues; the model and how it is asked are ``[reports]``'.

    ``versions`` are the text versions that are read, the first that a study has. ``share`` is the
    part of a source's subjects that is asked about on a route, always the same ones and all of a
    smaller share's. ``questions`` bounds a set. More failed checks than ``largest_failed_share``
    stop a piece.
    """

    routes: dict[str, tuple[DialogueRoute, ...]] = Field(default_factory=dict)
    versions: tuple[Route, ...] = Field(
        default=("structure", "keep", "translate", "synthesize"), min_length=1
    )
    questions: int = Field(default=5, ge=1, le=20)
    share: dict[DialogueRoute, Annotated[float, Field(gt=0.0, le=1.0)]] = Field(
        default_factory=dict
    )
    largest_failed_share: Share = 0.1

    @model_validator(mode="after")
    def _each_source_has_a_route(self) -> DialogueSettings:
        for name, routes in self.routes.items():
            if not routes or len(set(routes)) < len(routes):
                raise ValueError(f"dialogues.routes.{name} is empty or names a route twice")
        return self

    def share_of(self, route: DialogueRoute) -> float:
        """The part of the subjects that a route asks about."""
        return self.share.get(route, 1.0)
