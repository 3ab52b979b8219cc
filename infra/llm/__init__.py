"""The one door to language models: requests in, validated answers out, nothing paid twice.

endpoint    where, and what its operator guarantees
request     what is asked, its identity, and what comes back
cache       every paid answer, by the request's hash
audit       what left, when and where to; never the text
prices      dated prices per model
transport   one HTTP exchange over the openai package, its failures sorted
batch       large jobs through the Batch API: rule, state, lines, remote and job
client      many requests: egress check, replay, bounded concurrency, retries, accounting
"""

from __future__ import annotations

from infra.llm.batch_rule import BatchRule
from infra.llm.client import Client, Limits, Usage, raise_unreached
from infra.llm.endpoint import Endpoint
from infra.llm.request import Answer, AnswerStatus, ChatRequest, Message

__all__ = [
    "Answer",
    "AnswerStatus",
    "BatchRule",
    "ChatRequest",
    "Client",
    "Endpoint",
    "Limits",
    "Message",
    "Usage",
    "raise_unreached",
]
