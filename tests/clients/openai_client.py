"""The official client: sync, async, streaming, raw responses, errors."""

import asyncio

import openai
from server_under_test import BASE, MODEL, complete, has_chat

PROMPT = "The capital of France is"
TOOL = {"type": "function", "function": {"name": "get_time", "description": "The time in a city",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def sync(client: openai.OpenAI, expected: str) -> None:
    assert [m.id for m in client.models.list().data] == [MODEL]
    whole = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=12, temperature=0, logprobs=3)
    assert whole.choices[0].text == expected, whole
    assert len(whole.choices[0].logprobs.tokens) == whole.usage.completion_tokens
    stream = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(c.choices[0].text for c in chunks if c.choices) == expected
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    raw = client.completions.with_raw_response.create(model=MODEL, prompt=PROMPT, max_tokens=1)
    assert raw.headers["x-request-id"] and raw.parse().choices
    try:
        client.completions.create(model="none", prompt=PROMPT)
        raise AssertionError("an unknown model was served")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error


async def concurrently(expected: str) -> None:
    async with openai.AsyncOpenAI(base_url=BASE, api_key="unused") as client:
        ask = [client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=12, temperature=0) for _ in range(4)]
        assert [answer.choices[0].text for answer in await asyncio.gather(*ask)] == [expected] * 4


def chat(client: openai.OpenAI) -> None:
    messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
    whole = client.chat.completions.create(model=MODEL, messages=messages, max_completion_tokens=16, temperature=0, logprobs=True, top_logprobs=2)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].logprobs.content[0].top_logprobs
    stream = client.chat.completions.create(model=MODEL, messages=messages, max_completion_tokens=16, temperature=0, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == text
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL], tool_choice="auto", max_completion_tokens=32)
    assert answer.choices[0].finish_reason in ("stop", "length", "tool_calls")


with openai.OpenAI(base_url=BASE, api_key="unused", max_retries=0) as the_client:
    text = complete(PROMPT, 12)
    sync(the_client, text)
    asyncio.run(concurrently(text))
    if has_chat():
        chat(the_client)
print(f"completions, streams, raw responses, errors{', chat and tools' if has_chat() else '; no chat: it is not served'}")
