#!/usr/bin/env python3
"""Chats with the official OpenAI client: against a model that says what it is told to (so that calls, reasoning and their streams
can be had), against the tiny model, and against the default model where it is there; and the commands that chat."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import openai

import support
from support import MODEL, run

HERE = pathlib.Path(__file__).resolve().parent
TEMPLATE = str(HERE / "agent_template.jinja")
SCRIPTED = os.environ["PEGA_SCRIPTED_SERVER"]
DEFAULT_MODEL = os.environ.get("PEGA_DEFAULT_MODEL", "")
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"{name} of a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
    for name in ("get_weather", "get_time")
]
CALLS = ('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>\n'
         '<tool_call>\n{"name": "get_time", "arguments": {"city": "Oslo", "utc": true}}\n</tool_call>')


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def client_of(url: str, kind=openai.OpenAI):
    return kind(base_url=url + "/v1", api_key="none", max_retries=0, timeout=60)


class Message:
    """What a client puts together from a stream's chunks."""

    def __init__(self):
        self.role, self.content, self.reasoning, self.finish, self.calls, self.tokens = None, "", "", None, {}, ""

    def add(self, choice) -> None:
        assert self.finish is None, "something after the end"
        delta = choice.delta
        self.role = self.role or delta.role
        self.content += delta.content or ""
        self.reasoning += getattr(delta, "reasoning_content", None) or ""
        for call in delta.tool_calls or []:
            known = self.calls.setdefault(call.index, {"id": call.id, "name": "", "arguments": ""})
            known["name"] += call.function.name or ""
            known["arguments"] += call.function.arguments or ""
        for entry in (choice.logprobs.content if choice.logprobs else None) or []:
            self.tokens += entry.token
        self.finish = choice.finish_reason


def put_together(stream, n: int = 1) -> list[Message]:
    messages = [Message() for _ in range(n)]
    for chunk in stream:
        for choice in chunk.choices:
            messages[choice.index].add(choice)
    return messages


class Scripted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = subprocess.Popen([SCRIPTED, TEMPLATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.url = cls.process.stdout.readline().strip()
        cls.client = client_of(cls.url)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.process.stdin.close()
        cls.process.wait(30)
        cls.process.stdout.close()

    def create(self, text, **fields):
        return self.client.chat.completions.create(model="fake-model", messages=user(text), **fields)

    def streamed(self, text, n=1, **fields):
        return put_together(self.create(text, stream=True, n=n, **fields), n)

    def test_plain(self):
        answer = self.create("Héllo 😀")
        self.assertEqual(answer.object, "chat.completion")
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        message = answer.choices[0].message
        self.assertEqual((message.role, message.content, message.tool_calls), ("assistant", "Héllo 😀", None))
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, 0)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)
        said = self.streamed("Héllo 😀")[0]
        self.assertEqual((said.role, said.content, said.finish), ("assistant", "Héllo 😀", "stop"))

    def test_async(self):
        async def ask():
            async with client_of(self.url, openai.AsyncOpenAI) as client:
                whole = client.chat.completions.create(model="fake-model", messages=user("one"))
                stream = await client.chat.completions.create(model="fake-model", messages=user("two"), stream=True)
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
                return (await whole).choices[0].message.content, text

        self.assertEqual(asyncio.run(ask()), ("one", "two"))

    def test_tool_calls(self):
        choice = self.create(CALLS, tools=TOOLS).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        calls = choice.message.tool_calls
        self.assertEqual([c.function.name for c in calls], ["get_weather", "get_time"])
        self.assertEqual([json.loads(c.function.arguments) for c in calls], [{"city": "Zürich"}, {"city": "Oslo", "utc": True}])
        self.assertEqual(len({c.id for c in calls}), 2)
        self.assertTrue(all(c.type == "function" for c in calls))

        said = self.streamed(CALLS, tools=TOOLS)[0]
        self.assertEqual(said.finish, "tool_calls")
        self.assertEqual([c["name"] for c in said.calls.values()], ["get_weather", "get_time"])
        self.assertEqual([c["arguments"] for c in said.calls.values()], [c.function.arguments for c in calls])

    def test_the_streaming_helper(self):
        with self.client.chat.completions.stream(model="fake-model", messages=user(CALLS), tools=TOOLS) as stream:
            done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
            final = stream.get_final_completion()
        self.assertEqual([e.name for e in done], ["get_weather", "get_time"])
        self.assertEqual(len(final.choices[0].message.tool_calls), 2)

    def test_an_agents_second_turn(self):
        first = self.create(CALLS, tools=TOOLS).choices[0].message
        messages = user(CALLS) + [first.model_dump(exclude_none=True)]
        messages += [{"role": "tool", "tool_call_id": c.id, "content": "42"} for c in first.tool_calls]
        messages += user("done")
        answer = self.client.chat.completions.create(model="fake-model", messages=messages, tools=TOOLS,
                                                     extra_body={"return_prompt_text": True})
        self.assertEqual(answer.choices[0].message.content, "done")
        self.assertIn('{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>', answer.prompt_text)
        self.assertIn("<tool_response>\n42\n</tool_response>", answer.prompt_text)

    def test_tool_choice(self):
        none = self.create(CALLS, tools=TOOLS, tool_choice="none").choices[0]
        self.assertEqual((none.message.content, none.finish_reason), (CALLS, "stop"))
        one = self.create(CALLS, tools=TOOLS, parallel_tool_calls=False).choices[0]
        self.assertEqual(len(one.message.tool_calls), 1)
        named = {"type": "function", "function": {"name": "get_time"}}
        choice = self.create(' {"city": "Rome"}}\n</tool_call>', tools=TOOLS, tool_choice=named).choices[0]
        self.assertEqual(choice.message.tool_calls[0].function.name, "get_time")
        self.assertEqual(json.loads(choice.message.tool_calls[0].function.arguments), {"city": "Rome"})
        required = self.streamed(' "get_time", "arguments": {"city": "Rome"}}\n</tool_call>', tools=TOOLS, tool_choice="required")[0]
        self.assertEqual(required.calls[0]["name"], "get_time")
        self.assertEqual(required.finish, "tool_calls")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create("x", tools=TOOLS, tool_choice={"type": "function", "function": {"name": "nope"}})
        self.assertEqual(caught.exception.param, "tool_choice")

    def test_reasoning(self):
        answer = self.create("<think>\nfirst\n</think>\n\nthen")
        message = answer.choices[0].message
        self.assertEqual(message.reasoning_content.strip(), "first")
        self.assertEqual(message.content.strip(), "then")
        self.assertGreater(answer.usage.completion_tokens_details.reasoning_tokens, 0)
        said = self.streamed("<think>\nfirst\n</think>\n\nthen" + CALLS, tools=TOOLS)[0]
        self.assertEqual((said.reasoning, said.content.strip()), (message.reasoning_content, "then"))
        self.assertEqual(len(said.calls), 2)

    def test_choices_stops_and_logprobs(self):
        answer = self.create("one two", n=2, stop=[" two"], logprobs=True, top_logprobs=3)
        self.assertEqual([c.message.content for c in answer.choices], ["one", "one"])
        self.assertEqual([c.index for c in answer.choices], [0, 1])
        self.assertEqual(answer.choices[0].stop_reason, " two")
        entry = answer.choices[0].logprobs.content[0]
        self.assertEqual((entry.token, entry.bytes, len(entry.top_logprobs)), ("o", [111], 3))
        said = self.streamed("one two", n=2, stop=[" two"], logprobs=True)
        self.assertEqual([(m.content, m.finish) for m in said], [("one", "stop")] * 2)
        self.assertTrue(said[0].tokens.startswith("one"))

    def test_usage_and_raw_response(self):
        chunks = list(self.create("abc", stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, 4)
        self.assertTrue(all(c.usage is None and len(c.choices) == 1 for c in chunks[:-1]))
        self.assertEqual(len({c.id for c in chunks}), 1)
        raw = self.client.chat.completions.with_raw_response.create(model="fake-model", messages=user("abc"))
        self.assertTrue(raw.headers["x-request-id"])
        self.assertEqual(raw.parse().choices[0].message.content, "abc")

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create([{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}])
        self.assertEqual(caught.exception.code, "unsupported_content")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.chat.completions.create(model="nope", messages=user("x"))
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create("x" * 70000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        self.assertIn("maximum context length", str(caught.exception))


class TinyModel(support.ServerCase):
    flags = ("--chat-template", TEMPLATE, "--served-model-name", "tiny", "*", "--max-model-len", "512")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = client_of(cls.server.url)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        super().tearDownClass()

    def test_stream_is_whole_and_repeats(self):
        for fields in ({"temperature": 0}, {"temperature": 1, "seed": 3, "n": 2}):
            fields = {"model": "whatever", "messages": user("Hello"), "max_completion_tokens": 24, **fields}
            whole = self.client.chat.completions.create(**fields)
            said = put_together(self.client.chat.completions.create(stream=True, **fields), fields.get("n", 1))
            self.assertEqual([c.message.content for c in whole.choices], [m.content for m in said])
            self.assertEqual(whole.model, "whatever")
            self.assertGreater(whole.usage.completion_tokens, 0)

    def test_the_prompt_is_cached(self):
        messages = [{"role": "system", "content": "be brief " * 20}] + user("Hi")
        first = self.client.chat.completions.create(model="tiny", messages=messages, max_tokens=4, temperature=0)
        again = self.client.chat.completions.create(model="tiny", messages=messages, max_tokens=4, temperature=0)
        self.assertEqual(first.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertGreater(again.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(first.choices[0].message.content, again.choices[0].message.content)

    def test_what_users_write_is_text(self):
        status, body = self.server.post("/tokenize", {"messages": user("a<|im_end|>b"), "return_token_strs": True})
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["token_strs"].count("<|im_end|>"), 1)  # the template's own
        status, body = self.server.post("/apply-template", {"messages": user("a<|im_end|>b")})
        self.assertEqual(json.loads(body)["prompt"], "<|im_start|>user\na<|im_end|>b<|im_end|>\n<|im_start|>assistant\n")

    def test_the_context_is_the_limit(self):
        answer = self.client.chat.completions.create(model="tiny", messages=user("Hi"), extra_body={"ignore_eos": True})
        self.assertEqual(answer.usage.total_tokens, 512)
        self.assertEqual(answer.choices[0].finish_reason, "length")


class Commands(unittest.TestCase):
    def test_template(self):
        request = {"messages": user("hi"), "tools": TOOLS[:1], "chat_template_kwargs": {"enable_thinking": False}}
        done = run("template", "--model", MODEL, "--chat-template", TEMPLATE, stdin=json.dumps(request))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"))
        self.assertIn('\n{"type": "function", "function": {"name": "get_weather"', done.stdout)
        ids = run("template", MODEL, "--chat-template", TEMPLATE, "--token-ids", stdin=json.dumps(request))
        self.assertGreater(len(json.loads(ids.stdout)), 10)
        for bad in ("{}", "[", '{"messages": [{"role": "wizard", "content": "x"}]}'):
            done = run("template", "--model", MODEL, "--chat-template", TEMPLATE, stdin=bad)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stdout, "")

    def test_flags_that_are_wrong(self):
        for flags, message in ((("--chat-template", "/no/such"), "--chat-template"), (("--chat-template", "{% if %}"), "--chat-template"),
                               (("--tool-call-parser", "nope"), "hermes"), (("--reasoning-parser", "nope"), "think"),
                               (("--default-chat-template-kwargs", "[]"), "JSON object"), (("--reasoning-field", "x"), "both")):
            done = run("template", MODEL, *flags, stdin=json.dumps({"messages": user("hi")}))
            self.assertEqual(done.returncode, 2, flags)
            self.assertIn(message, done.stderr)

    def test_generate_chat(self):
        common = ("--model", MODEL, "--threads", "1", "--max-tokens", "8", "--temperature", "0", "--json")
        done = run("generate", *common, "--chat", "--chat-template", TEMPLATE, "--system", "S", "-p", "Hello")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
        plain = run("generate", *common, "--no-special", "-p", text)
        self.assertEqual(json.loads(done.stdout)["prompt_token_ids"], json.loads(plain.stdout)["prompt_token_ids"])

    def test_chat_with_a_pipe(self):
        with tempfile.TemporaryDirectory() as folder:
            saved = pathlib.Path(folder) / "chat.json"
            lines = f'/system Be kind\nHello \\\nthere\n"""\ntwo\nlines\n"""\n/regenerate\n/save {saved}\n/nonsense\n/exit\nnever read\n'
            done = run("chat", MODEL, "--threads", "1", "--chat-template", TEMPLATE, "--max-tokens", "6", "--temperature", "0", stdin=lines)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("There is no command /nonsense", done.stdout)
            messages = json.loads(saved.read_text())["messages"]
        self.assertEqual([m["role"] for m in messages], ["system", "user", "assistant", "user", "assistant"])
        self.assertEqual([m["content"] for m in messages if m["role"] != "assistant"], ["Be kind", "Hello \nthere", "two\nlines"])


@unittest.skipUnless(os.path.exists(DEFAULT_MODEL), "the default model is not here")
class DefaultModel(unittest.TestCase):
    def test_it_knows_the_capital(self):
        with support.Server(model=DEFAULT_MODEL) as server, client_of(server.url) as client:
            answer = client.chat.completions.create(model=client.models.list().data[0].id, temperature=0, max_tokens=48,
                                                    messages=user("What is the capital of France?"))
            self.assertIn("Paris", answer.choices[0].message.content)
            self.assertEqual(answer.choices[0].finish_reason, "stop")


if __name__ == "__main__":
    unittest.main()
