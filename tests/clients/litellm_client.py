"""LiteLLM: text completion and chat, sync, streamed and async; its errors."""

import asyncio

import litellm
from server_under_test import BASE, MODEL, complete, has_chat

litellm.telemetry = False
PROMPT = "The capital of France is"
expected = complete(PROMPT, 12)
how = {"model": f"text-completion-openai/{MODEL}", "api_base": BASE, "api_key": "unused", "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
answer = litellm.text_completion(**how)
assert answer.choices[0].text == expected, answer
assert answer.usage.completion_tokens > 0
assert "".join(chunk.choices[0].text or "" for chunk in litellm.text_completion(**how, stream=True)) == expected
assert asyncio.run(litellm.atext_completion(**how)).choices[0].text == expected
try:
    litellm.text_completion(**(how | {"max_tokens": 100_000}))
    raise AssertionError("100,000 tokens were promised")
except (litellm.BadRequestError, litellm.ContextWindowExceededError):
    pass

if has_chat():
    talk = {"model": f"openai/{MODEL}", "api_base": BASE, "api_key": "unused", "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 16, "temperature": 0}
    text = litellm.completion(**talk).choices[0].message.content
    assert text
    assert "".join(chunk.choices[0].delta.content or "" for chunk in litellm.completion(**talk, stream=True)) == text
print(f"text completion, streams, async, errors{', chat' if has_chat() else '; no chat: it is not served'}")
