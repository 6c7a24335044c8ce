"""LangChain's OpenAI classes: invoke, stream, batch, and the chat model."""

from langchain_openai import ChatOpenAI, OpenAI
from server_under_test import BASE, MODEL, complete, has_chat

PROMPT = "The capital of France is"
expected = complete(PROMPT, 12)
llm = OpenAI(base_url=BASE, api_key="unused", model=MODEL, max_tokens=12, temperature=0)
assert llm.invoke(PROMPT) == expected
assert "".join(llm.stream(PROMPT)) == expected
assert llm.batch([PROMPT, PROMPT]) == [expected, expected]

if has_chat():
    chat = ChatOpenAI(base_url=BASE, api_key="unused", model=MODEL, max_tokens=16, temperature=0)
    answer = chat.invoke([("system", "You are brief."), ("human", "Say hello.")])
    assert answer.content and answer.usage_metadata["output_tokens"] > 0, answer
    streamed = "".join(chunk.content for chunk in chat.stream([("system", "You are brief."), ("human", "Say hello.")]))
    assert streamed == answer.content

    def get_time(city: str) -> str:
        """The time in a city."""
        return city

    with_tools = chat.bind_tools([get_time]).invoke("What time is it in Paris?")
    assert with_tools.content is not None
print(f"invoke, stream, batch{', chat and tools' if has_chat() else '; no chat: it is not served'}")
