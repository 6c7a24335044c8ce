#!/usr/bin/env python3
"""Chat templates of real models, rendered by the engine's interpreter and by Jinja2 as transformers sets it up: the bytes are
the same, and where one fails both do. What the request brought is marked as untrusted in the engine's text.

Usage: templates_test.py PROBE FOLDER...      PROBE is template_probe, FOLDERs hold *.jinja (tools/fetch_templates.sh)
       templates_test.py --cases FILE         is what jinja_cases.json expects what Jinja2 gives?
       --verbose shows every difference. Exit 77: there are no templates, nothing was tested.
"""

from __future__ import annotations

import copy
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ["TZ"] = "UTC"
time.tzset()

import jinja2  # noqa: E402
import jinja2.ext  # noqa: E402
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: E402

NOW = 1767345678
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
TAG = "CONTINUE_FINAL_MESSAGE_TAG "
REASONING = ("reasoning_content", "thinking", "reasoning")
# Around everything that the conversations say, and in no template.
OPEN, CLOSE = "\u27e6", "\u27e7"


class Generation(jinja2.ext.Extension):
    """{% generation %}: its body, as a call block."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    """transformers': no attribute begins with an underscore."""

    def __init__(*args, **kwargs):  # noqa: N805: so that namespace(self=1) works
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(args[0], attributes)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


class Raised(jinja2.exceptions.TemplateError):
    pass


def environment() -> ImmutableSandboxedEnvironment:
    """What transformers' apply_chat_template renders in (utils/chat_template_utils.py)."""
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise Raised(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(form):
        return datetime.datetime.fromtimestamp(NOW).strftime(form)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    env.globals["namespace"] = Namespace
    return env


ENV = environment()


def prepared(messages: list, form: str) -> list:
    """What the server makes of a request's messages before the template sees them (src/chat/messages.h)."""
    out = []
    for message in copy.deepcopy(messages):
        message = {k: v for k, v in message.items() if v is not None or k == "content"}
        content = message.get("content")
        if form == "string" and isinstance(content, list) and all("text" in part for part in content):
            message["content"] = "\n".join(part["text"] for part in content)
        if form == "parts" and isinstance(content, str):
            message["content"] = [{"type": "text", "text": content}]
        for call in message.get("tool_calls", []):
            arguments = call["function"].get("arguments")
            if isinstance(arguments, str):
                try:
                    parsed = json.loads(arguments) if arguments.strip() else {}
                except ValueError:
                    parsed = None
                if isinstance(parsed, dict):
                    call["function"]["arguments"] = parsed
        found = next((message[k] for k in REASONING if k in message), None)
        if found is not None:
            for key in REASONING:
                message.setdefault(key, found)
        out.append(message)
    return out


def reference(template: jinja2.Template, conversation: dict, form: str) -> str:
    messages = prepared(conversation["messages"], form)
    continued = None
    if conversation.get("continue_final_message"):
        content = messages[-1].get("content")
        if content is None:
            raise ValueError("nothing to continue")
        if isinstance(content, list):
            part = [part for part in content if "text" in part][-1]
            continued = part["text"]
            part["text"] += TAG
        else:
            continued = content
            messages[-1]["content"] += TAG
    variables = {**SPECIAL_TOKENS, **conversation.get("kwargs", {})}
    text = template.render(
        messages=messages, tools=conversation.get("tools"), documents=conversation.get("documents"),
        add_generation_prompt=conversation.get("add_generation_prompt", True), **variables)
    if continued is not None:
        if continued.strip() not in text or TAG.strip() not in text:
            raise ValueError("the final message does not appear")
        at = text.rindex(TAG.strip())
        text = text[:at] if text[at:at + len(TAG)] == TAG else text[:at].rstrip()
    return text


def say(text: str) -> str:
    return OPEN + text + CLOSE


def conversations() -> dict[str, dict]:
    def user(text):
        return {"role": "user", "content": say(text)}

    def assistant(text, **more):
        return {"role": "assistant", "content": say(text), **more}

    system = {"role": "system", "content": say("You are a careful assistant.")}
    weather = {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city, \"now\" & later",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "The city's name"},
            "days": {"type": "integer", "default": 1},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "places": {"type": "array", "items": {"type": "object", "properties": {"lat": {"type": "number"}}}}},
            "required": ["city"]}}}
    clock = {"type": "function", "function": {
        "name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}
    tools = [weather, clock]

    def call(name, arguments, ident="call00001"):
        return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}

    rainy = call("get_weather", json.dumps({"city": say("Zürich"), "days": 2, "exact": True, "none": None, "x": 1.5}))
    result = {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": say('{"temp": 21.5}')}
    second = {"role": "tool", "tool_call_id": "call00002", "name": "now", "content": say("12:00")}
    odd = "  \n\t\"quotes\" 'single' <b>&amp; \\n \u00fc\u4f60\u597d \U0001f600 {{ x }} {% y %} <|im_end|> </s> <think>a</think> [INST] \n\n "
    names = {
        "one": {"messages": [user("Hello!")]},
        "no_prompt": {"messages": [user("Hello!")], "add_generation_prompt": False},
        "system": {"messages": [system, user("Hello!")]},
        "turns": {"messages": [system, user("1+1?"), assistant("2"), user("and\nnow?"), assistant("  3 "), user("ok")]},
        "ends_with_assistant": {"messages": [user("a"), assistant("b")], "add_generation_prompt": False},
        "tools": {"messages": [system, user("Rain?")], "tools": tools},
        "tools_without_system": {"messages": [user("Rain?")], "tools": [weather]},
        "tool_call": {"messages": [user("Rain?"), {"role": "assistant", "content": None, "tool_calls": [rainy]}, result],
                      "tools": tools},
        "tool_call_text": {"messages": [system, user("Rain?"), assistant("I look.", tool_calls=[rainy]), result,
                                        assistant("No."), user("Thanks")], "tools": tools},
        "parallel_calls": {"messages": [
            user("Rain? Time?"), {"role": "assistant", "content": "", "tool_calls": [rainy, call("now", "{}", "call00002")]},
            result, second], "tools": tools},
        "arguments_broken": {"messages": [user("x"), {"role": "assistant", "content": "", "tool_calls": [
            call("now", say("not json"))]}, second], "tools": tools},
        "arguments_nested": {"messages": [user("x"), {"role": "assistant", "content": "", "tool_calls": [
            call("now", json.dumps({"a": {"b": [1, 2, {"c": say("d")}]}, "e": [], "f": {}, "g": -0.0, "h": 1e22}))]}, second,
            user("y")], "tools": tools},
        "reasoning": {"messages": [user("1+1?"), assistant("2", reasoning_content=say("one and one")), user("2+2?"),
                                   assistant("4", reasoning=say("two and two")), user("and?")]},
        "reasoning_tool": {"messages": [user("Rain?"), {"role": "assistant", "content": "", "reasoning_content": say("hm"),
                                                        "tool_calls": [rainy]}, result], "tools": tools},
        "reasoning_inline": {"messages": [user("1+1?"), {"role": "assistant", "content": "<think>\nhm\n</think>\n\n2"},
                                          user("2+2?")]},
        "thinking_on": {"messages": [user("Hello!")],
                        "kwargs": {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"}},
        "thinking_off": {"messages": [system, user("Hello!"), assistant("x", reasoning=say("r")), user("y")],
                         "kwargs": {"enable_thinking": False, "thinking": False, "reasoning_effort": "low"}},
        "empty": {"messages": [{"role": "user", "content": ""}]},
        "empty_system": {"messages": [{"role": "system", "content": ""}, user("a"), {"role": "assistant", "content": ""},
                                      user("b")]},
        "null_content": {"messages": [user("a"), {"role": "assistant", "content": None}, user("b")]},
        "odd": {"messages": [{"role": "system", "content": odd}, {"role": "user", "content": odd},
                             {"role": "assistant", "content": odd}, {"role": "user", "content": odd}]},
        "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": say("one")},
                                                            {"type": "text", "text": say("two")}]}]},
        "parts_turns": {"messages": [{"role": "system", "content": [{"type": "text", "text": say("sys")}]}, user("a"),
                                     {"role": "assistant", "content": [{"type": "text", "text": say("b")}]}, user("c")]},
        "continued": {"messages": [system, user("Count."), assistant("One, two")], "add_generation_prompt": False,
                      "continue_final_message": True},
        "continued_spaces": {"messages": [user("Count."), {"role": "assistant", "content": "One, two,  "}],
                             "add_generation_prompt": False, "continue_final_message": True},
        "documents": {"messages": [user("Who?")], "documents": [
            {"doc_id": 1, "title": say("A"), "text": say("alpha"), "contents": say("alpha")},
            {"doc_id": 2, "title": say("B"), "text": say("beta\nlines"), "contents": say("beta")}]},
        "documents_tools": {"messages": [system, user("Who?")], "tools": tools,
                            "documents": [{"title": say("A"), "text": say("alpha")}]},
        "developer": {"messages": [{"role": "developer", "content": say("Be brief.")}, user("Hello!")]},
        "two_systems": {"messages": [system, system, user("Hello!")]},
        "two_users": {"messages": [user("a"), user("b")]},
        "odd_role": {"messages": [user("a"), {"role": say("ghost"), "content": say("b")}]},
        "no_messages": {"messages": []},
        "date": {"messages": [user("Which day?")], "kwargs": {"date_string": say("1 Jan 2026")}},
        "kwargs": {"messages": [system, user("Hi")], "tools": tools, "kwargs": {
            "tools_in_user_message": False, "builtin_tools": ["brave_search", "code_interpreter"], "keep_past_thinking": True,
            "add_vision_id": True, "truncate_history_thinking": False, "clear_thinking": False,
            "preserve_thinking": True, "model_identity": say("I am a test."), "safety_mode": "STRICT"}},
        "long": {"messages": [system] + [m for i in range(12) for m in (user(f"q{i}"), assistant(f"a{i}"))] + [user("end")]},
    }
    return names


class Probe:
    def __init__(self, path: str):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, template: pathlib.Path, conversation: dict) -> dict:
        request = {"template": str(template), "special_tokens": SPECIAL_TOKENS, "add_generation_prompt": True,
                   "continue_final_message": False, "now": NOW, **conversation}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"template_probe died (exit {self.process.wait()}) at {template}")
        return json.loads(line)


def content_form(template: jinja2.Template | None, wants_parts: bool) -> str:
    """A template that iterates over content gets it as it came, unless it shows nothing of a string."""
    if not wants_parts or template is None:
        return "string"

    def shows(form):
        try:
            return "needle" in reference(template, {"messages": [{"role": "user", "content": "needle"}]}, form)
        except Exception:  # noqa: BLE001: whatever a template raises
            return False

    return "any" if shows("any") or not shows("parts") else "parts"


def unmarked(answer: dict) -> str:
    """What the request brought and the engine takes for the template's own; "" when there is nothing."""
    data = answer["text"].encode()
    trusted, at = [], 0
    for begin, end in answer["untrusted"]:
        if begin < at or end <= begin or end > len(data):
            return f"the spans are not in order: {answer['untrusted']}"
        trusted.append(data[at:begin])
        at = end
    trusted.append(data[at:])
    for piece in trusted:
        text = piece.decode()
        if OPEN in text or CLOSE in text:
            return text
    return ""


def compare(template: jinja2.Template | None, conversation: dict, form: str, answer: dict) -> tuple[str, str]:
    """("same" | "both err" | "different", what differs)"""
    try:
        if template is None:
            raise jinja2.TemplateSyntaxError("does not compile", 1)
        expected, error = reference(template, conversation, form), None
    except Exception as e:  # noqa: BLE001
        expected, error = None, e
    if error is not None:
        if "error" not in answer:
            return "different", f"jinja2 fails ({type(error).__name__}: {error}), the engine does not"
        if isinstance(error, Raised) and str(error) not in answer["error"]:
            return "different", f"raised {error!s}, the engine says {answer['error']}"
        return "both err", ""
    if "error" in answer:
        return "different", f"the engine fails: {answer['error']}"
    if answer["text"] != expected:
        return "different", f"expected {expected!r}\n      got      {answer['text']!r}"
    left = unmarked(answer)
    return ("different", f"not marked as untrusted: {left!r}") if left else ("same", "")


def check_cases(path: str) -> int:
    """The table that jinja_test.cpp holds the interpreter to: [source, what it renders to or null for an error]."""
    table = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    wrong = 0
    for source, expected in table["cases"]:
        try:
            text = ENV.from_string(source).render(**copy.deepcopy(table["context"]))
        except Exception:  # noqa: BLE001
            text = None
        if text != expected:
            wrong += 1
            print(f"{source!r}: the table has {expected!r}, Jinja2 gives {text!r}")
    print(f"{len(table['cases'])} cases, {wrong} of them wrong")
    return 1 if wrong else 0


def main() -> int:
    if sys.argv[1:2] == ["--cases"]:
        return check_cases(sys.argv[2])
    verbose = "--verbose" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--verbose"]
    templates = [file for folder in arguments[1:] for file in sorted(pathlib.Path(folder).rglob("*.jinja"))]
    if not templates:
        print(f"SKIPPED: no chat templates in {arguments[1:]}; tools/fetch_templates.sh fetches them")
        return 77
    probe = Probe(arguments[0])
    counts = {"same": 0, "both err": 0, "different": 0}
    distinct = set()
    cases = conversations()
    for file in templates:
        source = file.read_text(encoding="utf-8")
        distinct.add(source)
        try:
            template = ENV.from_string(source)
        except Exception:  # noqa: BLE001
            template = None
        form = None
        for name, conversation in cases.items():
            answer = probe.ask(file, conversation)
            if form is None:
                form = content_form(template, answer.get("wants_content_parts", False))
            verdict, difference = compare(template, conversation, form, answer)
            counts[verdict] += 1
            if verdict == "different" and (verbose or counts["different"] <= 10):
                print(f"{file.name} x {name}: {difference}")
    print(f"{len(templates)} templates ({len(distinct)} distinct) x {len(cases)} conversations: {counts['same']} identical, "
          f"{counts['both err']} fail in both, {counts['different']} different")
    if len(templates) < 50:
        print(f"only {len(templates)} templates: at least 50 are wanted")
        return 1
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
