"""The rivals' side of the language-model measurements, run in their own environments.

    python -m tests.bench.llm_rivals FOLDER

reads ``order.json`` there (``tests.bench.llm_beside`` writes it) and writes ``result.json``. Each
rival asks the same questions at its best setting: concurrency as ordered, nothing else that
limits it, as many tries as it takes; its own files, checks and progress lines included.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

UNLIMITED_A_MINUTE = 1_000_000
"""Requests; far more than any server here admits."""
UNLIMITED_TOKENS_A_MINUTE = 10**10
TRIES = 1000
MODEL = "gpt-4o-mini"
"""A name that their tables know as one that takes JSON schemas; the servers here take any."""

Order = dict[str, Any]
"""``rival``, ``url``, ``concurrency``, ``limits_told`` (whether the server's headers tell them)
and what is asked: ``messages`` before the last, ``warm_up`` and ``questions`` (the last ones),
``options`` of the body, ``keys`` that an answer must have."""
Answers = list[str | None]
Run = Callable[[list[str]], Answers]


def curator(order: Order, folder: Path) -> Run:
    """bespokelabs-curator with its openai backend; it retries, and keeps all in a new folder."""
    from bespokelabs import curator
    from pydantic import BaseModel

    class Report(BaseModel):
        """The answer's shape, for the check that it makes of each answer."""

        indication: str | None
        technique: str | None
        comparison: str | None
        findings: str | None
        impression: str | None

    class Translator(curator.LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, str]) -> list[dict[str, str]]:
            return [*order["messages"], {"role": "user", "content": row["question"]}]

        def parse(self, row: dict[str, str], answer: Report) -> dict[str, str]:
            return {"question": row["question"], "answer": answer.model_dump_json()}

    limits = {
        "max_requests_per_minute": UNLIMITED_A_MINUTE,
        "max_tokens_per_minute": UNLIMITED_TOKENS_A_MINUTE,
    }
    translator = Translator(
        model_name=MODEL,
        backend="openai",
        response_format=Report,
        generation_params=order["options"],
        backend_params={
            "max_concurrent_requests": order["concurrency"],
            "max_retries": TRIES,
            "require_all_responses": False,
            **({} if order["limits_told"] else limits),
        },
    )

    def run(questions: list[str]) -> Answers:
        found = translator(
            [{"question": question} for question in questions], working_dir=str(folder)
        )
        return [row["answer"] for row in found.dataset]

    return run


def litellm(order: Order, folder: Path) -> Run:
    """litellm's asynchronous call in a bare loop, its own retries; nothing is kept."""
    import litellm

    options = {"model": f"openai/{MODEL}", "api_base": order["url"], "api_key": "k"}

    async def ask(question: str, slots: asyncio.Semaphore) -> str:
        messages = [*order["messages"], {"role": "user", "content": question}]
        async with slots:
            reply = await litellm.acompletion(
                messages=messages, num_retries=TRIES, **options, **order["options"]
            )
        return str(reply.choices[0].message.content)

    async def ask_all(questions: list[str]) -> Answers:
        slots = asyncio.Semaphore(order["concurrency"])
        return list(await asyncio.gather(*(ask(question, slots) for question in questions)))

    loop = asyncio.new_event_loop()
    return lambda questions: loop.run_until_complete(ask_all(questions))


def data_designer(order: Order, folder: Path) -> Run:
    """NeMo Data Designer: a text column, since its structured one adds words to the question.

    It sends one system and one user message: the examples stand in the system's.
    """
    import data_designer.config as dd
    import pandas
    from data_designer.interface import DataDesigner

    shared = "\n\n".join(f"{item['role']}: {item['content']}" for item in order["messages"])
    designer = DataDesigner(
        artifact_path=folder,
        model_providers=[dd.ModelProvider(name="here", endpoint=order["url"], api_key="k")],
    )
    model = designer_model(order)
    column = dd.LLMTextColumnConfig(
        name="answer",
        prompt="{{ '{' }}{{ rest }}",  # a whole JSON text would be read and shown as a dict
        system_prompt="{% raw %}" + shared + "{% endraw %}",
        model_alias="model",
    )

    def run(questions: list[str]) -> Answers:
        designer.set_run_config(
            dd.RunConfig(
                disable_early_shutdown=True,
                buffer_size=len(questions),
                max_conversation_restarts=TRIES,
                otel_metrics_port=None,
            )
        )
        frame = pandas.DataFrame({"rest": [question.removeprefix("{") for question in questions]})
        builder = dd.DataDesignerConfigBuilder(model_configs=[model])
        builder.with_seed_dataset(dd.DataFrameSeedSource(df=frame))
        builder.add_column(column)
        made = designer.create(builder, num_records=len(questions))
        return list(made.load_dataset()["answer"])

    return run


def designer_model(order: Order) -> Any:
    """Data Designer's model: our body's options, our concurrency."""
    import data_designer.config as dd

    body = dict(order["options"])
    parameters = dd.ChatCompletionInferenceParams(
        temperature=body.pop("temperature"),
        max_tokens=body.pop("max_tokens"),
        max_parallel_requests=order["concurrency"],
        extra_body=body,
    )
    return dd.ModelConfig(
        alias="model",
        model=MODEL,
        provider="here",
        inference_parameters=parameters,
        skip_health_check=True,
    )


RIVALS = {"curator": curator, "litellm": litellm, "data-designer": data_designer}


def use_shipped_vocabulary() -> None:
    """Point tiktoken at the vocabulary that litellm ships, which it would else download."""
    package = importlib.util.find_spec("litellm")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("litellm is not here: this runs in a rival's own environment")
    place = Path(package.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(place)


def fits(answer: str | None, keys: Iterable[str]) -> bool:
    """Whether an answer is a JSON object with just these keys."""
    if answer is None:
        return False
    try:
        found = json.loads(answer)
    except ValueError:
        return False
    return isinstance(found, dict) and set(found) == set(keys)


def main() -> None:
    folder = Path(sys.argv[1])
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    use_shipped_vocabulary()
    run = RIVALS[order["rival"]](order, folder)
    run(order["warm_up"])
    begun_at, started, cpu = time.time(), time.perf_counter(), time.process_time()
    answers = run(order["questions"])
    seconds = time.perf_counter() - started
    result = {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "start": begun_at,
        "end": begun_at + seconds,
        "kept": sum(fits(answer, order["keys"]) for answer in answers),
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
