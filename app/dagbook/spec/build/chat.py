"""Chat steps: their model and messages are checked, and the step fails when it runs (DAG format 1.30, 8)."""

from __future__ import annotations

from typing import Any

from dagbook.spec.build.field import Field, describe
from dagbook.spec.build.object_schema import ObjectSchema, ParsedObject, Reader
from dagbook.spec.build.scalars import boolean, integer, is_number, text

PROVIDERS = ("openai", "anthropic", "gemini", "openrouter", "local", "ollama", "vllm", "llama")
ROLES = ("system", "user", "assistant", "tool")
EFFORTS = ("low", "medium", "high", "xhigh")


def _one_of(words: tuple[str, ...]) -> Reader:
    def read(field: Field) -> str | None:
        found = text(field)
        if found is None or found in words:
            return found
        field.refuse(f"must be {', '.join(words[:-1])} or {words[-1]}, not {describe(found)}")
        return None

    return read


def _number_up_to(most: int) -> Reader:
    def read(field: Field) -> float | None:
        value = field.value
        if is_number(value) and 0 <= value <= most:
            return float(value)
        field.expect(f"a number from 0 to {most}")
        return None

    return read


def _count(field: Field) -> int | None:
    number = integer(field)
    if number is not None and number < 1:
        field.refuse(f"must be 1 or more, not {number}")
        return None
    return number


def _thinking(field: Field) -> dict[str, Any] | None:
    parsed = THINKING.read(field)
    return None if parsed is None else parsed.values


def _filled(field: Field) -> str | None:
    found = text(field)
    if found is not None and not found.strip():
        field.refuse("is empty; write what the model is to read")
        return None
    return found


THINKING = ObjectSchema(
    {
        "enabled": ("enabled", boolean),
        "effort": ("effort", _one_of(EFFORTS)),
        "budgetTokens": ("budget_tokens", _count),
        "includeInOutput": ("include_in_output", boolean),
    },
)
LLM = ObjectSchema(
    {
        "provider": ("provider", _one_of(PROVIDERS)),
        "model": ("model", text),
        "system": ("system", text),
        "temperature": ("temperature", _number_up_to(2)),
        "maxTokens": ("max_tokens", _count),
        "topP": ("top_p", _number_up_to(1)),
        "baseURL": ("base_url", text),
        "apiKeyName": ("api_key_name", text),
        "stream": ("stream", boolean),
        "thinking": ("thinking", _thinking),
    },
)
MESSAGE = ObjectSchema({"role": ("role", _one_of(ROLES)), "content": ("content", _filled)})


def llm(field: Field) -> ParsedObject | None:
    """Read the model that the chat steps of a DAG use unless they have their own."""
    return LLM.read(field)


def step_llm(field: Field) -> ParsedObject | None:
    """Read the model of one step, which replaces that of the DAG as a whole."""
    parsed = LLM.read(field)
    if parsed is not None:
        require_model(field, parsed)
    return parsed


def require_model(field: Field, parsed: ParsedObject) -> None:
    """Report a model without provider or name."""
    for name in ("provider", "model"):
        if not parsed.values.get(name) and not parsed.refused(name):
            field.refuse(f"has no {name}; add one")


def messages(field: Field) -> int | None:
    """Read the messages of a chat step and return their number."""
    if not isinstance(field.value, list):
        field.expect("a list of messages with role and content")
        return None
    if not field.value:
        field.refuse("is empty; a chat step needs at least one message")
        return None
    for item in field.items():
        parsed = MESSAGE.read(item)
        for name in ("role", "content"):
            if parsed is not None and name not in parsed.fields:
                item.refuse(f"this message has no {name}; add one")
    return len(field.value)
