"""Chat steps: their model and messages are checked, and the step fails when it runs (DAG format 1.30, 8)."""

from __future__ import annotations

from dagbook.spec.build.field import Field
from dagbook.spec.build.object_schema import Key, ObjectSchema, ParsedObject
from dagbook.spec.build.scalars import boolean, count, filled, number_up_to, one_of, text
from dagbook.spec.schemas import accepts, reference

_PROVIDERS = ("openai", "anthropic", "gemini", "openrouter", "local", "ollama", "vllm", "llama")
_ROLES = ("system", "user", "assistant", "tool")
_EFFORTS = ("low", "medium", "high", "xhigh")

# A row of these tables has one line, or its meaning on a second one.
# fmt: off
THINKING = ObjectSchema(
    "thinking",
    Key("enabled", boolean, True, "Whether the model thinks.", since="1.30"),
    Key("effort", one_of(_EFFORTS), "low", "low, medium, high or xhigh.", since="1.30"),
    Key("budgetTokens", count, 1024, "How much it thinks at most.", since="1.30"),
    Key("includeInOutput", boolean, False, "Whether the output has its thoughts.", since="1.30"),
)
LLM = ObjectSchema(
    "llm",
    Key("provider", one_of(_PROVIDERS), "openai", "openai, anthropic, gemini, openrouter or local.", since="1.30"),
    Key("model", text, "gpt-4o", "The model.", since="1.30"),
    Key("system", text, "You are brief.", "What the model is told first.", since="1.30"),
    Key("temperature", number_up_to(2), 0.2, "From 0 to 2.", since="1.30"),
    Key("maxTokens", count, 500, "The longest answer.", since="1.30"),
    Key("topP", number_up_to(1), 0.9, "From 0 to 1.", since="1.30"),
    Key("baseURL", text, "http://localhost:11434", "Address of the provider.", since="1.30"),
    Key("apiKeyName", text, "OPENAI_API_KEY", "The variable that has the key.", since="1.30"),
    Key("stream", boolean, False, "Whether the answer comes in parts.", since="1.30"),
    Key("thinking", THINKING.read, {"enabled": True, "effort": "low"},
        "Whether and how long the model thinks.", since="1.30"),
)
MESSAGE = ObjectSchema(
    "message",
    Key("role", one_of(_ROLES), "user", "system, user, assistant or tool.", since="1.30"),
    Key("content", filled, "Summarise ${ROWS}", "The text.", since="1.30"),
    required=("role", "content"),
)
# fmt: on


@accepts(reference("llm"))
def llm(field: Field) -> ParsedObject | None:
    """Read the model that the chat steps of a DAG use unless they have their own."""
    return LLM.read(field)


@accepts(reference("modelOfStep"))
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


@accepts({"type": "array", "items": reference("message"), "minItems": 1})
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
        for name in MESSAGE.required:
            if parsed is not None and name not in parsed.fields:
                item.refuse(f"this message has no {name}; add one")
    return len(field.value)
